"""From data to trained parameters: trainer.py checks and runs; the others do one job each."""
