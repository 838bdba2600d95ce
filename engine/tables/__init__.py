"""Tables with a column to be predicted: from a file to a trained, scored and saved model.

The commands `engine train`, `predict` and `evaluate` are made of this. It needs polars and skops,
which are an extra.
"""

from engine.system.extras import installed_by

try:
    import polars  # noqa: F401
    import skops  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"Tables need polars and skops, and {error.name} is not installed: {installed_by('tables')}"
    ) from error
