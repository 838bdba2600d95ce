"""What asv measures, on this commit and on every one before it: a module a subject.

Lower is better everywhere. This file runs before numpy and numba are imported, in each process that
measures: BLAS has one thread, and compiled kernels are kept for this commit alone.
"""

import os
import tempfile

for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")

# Set by asv: the environment's folder, and the commit that is installed there.
_FOLDER = os.environ.get("ASV_ENV_DIR", tempfile.gettempdir())
_COMMIT = os.environ.get("ASV_COMMIT", "worktree")
os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(_FOLDER, "kernels", _COMMIT))
