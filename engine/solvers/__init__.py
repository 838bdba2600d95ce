"""Solvers: how parameters move from one step to the next.

A solver does not know who watches a run or who saves it: `engine.training` does both.
"""
