"""Many networks at once: fits side by side, and ensembles."""
