"""A process of its own for what is measured: its threads are fixed before any library is loaded.

Libraries size their pools when they are loaded, so that neither this process nor its environment
need change.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine.comparison.machine import usable_cores

WORKER = "engine.comparison.measuring_worker"


def cores_for(n_threads: int) -> list[int]:
    """Numbers of the cores to keep to: the last ones, since the first serves interrupts."""
    usable = usable_cores()
    if not 1 <= n_threads <= len(usable):
        raise ValueError(
            f"--threads must be from 1 to {len(usable)}, the cores that this process may use; "
            f"got {n_threads}."
        )
    return usable[-n_threads:]


def fixed_threads(n_threads: int) -> dict[str, str]:
    """Environment variables that hold every library to that many threads."""
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    several = "true" if n_threads > 1 else "false"
    return {
        **dict.fromkeys(pools, str(n_threads)),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={several} "
        f"intra_op_parallelism_threads={n_threads}",
        "JAX_PLATFORMS": "cpu",
    }


def measured(part: str, n_threads: int, **options: Any) -> Any:
    """What the `part` named finds, as JSON knows it, from a process with that many threads.

    Raises ValueError for what that process refuses, ChildProcessError if it ends otherwise.
    """
    asked = {
        "part": part,
        "cores": cores_for(n_threads),
        "options": {**options, "n_threads": n_threads},
    }
    # Whatever that process leaves behind when it is interrupted lies in this folder as well.
    with tempfile.TemporaryDirectory(
        prefix="engine-compare-", ignore_cleanup_errors=True
    ) as folder:
        asked["folder"] = folder
        answer = Path(folder) / "answer.json"
        done = subprocess.run(
            [sys.executable, "-m", WORKER, json.dumps(asked), str(answer)],
            env={**os.environ, **fixed_threads(n_threads)},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0 or not answer.exists():
            raise ChildProcessError(
                f"the measuring process ended with status {done.returncode} and no answer; "
                "its own message stands above. Try fewer --contenders, or a smaller problem."
            )
        found = json.loads(answer.read_text(encoding="utf-8"))
    if "refused" in found:
        raise ValueError(found["refused"])
    return found["found"]
