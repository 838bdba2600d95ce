"""Why benchmarks failed, which asv prints and does not keep: a plugin of asv that keeps it.

asv loads this module because a derived configuration names it. What a benchmark that failed had
written last is put beside the results, in failures.json: by commit, then by benchmark.
"""

import json
from pathlib import Path
from typing import Any

PLUGIN = ".tools.asv_failures"  # with a dot: asv looks for it from the clone's folder
FILE = "failures.json"
LENGTH = 200  # of a reason, in characters: a row of a list, not a traceback
SECTION = "For parameters: "  # by which asv begins what one combination of parameters wrote
UNKNOWN = "asv does not say why: the commit could not be installed, or the benchmark was killed"


def setup() -> None:
    """Called by asv: from now on, results that are saved bring their failures along."""
    from asv.results import Results

    save = Results.save

    def save_with_failures(self: Any, folder: str) -> None:
        save(self, folder)
        failed = {name: self.stderr.get(name) or "" for name, code in self.errcode.items() if code}
        keep(Path(folder) / FILE, self.commit_hash, failed)

    Results.save = save_with_failures


def keep(path: Path, commit: str, failed: dict[str, str]) -> None:
    """Add a commit's failures, benchmark: what it wrote, to the file."""
    if failed:
        found = read(path)
        found.setdefault(commit, {}).update(failed)
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def read(path: Path) -> dict[str, dict[str, str]]:
    """What the file holds; nothing, if nothing failed and there is none."""
    if not path.exists():
        return {}
    found: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def reason(name: str, failed: dict[str, str]) -> str:
    """One line on why a benchmark failed, by its name with parameters.

    >>> wrote = "For parameters: 'a'\\nTraceback\\nValueError: no\\n\\nFor parameters: 'b'\\nhm"
    >>> reason("fits.time('a')", {"fits.time": wrote})
    'ValueError: no'
    """
    benchmark, bracket, parameters = name.partition("(")
    text = failed.get(benchmark, "")
    if bracket:
        sections = (part.partition("\n") for part in f"\n{text}".split(f"\n{SECTION}")[1:])
        of_parameters = {first: rest for first, _, rest in sections}
        # What a failed setup_cache wrote is said once, for all parameters.
        text = of_parameters.get(parameters.removesuffix(")"), "" if of_parameters else text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return UNKNOWN
    last = lines[-1]
    return last if len(last) <= LENGTH else f"{last[: LENGTH - 3]}..."
