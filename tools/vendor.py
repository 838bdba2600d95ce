"""Make a page load its scripts and styles from a folder beside it, in place of other hosts."""

import re
import shutil
from pathlib import Path

VENDORED = Path(__file__).resolve().parent / "vendored"

# A script's or a style's address on another host, and the attributes that only make sense there.
EXTERNAL = re.compile(
    r'(?P<attribute>src|href)="(?P<address>(?:https?:)?//[^"]+/(?P<name>[^"/]+\.(?:js|css)))"'
    r'(?:\s+(?:integrity|crossorigin|referrerpolicy)="[^"]*")*'
)


def vendor(page: Path) -> list[str]:
    """Rewrite a page, and copy what it asks for to `vendored/` beside it; the files' names.

    Raises ValueError if it asks for a file that is not in tools/vendored: asv has a new one.
    """
    text = page.read_text(encoding="utf-8")
    names = list(dict.fromkeys(match["name"] for match in EXTERNAL.finditer(text)))
    missing = [name for name in names if not (VENDORED / name).exists()]
    if missing:
        raise ValueError(
            f"{page.name} asks other hosts for {', '.join(missing)}, which tools/vendored/ does "
            "not have: add the file of the same version, and a row in its README."
        )
    folder = page.parent / "vendored"
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(VENDORED / name, folder / name)
    page.write_text(EXTERNAL.sub(r'\g<attribute>="vendored/\g<name>"', text), encoding="utf-8")
    return names
