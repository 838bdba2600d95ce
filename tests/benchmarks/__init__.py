"""Micro-measurements, by pytest-benchmark: `make bench`. In `make proofs` each body runs once.

Every result is checked before it is timed, and compiled before the clock starts. History and the
gate are asv's (benchmarks/); this is for a quick look at one machine, before and after a change.
"""
