"""Solvers: how parameters move from one step to the next.

A solver knows neither who watches a run nor who saves it: that is for `engine.training`.
"""
