"""What the project's own commands run: `python -m tools.NAME`, mostly by `make`."""
