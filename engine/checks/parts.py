"""The flat vector of a network's parameters in parts, under the names that estimators show."""

import itertools
from typing import NamedTuple

from engine.network import Network


class Part(NamedTuple):
    """A weight matrix or a vector of intercepts: entries first ... first + size - 1 of theta."""

    name: str
    first: int
    size: int
    n_in: int  # 0 for intercepts

    @property
    def entries(self) -> slice:
        return slice(self.first, self.first + self.size)

    def entry(self, p: int) -> str:
        """What users call entry p of theta.

        >>> Part("coefs_[0]", first=0, size=6, n_in=3).entry(4)
        'coefs_[0][1, 1]'
        """
        if not self.n_in:
            return f"{self.name}[{p - self.first}]"
        j, k = divmod(p - self.first, self.n_in)
        return f"{self.name}[{k}, {j}]"


def parts_of(network: Network) -> list[Part]:
    """All parts, in the order of theta."""
    parts, first = [], 0
    for l, (n_in, n_out) in enumerate(itertools.pairwise(network.sizes)):
        parts.append(Part(f"coefs_[{l}]", first, n_out * n_in, n_in))
        first += n_out * n_in
        parts.append(Part(f"intercepts_[{l}]", first, n_out, 0))
        first += n_out
    return parts
