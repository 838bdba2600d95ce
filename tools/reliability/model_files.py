"""Damaged and forged model files, by tools/fuzz_models.py."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.reliability.lines import Line

FILES_A_TIME = 2000  # files for each time that a fault is asked for: 100 000 for the page


def damaged_models(times: int) -> Line:
    """Load them, each under a limit of memory and of time."""
    line = Line(
        "model file damaged or forged",
        "truncated, bits flipped, ranges swapped, two files spliced, claimed sizes and shapes "
        "changed, NaN weights, names that lead elsewhere; .safetensors, .skops and .onnx",
    )
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts.json")
        command = [sys.executable, "-m", "tools.fuzz_models", "--json", str(counts)]
        done = subprocess.run(
            [*command, "--files", str(FILES_A_TIME * times)],
            capture_output=True,
            text=True,
            check=False,
        )
        line.expect(done.returncode == 0, done.stderr[-300:] or done.stdout[-300:])
        if not counts.exists():
            return line
        told = json.loads(counts.read_text())
    outcomes = told["outcomes"]
    line.times = told["files"]
    line.failures += [str(failure) for failure in told["failures"]]
    line.expect(sum(outcomes.values()) == line.times, f"only {outcomes} came of {line.times}")
    line.kept = (
        f"`ModelFileError` {outcomes['refused']:,} times; {outcomes['unchanged']:,} times the very "
        f"same model, where the damage was of no consequence; {outcomes['another']:,} forgeries "
        "with right checksums are whole models of someone else's; no crash, no hang, "
        f"never more than {told['limits']['megabytes_beyond_start']} MB"
    )
    line.lost = "nothing"
    return line
