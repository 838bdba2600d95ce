"""The one error of a file that cannot be trusted, and texts from such files for people to read."""

from pathlib import Path


class ModelFileError(ValueError):
    """A file that is no model file, is damaged, or cannot be trusted.

    Examples
    --------
    >>> import tempfile
    >>> from engine import ModelFileError, load
    >>> with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
    ...     try:
    ...         load(file.name)
    ...     except ModelFileError as error:
    ...         print(str(error).partition(".safetensors ")[2])
    is empty; a model file was expected.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def damaged(path: Path, why: object) -> ModelFileError:
    """The error of a file of the right kind that is not as it was written."""
    said = f"{type(why).__name__}: {why}" if isinstance(why, BaseException) else why
    return ModelFileError(f"{path} is damaged: {said}")


def printable(text: str) -> str:
    """What a file says, with what would move about in a terminal written out.

    Examples
    --------
    >>> print(printable("the name " + chr(27) + "[2J"))
    the name \\x1b[2J
    """
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)
