"""Make a page load its scripts and styles from a folder beside it, in place of other hosts."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

VENDORED = Path(__file__).resolve().parent / "vendored"

# A script's or a style's address on another host, and the attributes that only make sense there.
EXTERNAL = re.compile(
    r'(?P<attribute>src|href)="(?P<address>(?:https?:)?//[^"]+/(?P<name>[^"/]+\.(?:js|css)))"'
    r'(?:\s+(?:integrity|crossorigin|referrerpolicy)="[^"]*")*'
)


def vendor(page: Path) -> list[str]:
    """Rewrite a page, and copy what it asks for to `vendored/` beside it; the files' names.

    Raises ValueError if it asks for a file that is not in tools/vendored, or for anything else of
    another host: asv has something new.
    """
    text = page.read_text(encoding="utf-8")
    names = list(dict.fromkeys(match["name"] for match in EXTERNAL.finditer(text)))
    missing = [name for name in names if not (VENDORED / name).exists()]
    if missing:
        raise ValueError(
            f"{page.name} asks other hosts for {', '.join(missing)}, which tools/vendored/ does "
            "not have: add the file of the same version, and a row in its README."
        )
    rewritten = EXTERNAL.sub(r'\g<attribute>="vendored/\g<name>"', text)
    left = asked_of_others(rewritten)
    if left:
        raise ValueError(
            f"{page.name} still asks other hosts for {', '.join(left)}: tools/vendor.py does not "
            "know how to take that from here."
        )
    folder = page.parent / "vendored"
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(VENDORED / name, folder / name)
    page.write_text(rewritten, encoding="utf-8")
    return names


def asked_of_others(text: str) -> list[str]:
    """What a browser would ask other hosts for, to show that page; links to follow are not.

    >>> asked_of_others("<img src='//cdn.example/x.png?v=1'><a href='https://example.org'>x</a>")
    ['//cdn.example/x.png?v=1']
    """
    found: list[str] = []

    class Requests(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            named = dict(attributes)
            names = ["src", "srcset", "data", "poster"]
            if tag == "link" and named.get("rel") not in ("alternate", "canonical"):
                names.append("href")
            values = (named.get(name) or "" for name in names)
            found.extend(one for one in values if re.match(r"\s*(https?:)?//", one))

    Requests().feed(text)
    return found
