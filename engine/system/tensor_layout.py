"""How a .safetensors file is laid out, for model files and for checkpoints, which write them.

    8 bytes     length n of the header, little-endian
    n bytes     JSON: {"__metadata__": {name: text}, tensor: {"dtype", "shape", "data_offsets"}}
    the rest    the tensors, little-endian, C order, without gaps

The safetensors library builds the whole file in memory first, aborts the process if there is not
enough, and writes the texts in a different order each time.
"""

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

LENGTH_BYTES = 8
# The format's names of the dtypes that networks and runs use.
NAMES = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "uint64": "U64"}


def laid_out(
    texts: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]
) -> tuple[bytes, list[NDArray[Any]]]:
    """The header of a file, and the tensors in the order and form in which they follow.

    Examples
    --------
    >>> import numpy as np
    >>> beginning, [b] = laid_out({"of": "a test"}, {"b": np.array([1.0, 2.0])})
    >>> beginning[8:].decode().rstrip()
    '{"__metadata__":{"of":"a test"},"b":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}'
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(texts.items()))}
    in_order, end = [], 0
    for name in sorted(tensors, key=lambda name: -tensors[name].itemsize):  # all stay aligned
        tensor = tensors[name]
        tensor = tensor.astype(tensor.dtype.newbyteorder("<"), order="C", copy=False)
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": NAMES[tensor.dtype.name],
            "shape": tensor.shape,
            "data_offsets": [begin, end],
        }
        in_order.append(tensor)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text, in_order
