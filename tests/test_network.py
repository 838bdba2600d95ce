"""engine/network.py: shape, parameters and initial values."""

import copy
import pickle

import numpy as np
import pytest

from engine import Network
from tests import oracle


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (
            Network((2, 4, 1)),
            "<Network 2-4-1: tanh hidden units, sigmoid output, 17 parameters>",
        ),
        (Network((30, 1)), "<Network 30-1: sigmoid output, 31 parameters>"),
        (
            Network((4, 32, 16, 4), hidden=("relu", "tanh"), output="softmax"),
            "<Network 4-32-16-4: relu, tanh hidden units, softmax output, 756 parameters>",
        ),
        (
            Network((4, 3, 3, 2), hidden="relu", output="exp"),
            "<Network 4-3-3-2: relu hidden units, exp output, 35 parameters>",
        ),
    ],
)
def test_repr_says_shape_units_and_number_of_parameters(network, text):
    assert repr(network) == text


def test_views_share_memory_with_the_vector_and_cover_it_once():
    network = Network((3, 5, 2))
    theta = np.zeros(network.n_parameters)
    for number, (W, b) in enumerate(network.views(theta)):
        assert np.shares_memory(W, theta)
        assert np.shares_memory(b, theta)
        W += 1 + number
        b += 10 + number
    np.testing.assert_array_equal(theta, [1] * 15 + [10] * 5 + [2] * 10 + [11] * 2)


def test_views_lay_weights_out_row_by_row():
    network = Network((3, 2, 1))
    (W1, b1), (W2, b2) = network.views(np.arange(11.0))
    np.testing.assert_array_equal(W1, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(b1, [6, 7])
    np.testing.assert_array_equal(W2, [[8, 9]])
    np.testing.assert_array_equal(b2, [10])


def test_views_of_what_would_be_copied_are_refused():
    network = Network((2, 1))
    with pytest.raises(ValueError, match=r"contiguous.*np\.ascontiguousarray"):
        network.views(np.zeros(6)[::2])
    with pytest.raises(ValueError, match=r"array of shape \(3,\).*got list of shape \(3,\)"):
        network.views([0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"array of shape \(3,\).*got ndarray of shape \(4,\)"):
        network.views(np.zeros(4))


@pytest.mark.parametrize("unit", ["tanh", "sigmoid", "relu", "identity"])
def test_initial_values_are_uniform_within_r(unit):
    """I1: U(-r, r) for weights and biases alike, r by the units of the layer itself."""
    network = Network((40, 60, 50, 30), hidden=(unit, "tanh"), output="sigmoid")
    theta = network.initial_parameters(seed=1)
    for name, (W, b) in zip((unit, "tanh", "sigmoid"), network.views(theta)):
        r = oracle.initial_radius(W.shape[1], W.shape[0], name)
        for values in (W, b):
            assert np.abs(values).max() <= r
            assert np.abs(values).max() > 0.9 * r
        # Mean 0 and variance r^2 / 3, within five standard errors.
        assert abs(W.mean()) < 5 * r / np.sqrt(3 * W.size)
        assert W.var() == pytest.approx(r**2 / 3, rel=5 * np.sqrt(0.8 / W.size))


def test_he_values_are_for_relu_layers_alone():
    """I2 for relu: U(-r, r) with r = sqrt(6 / n_in), variance 2 / n_in; I1 for the rest."""
    network = Network((40, 60, 50), hidden="relu", output="identity")
    he = network.views(network.initial_parameters(scheme="he"))
    glorot = network.views(network.initial_parameters())
    assert np.abs(he[0][0]).max() == pytest.approx(np.sqrt(6 / 40), rel=0.01)
    assert he[0][0].var() == pytest.approx(2 / 40, rel=0.1)
    for layer in range(2):
        ratio = he[layer][0] / glorot[layer][0]
        expected = np.sqrt(100 / 40) if layer == 0 else 1
        np.testing.assert_allclose(ratio, expected, rtol=1e-9)


def test_same_seed_same_bits_and_float32_is_float64_rounded():
    network = Network((3, 4, 2))
    theta = network.initial_parameters(seed=7)
    assert theta.tobytes() == network.initial_parameters(seed=7).tobytes()
    assert not np.array_equal(theta, network.initial_parameters(seed=8))
    single = network.initial_parameters(seed=7, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, theta.astype(np.float32))


def test_initial_values_of_another_dtype_or_scheme_are_refused():
    network = Network((2, 1))
    with pytest.raises(ValueError, match=r"dtype must be 'float32' or 'float64'; got 'int64'"):
        network.initial_parameters(dtype=int)
    with pytest.raises(ValueError, match=r"scheme must be 'glorot' or 'he'; got 'lecun'"):
        network.initial_parameters(scheme="lecun")


def test_networks_compare_by_what_they_compute_and_can_be_copied():
    network = Network([2, 4, 1], hidden=["tanh"])
    assert network == Network((2, 4, 1))
    assert hash(network) == hash(Network((2, 4, 1)))
    assert network != Network((2, 4, 1), hidden="relu")
    assert network != Network((2, 4, 1), output="identity")
    assert network != (2, 4, 1)
    assert pickle.loads(pickle.dumps(network)) == copy.deepcopy(network) == network


def test_hidden_is_ignored_where_there_is_no_hidden_layer():
    assert Network((2, 1), hidden="relu") == Network((2, 1)) == Network((2, 1), hidden=())
    assert Network((2, 1), hidden=("relu", "tanh")).hidden == ()


@pytest.mark.parametrize("name", ["sizes", "hidden", "output", "n_parameters"])
def test_a_network_cannot_be_changed(name):
    """Kernels would read beyond a theta of another length."""
    network = Network((2, 4, 1))
    with pytest.raises(AttributeError):
        setattr(network, name, (13, 1))
    assert network == Network((2, 4, 1))
