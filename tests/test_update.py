"""engine/equations/update.py."""

import numpy as np
import pytest

from engine.equations.backends import BACKENDS
from tests import cases


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_gradient_descent_is_theta_minus_eta_dtheta(backend, dtype):
    """U1, in place, with the gradient left as it is."""
    theta, dtheta = np.array([1, -2, 3], dtype), np.array([4, 8, -16], dtype)
    BACKENDS[backend].gradient_descent(theta, dtheta, theta.dtype.type(0.25))
    np.testing.assert_array_equal(theta, [0, -4, 7])
    np.testing.assert_array_equal(dtheta, [4, 8, -16])
    assert theta.dtype == dtype
