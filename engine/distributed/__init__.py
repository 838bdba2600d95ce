"""Training on the workers of a Dask cluster, with the bits of training here: `fit`."""

from engine.distributed.fitting import fit as fit

__all__ = ["fit"]
