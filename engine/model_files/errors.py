"""The error of a file that cannot be trusted, and texts from such files made safe to print."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def would_load(path: Path) -> Iterator[None]:
    """Reword errors of a file that is read back before it replaces an older one."""
    try:
        yield
    except ModelFileError as error:
        reason = str(error).removeprefix(f"{printable(str(path))} is damaged: ")
        raise ModelFileError(
            f"{path}: the model would not load, and was not saved: {reason}"
        ) from error


def printable(text: str) -> str:
    """A text from a file or from data, with control characters escaped.

    That includes characters that change the direction of writing, and the lone surrogates of file
    names that are not text. Newlines stay.

    Examples
    --------
    >>> print(printable("the name " + chr(27) + "[2J"))
    the name \\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(one if _is_harmless(one) else repr(one)[1:-1] for one in text)


def one_line(text: str) -> str:
    """The same with newlines written out as well."""
    return printable(text).replace("\n", "\\n")


def _is_harmless(one: str) -> bool:
    """Whether it is printable, a space of any width, or a joiner of letters or emoji."""
    if one.isprintable() or one in "\n\u200c\u200d":
        return True
    return unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
