"""One short text for the bits of many parameters."""

import hashlib
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray


def fingerprint_of(parameters: Iterable[NDArray[Any]]) -> str:
    """SHA-256 of shapes, dtypes and little-endian bytes, array by array.

    Examples
    --------
    >>> import numpy as np
    >>> fingerprint_of([np.array([1.0, 2.0])])[:16]
    '9f2be41266ce9e55'
    """
    digest = hashlib.sha256()
    for array in parameters:
        little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{array.shape} {little_endian.dtype.str} ".encode())
        digest.update(little_endian.tobytes())
    return digest.hexdigest()
