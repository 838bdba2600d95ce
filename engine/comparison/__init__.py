"""The same work done by this package and by the libraries that people would use instead, timed.

`timing.py` holds the rules of timing, `problems.py` what is trained, `jobs.py` and a `*_job.py` each
how one library trains it, a `*_timings.py` each what a command measures; `*_tables.py` print. What
is measured runs in a process of its own, whose threads are fixed before any library is loaded.
"""
