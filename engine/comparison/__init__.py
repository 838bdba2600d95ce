"""The same work done by this package and by the libraries that people would use instead, timed.

`measure.py` holds the rules of timing, `problems.py` what is trained, a `*_job.py` each how one
library trains it, a `*_runs.py` each what one command measures; `tables.py` prints. What is
measured runs in a process of its own, whose threads are fixed before any library is loaded.
"""
