"""The oracle against itself: its two gradients share no derivation."""

import numpy as np
import pytest

from tests import cases, oracle


@pytest.mark.parametrize("case", cases.THINNED[::3], ids=str)
def test_automatic_differentiation_equals_central_differences(case):
    data = cases.data_of(case, True, 0.5)

    def cost(theta):
        return oracle.cost(theta, *cases.described(case), *data[1:], case.loss)

    np.testing.assert_allclose(
        cases.expected_gradient(case, True, 0.5),
        oracle.gradient_by_differences(cost, data.theta),
        rtol=1e-9,
        atol=1e-9,
    )


def test_imports_nothing_from_the_package():
    with open(oracle.__file__) as file:
        imports = [line for line in file if line.startswith(("import ", "from "))]
    assert imports
    assert not any("engine" in line or "numpy" in line for line in imports)
