"""What to install for each extra of pyproject.toml: what the package does beyond its core."""

PACKAGES = {
    "plots": "matplotlib",
    "compare": "jinja2 matplotlib",
    "distributed": "'dask[array,dataframe,distributed]'",
    "tables": "polars skops",
    "models": "skops onnx",
}


def installed_by(extra: str) -> str:
    """The command for an extra's packages: it works whichever way this package was installed.

    >>> installed_by("tables")
    'pip install polars skops'
    """
    return f"pip install {PACKAGES[extra]}"
