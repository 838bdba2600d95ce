"""Training on the workers of a Dask cluster, with the bits of local training: `fit`."""

from engine.distributed.fitting import fit as fit

__all__ = ["fit"]
