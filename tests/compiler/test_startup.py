"""What a process that trains has to load, and what it leaves alone."""

import json

import pytest

from engine.compiler import jit
from tests import processes

TRAIN = """
import json, sys
from engine import Network, train
train(Network((1, 1)), [[0.5]], [1.0], max_iter=1, **{told!r})
print(json.dumps([name in sys.modules for name in ("scipy.linalg", "scipy.optimize", "sklearn")]))
"""
# np.dot of a user's own, compiled after ours.
DOT = """
import sys
import numba, numpy as np
from engine import Network, train
train(Network((1, 1)), [[0.5]], [1.0], max_iter=1)
product = numba.njit(lambda A, B: A @ B)(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
print(product.tolist(), "scipy.linalg" in sys.modules)
"""


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize(
    ("told", "loaded"),
    [
        ({}, [False, False, False]),
        ({"solver": "gd"}, [False, False, False]),
        ({"solver": "sgd", "backend": "loops"}, [False, False, False]),
        ({"backend": "numpy"}, [False, False, False]),
        ({"solver": "lbfgs"}, [True, True, False]),
    ],
    ids=str,
)
def test_training_loads_scipy_only_for_its_optimiser_and_never_scikit_learn(told, loaded):
    assert json.loads(processes.output("-c", TRAIN.format(told=told))) == loaded


@pytest.mark.proof
@pytest.mark.compiled
def test_a_dot_product_compiled_later_finds_its_blas():
    assert processes.output("-c", DOT).strip() == "[[11.0]] True"


def test_without_scipy_there_is_no_blas(monkeypatch):
    jit.find_blas()
    monkeypatch.setattr(jit, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="scipy"):
        jit.find_blas()


def test_numbas_own_question_is_back_in_place():
    from numba.np import linalg

    assert linalg.ensure_blas.__module__ == "numba.np.linalg"
