"""Provoke faults, see what was lost, and put the table into docs/reliability.md.

A module a kind of fault; `__main__.py` runs them.
"""
