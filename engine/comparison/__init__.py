"""The same work done by this package and by the libraries that people would use instead, timed.

`timing.py` has the rules of timing, `problems.py` what is trained, `jobs.py` and each `*_job.py`
how one library trains it, each `*_timings.py` what a command measures; `*_tables.py` print. What is
measured runs in a process of its own, whose threads are fixed before any library is loaded.
"""

LIMIT = 300.0  # seconds for all that a library does with one task, compiling included
TABLE_LIMIT = 1200.0  # seconds for one fit of a real table, or for the warm-up
