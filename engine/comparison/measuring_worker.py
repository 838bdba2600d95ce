"""The process that measures: `python -m engine.comparison.measuring_worker QUESTION ANSWER_FILE`.

Started by `measuring_process.py`. It keeps to the cores that it is told before any library loads.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(question: str, answer: str) -> None:
    # Ctrl-C ends it at once: some of the libraries catch KeyboardInterrupt and would carry on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asked = json.loads(question)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, asked["cores"])
    tempfile.tempdir = asked["folder"]
    found: dict[str, Any]
    try:
        found = {"found": part_named(asked["part"])(**asked["options"])}
    except (ValueError, NotImplementedError) as error:
        found = {"refused": str(error)}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def part_named(name: str) -> Callable[..., Any]:
    """Each part in a module of its own, imported only if asked for."""
    if name == "training":
        from engine.comparison import training_timings

        return training_timings.measure_all
    if name == "estimators":
        from engine.comparison import estimator_timings

        return estimator_timings.measure_all
    if name == "second-order":
        from engine.comparison import second_order_timings

        return second_order_timings.measure_all
    if name == "many":
        from engine.comparison import many_timings

        return many_timings.measure_all
    if name == "tables":
        from engine.comparison import table_timings

        return table_timings.measure_all
    if name == "report":
        from engine.comparison import report_timings

        return report_timings.measure_all
    if name == "report-threads":
        from engine.comparison import report_timings

        return report_timings.measure_threads
    if name == "gradient":
        from engine.comparison import pass_timings

        return pass_timings.measure_gradient
    if name == "threads":
        from engine.comparison import pass_timings

        return pass_timings.measure_threads
    if name == "startup":
        from engine.comparison import startup_timings

        return startup_timings.measure_startup
    if name == "loading":
        from engine.comparison import startup_timings

        return startup_timings.measure_loading
    from engine.comparison import memory_peaks

    return memory_peaks.measure_all


if __name__ == "__main__":
    main(*sys.argv[1:])
