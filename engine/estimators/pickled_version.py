"""Pickles that know which version made them."""

import warnings
from typing import Any

import engine


class PickledVersion:
    """The first base of an estimator whose pickles warn if another version loads them."""

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, "_engine_version": engine.__version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop("_engine_version", "unknown")
        if version != engine.__version__:
            warnings.warn(
                f"This {type(self).__name__} was pickled by mlp-engine {version}, and is loaded by "
                f"{engine.__version__}: it may fail, or give other results. Fit it again, or load "
                "it with the version that made it.",
                UserWarning,
                stacklevel=2,
            )
        estimator: Any = super()
        estimator.__setstate__(state)
