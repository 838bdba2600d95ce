"""Training: `train`, the loop of every run, what watches it, and checkpoints."""
