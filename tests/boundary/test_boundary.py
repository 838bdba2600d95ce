"""engine/boundary/: what is refused, and in which words; what is accepted, and as what.

Messages are compared as plain text, not as patterns: they are full of brackets.
"""

import contextlib
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from engine import Network, losses, train
from engine.boundary.settings import listed
from engine.equations.backends import LOOPS
from engine.equations.units import HIDDEN_UNITS
from tests import own_losses

NETWORK = Network((2, 3, 1))
THETA = NETWORK.initial_parameters(seed=0)
X = np.array([[0.1, 0.9, -0.4, 0.3, 0.7], [0.5, -0.2, 0.8, -0.6, 0.4]])
Y = np.array([0, 1, 0, 1, 1])
WEIGHTS = np.array([1.0, 0.5, 2.0, 1.5, 1.0])
N_SAMPLES = 5
CLASSES = Network((2, 3), output="softmax")
COUNTS = Network((2, 1), output="exp")
VALUES = Network((2, 1), output="identity")


def initial(network, dtype="float64"):
    return network.initial_parameters(seed=0, dtype=dtype)


def forward(X=X, network=NETWORK, theta=None, backend=None):
    return network.forward(initial(network) if theta is None else theta, X, backend)


def cost(X=X, Y=Y, network=NETWORK, theta=None, **others):
    theta = initial(network) if theta is None else theta
    return network.cost_and_gradient(theta, X, Y, **others)


def short_train(X=X, Y=Y, network=NETWORK, **others):
    settings = {"solver": "gd", "learning_rate": 0.5, "max_iter": 3, **others}
    return train(network, X, Y, **settings)


def everything(X=X, Y=Y, network=NETWORK, dtype="float64", **others):
    """The bits of all that is computed from data."""
    theta = initial(network, dtype)
    J, dtheta = cost(X, Y, network, theta, **others)
    result = short_train(X, Y, network, **others)
    A = forward(X, network, theta)
    return J, dtheta.tobytes(), A.tobytes(), result.theta.tobytes(), result.cost


@contextlib.contextmanager
def refused(error, *texts):
    """The block raises just this kind of error, with all of these texts in its message."""
    with pytest.raises(error) as caught:
        yield
    assert caught.type is error
    for text in texts:
        assert text in str(caught.value)


def with_entry(array, place, value):
    changed = np.array(array, dtype=float)
    changed[place] = value
    return changed


TAKES_X = pytest.mark.parametrize("call", [forward, cost, short_train])
TAKES_Y = pytest.mark.parametrize("call", [cost, short_train])


# NaN and infinity


@TAKES_X
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_entry_of_x_that_is_not_finite_is_refused_with_its_place(call, value):
    expected = f"1 of its 10 entries are NaN or inf, the first at X[1, 3] ({value})"
    with refused(ValueError, "X must be finite", expected, "remove those samples or fill them in"):
        call(with_entry(X, (1, 3), value))


def test_all_entries_that_are_not_finite_are_counted():
    bad = with_entry(with_entry(X, (0, 4), np.nan), (1, 2), np.inf)
    with refused(ValueError, "2 of its 10 entries", "the first at X[0, 4] (nan)"):
        forward(bad)


def test_infinities_that_would_cancel_in_a_sum_are_found():
    with refused(ValueError, "2 of its 10 entries", "the first at X[0, 0] (inf)"):
        forward(with_entry(with_entry(X, (0, 0), np.inf), (0, 1), -np.inf))


def test_finite_entries_whose_sum_overflows_are_accepted(backend):
    large = np.full((2, N_SAMPLES), 1.7e308)
    assert np.isfinite(forward(large, backend=backend)).all()
    single = np.full((2, N_SAMPLES), 3e38, dtype=np.float32)
    A = forward(single, theta=initial(NETWORK, "float32"), backend=backend)
    assert np.isfinite(A).all()


@TAKES_Y
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_entry_of_y_that_is_not_finite_is_refused_with_its_place(call, value):
    expected = f"1 of its 5 entries are NaN or inf, the first at Y[0, 3] ({value})"
    with refused(ValueError, "Y must be finite", expected):
        call(Y=with_entry(Y.reshape(1, -1), (0, 3), value))


def test_the_place_in_a_flat_y_has_one_index():
    with refused(ValueError, "the first at Y[3] (nan)"):
        cost(Y=with_entry(Y, 3, np.nan))
    with refused(ValueError, "Y[3] is 1e+300, too large for float32"):
        cost(X.astype("float32"), with_entry(Y, 3, 1e300), VALUES, initial(VALUES, "float32"))


@TAKES_Y
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_refused_with_its_place(call, value):
    expected = f"1 of its 5 entries are NaN or inf, the first at sample_weight[2] ({value})"
    with refused(ValueError, "sample_weight must be finite", expected):
        call(sample_weight=with_entry(WEIGHTS, 2, value))


def test_initial_parameters_that_are_not_finite_are_refused_by_train_with_their_place():
    with refused(ValueError, "theta must be finite", "the first at theta[4] (nan)"):
        short_train(theta=with_entry(THETA, 4, np.nan))


def test_advice_for_parameters_that_are_not_finite_is_not_about_samples():
    with pytest.raises(ValueError, match="theta must be finite") as caught:
        short_train(theta=with_entry(THETA, 4, np.nan))
    assert "samples" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_gradient_at_parameters_that_are_not_finite_is_a_nan_and_no_error(value, backend):
    """An optimiser of the user's own may step there; the cost says so."""
    J, dtheta = cost(theta=with_entry(THETA, -1, value), backend=backend)
    assert not np.isfinite(J)
    assert dtheta.shape == THETA.shape


# Shapes


@TAKES_X
def test_samples_as_rows_are_refused_and_the_transpose_suggested(call):
    expected = "X must have shape (2, n_samples), one sample per column"
    with refused(
        ValueError, expected, "2 inputs", "got shape (5, 2)", "transpose would fit: pass X.T"
    ):
        call(X.T)


@TAKES_X
@pytest.mark.parametrize("wrong", [np.ones((3, 4)), np.ones(7), np.ones((2, 5, 1)), 1.0, []])
def test_inputs_of_another_shape_are_refused_without_advice_that_would_not_help(call, wrong):
    with pytest.raises(ValueError, match="X must have shape") as caught:
        call(wrong)
    assert f"got shape {np.shape(wrong)}." in str(caught.value)
    assert "pass" not in str(caught.value)


@TAKES_X
def test_one_sample_without_its_second_dimension_is_told_how_to_get_it(call):
    with refused(ValueError, "got shape (2,). For one sample, pass X.reshape(-1, 1)."):
        call(X[:, 0])


@TAKES_X
def test_one_feature_without_its_second_dimension_is_told_how_to_get_it(call):
    expected = "as this network has 1 input; got shape (5,). For one feature, pass X.reshape(1, -1)"
    with refused(ValueError, expected):
        call(X[0], network=Network((1, 1)))


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [(X.T, lambda x: x.T), (X[:, 0], lambda x: x.reshape(-1, 1))],
)
def test_the_advice_for_x_helps(wrong, advice):
    assert forward(advice(wrong)).shape[0] == 1


@TAKES_Y
@pytest.mark.parametrize("wrong", [Y[:4], np.ones(6), np.ones((2, 5)), np.ones((1, 1, 5)), 1.0])
def test_targets_of_another_shape_are_refused(call, wrong):
    expected = "Y must have shape (1, 5) or (5,), for 1 output unit and 5 samples"
    with refused(ValueError, expected, f"got shape {np.shape(wrong)}."):
        call(Y=wrong)


@TAKES_Y
def test_targets_as_rows_are_refused_and_the_transpose_suggested(call):
    with refused(ValueError, "got shape (5, 1). Its transpose would fit: pass Y.T."):
        call(Y=Y.reshape(-1, 1))
    expected = "Y must have shape (3, 5) or, as class codes, (5,), for 3 output units"
    with refused(ValueError, expected, "got shape (5, 3). Its transpose would fit: pass Y.T."):
        call(Y=np.eye(3)[[0, 1, 2, 0, 1]], network=CLASSES)


def test_flat_targets_are_for_one_output_unit_alone():
    two = Network((2, 2), output="identity")
    with refused(ValueError, "Y must have shape (2, 5), for 2 output units", "got shape (5,)."):
        cost(Y=Y, network=two)


@TAKES_Y
@pytest.mark.parametrize("wrong", [WEIGHTS[:4], WEIGHTS.reshape(1, -1), 1.0, [[1.0]]])
def test_weights_of_another_shape_are_refused(call, wrong):
    expected = "sample_weight must have shape (5,), one weight per sample; got shape "
    with refused(ValueError, expected + f"{np.shape(wrong)}."):
        call(sample_weight=wrong)


@TAKES_X
def test_data_without_samples_are_refused(call):
    with refused(ValueError, "X holds no samples: its shape is (2, 0)."):
        call(np.empty((2, 0)))


# Targets of each output unit


@pytest.mark.parametrize(
    ("wrong", "low", "high"), [([0, 1, 2, 1, 0], 0, 2), ([-1, 1, 1, -1, 1], -1, 1)]
)
@TAKES_Y
def test_sigmoid_targets_outside_0_to_1_are_refused(call, wrong, low, high):
    expected = f"its entries go from {low} to {high}"
    with refused(
        ValueError,
        "Y must be 0 or 1, or a probability between, for sigmoid output units",
        expected,
        "Code the two classes as 0 and 1, or choose output='identity'",
    ):
        call(Y=wrong)


def test_soft_sigmoid_targets_are_accepted_up_to_0_and_1():
    soft = np.array([0.0, 0.25, 0.5, 1.0, 1e-300])
    whole, part = cost(Y=np.round(soft))[0], cost(Y=soft)[0]
    assert np.isfinite([whole, part]).all()
    assert whole != part


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_hot_columns_and_class_codes_give_the_same_bits(dtype, backend):
    codes = np.array([0, 2, 1, 1, 2])
    data = X.astype(dtype)
    expected = everything(data, codes, CLASSES, dtype, backend=backend)
    one_hot = np.zeros((3, 5))
    one_hot[codes, range(5)] = 1
    kinds = ["bool", "uint8", "int64", ">i4", "float16", "float64"]
    for same in [*(one_hot.astype(kind) for kind in kinds), one_hot.tolist()]:
        assert everything(data, same, CLASSES, dtype, backend=backend) == expected
    for same in [*(codes.astype(kind) for kind in kinds[1:]), codes.tolist()]:
        assert everything(data, same, CLASSES, dtype, backend=backend) == expected


def test_truth_values_are_codes_of_two_classes():
    two = Network((2, 2), output="softmax")
    assert everything(Y=Y.astype(bool), network=two) == everything(Y=Y, network=two)


@pytest.mark.parametrize(
    ("codes", "came"),
    [
        ([0, 1, 2, 3, 0], "Y[3] is 3"),
        ([0, -1, 2, 1, 0], "Y[1] is -1"),
        ([0, 1, 0.5, 1, 0], "Y[2] is 0.5"),
        ([0, 1, 2, 1, np.nan], "Y[4] is nan"),
        ([np.inf, 1, 2, 1, 0], "Y[0] is inf"),
        (np.array([0, 1, 2, 255, 0], dtype=np.uint8), "Y[3] is 255"),
        ([0, 1, 2, 2**40, 0], f"Y[3] is {2**40}"),
    ],
)
@TAKES_Y
def test_codes_that_no_class_has_are_refused_with_their_place(call, codes, came):
    advice = "To number labels, use np.unique(Y, return_inverse=True)[1]."
    with refused(ValueError, "Y must hold class codes 0 to 2", came, advice):
        call(Y=codes, network=CLASSES)


def test_the_advice_for_labels_helps():
    labels = np.array(["oak", "elm", "ash", "elm", "oak"])
    cost(Y=np.unique(labels, return_inverse=True)[1], network=CLASSES)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_codes_with_a_second_dimension_are_told_to_lose_it(shape):
    codes = np.array([0, 2, 1, 1, 2]).reshape(shape)
    with refused(ValueError, f"got shape {shape}. For class codes, pass Y.ravel()."):
        cost(Y=codes, network=CLASSES)


def test_softmax_columns_that_do_not_sum_to_one_are_refused_with_the_worst_column():
    columns = np.full((3, 5), 1 / 3)
    columns[:, 3] = 0.5
    with refused(
        ValueError,
        "Each column of Y must hold probabilities that sum to 1 for a softmax output",
        "column 3 sums to 1.5",
        "Pass one-hot columns, or class codes.",
    ):
        cost(Y=columns, network=CLASSES)


def test_negative_softmax_targets_are_refused_though_their_column_sums_to_one():
    columns = np.full((3, 5), 1 / 3)
    columns[:, 1] = [1.5, -0.25, -0.25]
    with refused(ValueError, "probabilities that sum to 1", "the smallest entry is -0.25"):
        cost(Y=columns, network=CLASSES)


def test_soft_softmax_targets_are_accepted():
    assert np.isfinite(cost(Y=np.full((3, 5), 1 / 3), network=CLASSES)[0])


def test_smoothed_labels_of_many_classes_are_accepted_in_float32():
    """Their sum is 1 to rounding, if it is not itself taken in float32."""
    n_classes = 1000
    columns = np.full((n_classes, 5), 0.1 / n_classes)
    columns[0] += 0.9
    network = Network((2, n_classes), output="softmax")
    theta = initial(network, "float32")
    assert np.isfinite(cost(X.astype("float32"), columns, network, theta, backend="numpy")[0])


def test_negative_exp_targets_are_refused():
    expected = "Y must not be negative for exp output units, whose cost is the Poisson deviance"
    with refused(ValueError, expected, "its smallest entry is -2"):
        cost(Y=[0, 1, -2, 3, -1], network=COUNTS)


def test_any_finite_identity_targets_are_accepted():
    assert np.isfinite(cost(Y=[-3.5, 0, 1e6, 2, 7], network=VALUES)[0])


# Weights


@TAKES_Y
def test_negative_weights_are_refused_with_their_place(call):
    with refused(ValueError, "sample_weight must not be negative; sample_weight[3] is -0.5."):
        call(sample_weight=[1, 0, 2, -0.5, 1])


@TAKES_Y
def test_weights_that_are_all_zero_are_refused(call):
    expected = "sample_weight is 0 for every sample; at least one must be positive."
    with refused(ValueError, expected):
        call(sample_weight=np.zeros(5))


# What is no array of real numbers


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([[0, 1, 0, 1, 1]], dtype=object), "object"),
        ([[0, 1, None, 1, 1]], "object"),
        (None, "object"),
        ([[0, 1, 2**70, 1, 1]], "object"),
        ([["0", "1", "0", "1", "1"]], "<U1"),
        ([[b"0", b"1", b"0", b"1", b"1"]], "|S1"),
        ([[0j, 1, 0, 1, 1]], "complex128"),
    ],
)
def test_entries_that_are_not_real_numbers_are_refused(values, dtype):
    flat = None if values is None else np.asarray(values)[0]
    one_input = Network((1, 1))
    for argument, call in [
        ("X", lambda: forward(values, one_input)),
        ("Y", lambda: cost(Y=values)),
        ("sample_weight", lambda: cost(sample_weight=flat)),
        ("theta", lambda: forward(theta=flat)),
        ("X_val", lambda: short_train(network=one_input, X=X[:1], X_val=values, Y_val=Y)),
        ("Y_val", lambda: short_train(X_val=X, Y_val=values)),
    ]:
        if values is None and argument not in ("X", "Y"):
            continue  # None has a meaning there
        came = f"{argument} has dtype {dtype}; expected real numbers"
        with refused(TypeError, came, f"pass np.asarray({argument}, dtype=float)"):
            call()


@pytest.mark.parametrize(
    ("dtype", "held"),
    [
        ("datetime64[s]", "dates (datetime64[s])"),
        ("timedelta64[s]", "time differences (timedelta64[s])"),
        ([("a", float)], "records (void64)"),
    ],
)
def test_dates_times_and_records_are_refused_in_words(dtype, held):
    values, one_input = np.zeros((1, 5), dtype=dtype), Network((1, 1))
    for argument, call in [
        ("X", lambda: forward(values, one_input)),
        ("Y", lambda: cost(Y=values)),
        ("sample_weight", lambda: cost(sample_weight=values[0])),
        ("theta", lambda: forward(theta=values[0])),
        ("X_val", lambda: short_train(network=one_input, X=X[:1], X_val=values, Y_val=Y)),
        ("Y_val", lambda: short_train(X_val=X, Y_val=values)),
    ]:
        with refused(TypeError, f"{argument} holds {held}; expected numbers"):
            call()


def test_class_labels_in_words_are_refused():
    with refused(TypeError, "Y has dtype <U3; expected real numbers"):
        cost(Y=["oak", "elm", "ash", "elm", "oak"], network=CLASSES)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
def test_sparse_matrices_are_refused_and_told_how_to_become_dense(kind):
    name = kind.__name__
    with refused(TypeError, f"X is a sparse {name}; pass X.toarray()."):
        forward(kind(X))
    with refused(TypeError, f"Y is a sparse {name}; pass Y.toarray()."):
        cost(Y=kind(Y.reshape(1, -1)))


def test_masked_arrays_are_refused_and_told_what_to_do():
    for mask in (False, X > 0.8):
        with refused(TypeError, "X is a masked array; fill or drop what is masked", "X.filled("):
            forward(np.ma.masked_array(X, mask))
    with refused(TypeError, "sample_weight is a masked array"):
        cost(sample_weight=np.ma.masked_array(WEIGHTS))


def test_rows_of_different_lengths_are_refused():
    with refused(ValueError, "X is not a rectangular array of numbers"):
        forward([[0, 1, 0], [1, 0]])
    with refused(ValueError, "Y is not a rectangular array of numbers"):
        cost(Y=[[0, 1], [1]])


# Parameters


@pytest.mark.parametrize(
    "wrong", [THETA[:-1], np.zeros(14), THETA.reshape(1, -1), THETA.reshape(-1, 1), 0.0, []]
)
def test_a_parameter_vector_of_another_shape_is_refused(wrong):
    expected = "theta must have shape (13,), one entry per weight and bias of this network"
    for call in (forward, cost, short_train):
        with refused(ValueError, expected, f"got shape {np.shape(wrong)}."):
            call(theta=wrong)


@pytest.mark.parametrize(("of_X", "of_theta"), [("float64", "float32"), ("float32", "float64")])
def test_parameters_of_another_dtype_than_the_data_are_refused(of_X, of_theta):
    theta = THETA.astype(of_theta)
    for call in (forward, cost, short_train):
        with refused(
            TypeError,
            f"theta has dtype {of_theta} but X is computed in {of_X}",
            f"theta.astype('{of_X}')",
        ):
            call(X.astype(of_X), theta=theta)
        call(X.astype(of_X), theta=theta.astype(of_X))  # the advice helps


# Ranges of float32


@TAKES_Y
def test_float64_targets_too_large_for_float32_data_are_refused(call):
    with refused(ValueError, "Y[0, 1] is 1e+300, too large for float32", "pass float64 data"):
        theta = initial(VALUES, "float32")
        call(X.astype("float32"), [[0, 1e300, 0, 1, 1]], VALUES, theta=theta)
    call(X, [[0, 1e100, 0, 1, 1]], VALUES)


def test_float64_validation_inputs_too_large_for_float32_training_are_refused():
    with refused(ValueError, "X_val[1, 0] is 1e+300, too large for float32"):
        short_train(X.astype("float32"), X_val=[[0.5], [1e300]], Y_val=[1])


# Names and counts


@pytest.mark.parametrize("name", ["ReLU", "logistic", "", None, 3])
def test_an_unknown_activation_is_refused_and_the_known_ones_listed(name):
    expected = f"hidden must be {listed(HIDDEN_UNITS)}; got {name!r}."
    with refused(ValueError, expected):
        Network((2, 3, 3, 1), hidden=("tanh", name))


@pytest.mark.parametrize("name", ["tanh", "Sigmoid", None, 3, ("sigmoid",)])
def test_an_unknown_output_unit_is_refused_and_the_known_ones_listed(name):
    expected = f"output must be 'sigmoid', 'softmax', 'identity' or 'exp'; got {name!r}."
    with refused(ValueError, expected):
        Network((2, 3, 1), output=name)


@pytest.mark.parametrize("name", ["cuda", "NumPy", "", 3, ["numpy"]])
def test_an_unknown_backend_is_refused_and_the_known_ones_listed(name):
    for call in (forward, cost, short_train):
        with refused(ValueError, f"backend must be 'numpy', 'loops' or 'tiled'; got {name!r}."):
            call(backend=name)


@pytest.mark.parametrize("name", ["GD", "newton", None, 1])
def test_an_unknown_solver_is_refused_and_the_known_ones_listed(name):
    with refused(ValueError, f"solver must be 'gd', 'sgd', 'adam', 'lbfgs' or 'lm'; got {name!r}."):
        short_train(solver=name)


@pytest.mark.parametrize("name", ["linear", None])
def test_an_unknown_schedule_is_refused_and_the_known_ones_listed(name):
    known = "'constant', 'invscaling', 'adaptive' or 'cosine'"
    expected = f"schedule must be {known}; got {name!r}."
    with refused(ValueError, expected):
        short_train(schedule=name)


def test_schedules_are_for_the_minibatch_solvers():
    for solver, schedule in itertools.product(("gd", "lbfgs"), ("invscaling", "adaptive")):
        expected = f"schedule='{schedule}' is not available for solver='{solver}'; pass schedule="
        with refused(NotImplementedError, expected):
            short_train(solver=solver, schedule=schedule)


@pytest.mark.parametrize("sizes", [(), (3,), [2], np.array([4]), 3, "2-4-1", "24"])
def test_sizes_of_fewer_than_two_layers_are_refused(sizes):
    expected = "sizes must list the units of at least two layers, inputs and outputs, such as"
    with refused(ValueError, expected, f"got {sizes!r}."):
        Network(sizes)


@pytest.mark.parametrize(
    "sizes",
    [
        2.0,
        None,
        np.int64(3),
        {2, 4, 1},
        {2: 4, 1: 1},
        b"ab",
        (n for n in (2, 4, 1)),
        np.ones((2, 3), dtype=int),
    ],
)
def test_sizes_that_are_no_sequence_are_refused_in_the_same_words(sizes):
    """A set has no order; bytes are numbers only by accident."""
    with pytest.raises((TypeError, ValueError), match="sizes must list the units"):
        Network(sizes)


@pytest.mark.parametrize(("size", "layer"), [(0, 0), (-3, 1), (0, 2)])
def test_layers_of_no_units_are_refused_with_their_place(size, layer):
    sizes = [2, 4, 1]
    sizes[layer] = size
    with refused(ValueError, f"sizes[{layer}] must be at least 1; got {size}."):
        Network(sizes)


@pytest.mark.parametrize("size", [4.0, 4.5, True, np.True_, "4", None, (4,), np.nan])
def test_sizes_that_are_not_whole_numbers_are_refused_with_their_place(size):
    with refused(TypeError, f"sizes[1] must be a whole number; got {size!r}."):
        Network((2, size, 1))


def test_sizes_may_be_any_integers():
    for sizes in ([2, 3, 1], np.array([2, 3, 1]), (np.int32(2), np.uint8(3), np.int64(1))):
        network = Network(sizes)
        assert network == NETWORK
        assert all(type(size) is int for size in network.sizes)


@pytest.mark.parametrize("names", [(), ("tanh",), ("tanh", "relu", "tanh")])
def test_another_number_of_activations_than_hidden_layers_is_refused(names):
    expected = "hidden must be one name, or one for each of the 2 hidden layers"
    with refused(ValueError, expected, f"got {len(names)} names."):
        Network((2, 3, 3, 1), hidden=names)


@pytest.mark.parametrize("hidden", [None, 5, np.nan])
def test_hidden_activations_that_are_no_names_are_refused_in_words_of_the_project(hidden):
    with pytest.raises((TypeError, ValueError), match="hidden must be"):
        Network((2, 3, 1), hidden=hidden)


@pytest.mark.parametrize("hidden", [None, 5, "no such unit"])
def test_whatever_hidden_is_it_is_ignored_where_there_is_no_hidden_layer(hidden):
    assert Network((2, 1), hidden=hidden).hidden == ()


def test_messages_list_names_as_people_do():
    assert listed(["a"]) == "'a'"
    assert listed(["a", "b"]) == "'a' or 'b'"
    assert listed(["a", "b", "c"]) == "'a', 'b' or 'c'"


# Numbers

NOT_NUMBERS: list[Any] = ["fast", b"1", None, True, 1j, [0.1], np.zeros(2), {}]


@pytest.mark.parametrize(
    ("argument", "call", "least"),
    [
        ("alpha", cost, "at least 0"),
        ("alpha", short_train, "at least 0"),
        ("tol", short_train, "at least 0"),
        ("learning_rate", short_train, "above 0"),
        ("max_time", short_train, "above 0"),
    ],
)
def test_numbers_out_of_range_or_no_numbers_are_refused(argument, call, least):
    for value in (-1, -1e-300, np.nan, np.inf, -np.inf, *([0, -0.0] if "above" in least else [])):
        expected = f"{argument} must be finite and {least}; got {value:g}."
        with refused(ValueError, expected):
            call(**{argument: value})
    for no_number in NOT_NUMBERS:
        if no_number is None and argument == "max_time":
            continue  # no limit
        wanted = "a number"
        if (argument, call) == ("alpha", short_train) and isinstance(no_number, str):
            wanted = "a number of at least 0, or 'evidence'"
        with refused(TypeError, f"{argument} must be {wanted}; got {no_number!r}."):
            call(**{argument: no_number})


@pytest.mark.parametrize(
    "value", [np.True_, [[1], [2, 3]], np.complex128(1), 10**400], ids=lambda value: repr(value)[:9]
)
def test_numbers_of_odd_kinds_are_refused_in_the_same_words(value):
    with pytest.raises((TypeError, ValueError), match="alpha must be"):
        cost(alpha=value)


def test_numbers_may_be_of_any_real_kind():
    expected = everything(alpha=0.5)
    for value in (np.float32(0.5), np.float16(0.5), np.array(0.5)):
        assert everything(alpha=value) == expected
    assert everything(alpha=1) == everything(alpha=1.0)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("n_threads", cost),
        ("n_threads", short_train),
        ("max_iter", short_train),
        ("n_iter_no_change", short_train),
    ],
)
def test_counts_below_one_or_not_whole_are_refused(argument, call):
    for value in (0, -2):
        with refused(ValueError, f"{argument} must be at least 1; got {value}."):
            call(**{argument: value})
    for no_count in (1.5, 2.0, True, "2", [2], np.nan):
        with refused(TypeError, f"{argument} must be a whole number; got {no_count!r}."):
            call(**{argument: no_count})


def test_seeds_below_zero_or_not_whole_are_refused():
    for call in (short_train, lambda seed: NETWORK.initial_parameters(seed)):
        with refused(ValueError, "seed must be at least 0; got -1."):
            call(seed=-1)
        for value in (1.5, None, "0", False):
            with refused(TypeError, f"seed must be a whole number; got {value!r}."):
                call(seed=value)


def test_a_bad_seed_is_refused_even_if_the_parameters_are_given():
    with refused(ValueError, "seed must be at least 0; got -1."):
        short_train(theta=THETA, seed=-1)


@pytest.mark.parametrize("learning_rate", [1e-60, 1e60])
def test_a_learning_rate_that_float32_cannot_hold_is_refused(learning_rate):
    """As 0 it would leave the parameters as they are, without a word."""
    with refused(ValueError, "learning_rate", "float32"):
        short_train(X.astype("float32"), learning_rate=learning_rate)


def test_a_callback_that_cannot_be_called_is_refused():
    with refused(TypeError, "callback must be a function of one Iteration; got 'print'."):
        short_train(callback="print")


def test_what_is_no_network_is_refused():
    with refused(TypeError, "net must be an engine.Network; got tuple."):
        short_train(network=(2, 3, 1))


# Validation data


def test_validation_inputs_and_targets_go_together():
    expected = "X_val and Y_val go together: pass both, or neither."
    for alone in ({"X_val": X}, {"Y_val": Y}):
        with refused(ValueError, expected):
            short_train(**alone)


@pytest.mark.parametrize(
    ("X_val", "Y_val", "text"),
    [
        (X.T, Y, "X_val must have shape (2, n_samples)"),
        (X.T, Y, "pass X_val.T"),
        (X[:, 0], Y[:1], "pass X_val.reshape(-1, 1)"),
        (with_entry(X, (1, 4), np.inf), Y, "the first at X_val[1, 4] (inf)"),
        (np.empty((2, 0)), [], "X_val holds no samples"),
        (X, Y[:3], "Y_val must have shape (1, 5) or (5,)"),
        (X, Y.reshape(-1, 1), "pass Y_val.T"),
        (X, 3 * Y, "Y_val must be 0 or 1"),
        (X, with_entry(Y.reshape(1, -1), (0, 2), np.nan), "the first at Y_val[0, 2] (nan)"),
    ],
)
def test_messages_about_validation_data_name_them(X_val, Y_val, text):
    with refused(ValueError, text):
        short_train(X_val=X_val, Y_val=Y_val)


def test_messages_about_validation_classes_name_them():
    with refused(ValueError, "Y_val must hold class codes 0 to 2", "Y_val[1] is 7"):
        short_train(Y=[0, 1, 2, 1, 0], network=CLASSES, X_val=X[:, :2], Y_val=[0, 7])


# What is accepted, and as what


class Duck:
    """An array of another library."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype=dtype)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array):
    """A view of every second entry of a larger array."""
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7.7, dtype=array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def reversed_twice(array):
    """A view with negative strides."""
    return np.flip(np.flip(array).copy())


def unaligned(array):
    """A view that begins one byte too late for its dtype."""
    memory = np.zeros(array.nbytes + 1, dtype=np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[:] = array
    assert not view.flags.aligned
    return view


LAYOUTS: dict[str, Callable[..., Any]] = {
    "Fortran order": np.asfortranarray,
    "transposed rows": lambda array: array.T.copy().T,
    "read-only": read_only,
    "strided": strided,
    "negative strides": reversed_twice,
    "unaligned": unaligned,
    "duck": Duck,
    "subclass": lambda array: array.view(np.memmap),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bits_do_not_depend_on_the_memory_layout(layout, dtype, backend):
    change = LAYOUTS[layout]
    data, weights = X.astype(dtype), WEIGHTS.astype(dtype)
    targets = np.array([[0.25, 1, 0, 0.5, 1]]).astype(dtype)
    plain = everything(data, targets, dtype=dtype, sample_weight=weights, backend=backend)
    changed = everything(
        change(data), change(targets), dtype=dtype, sample_weight=change(weights), backend=backend
    )
    assert changed == plain
    theta = THETA.astype(dtype)
    assert forward(data, theta=change(theta)).tobytes() == forward(data, theta=theta).tobytes()
    assert short_train(data, theta=change(theta)).fingerprint == (
        short_train(data, theta=theta).fingerprint
    )


@pytest.mark.compiled
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_memory_layout_is_compiled_for_again(layout):
    kernels: list[Any] = [LOOPS.forward_pass, LOOPS.gradient_pass, LOOPS.mean_gradient]
    change = LAYOUTS[layout]
    everything(backend="loops")
    forward(X, theta=THETA, backend="loops")
    before = [kernel.signatures for kernel in kernels]
    forward(change(X), theta=change(THETA), backend="loops")
    cost(change(X), change(Y.astype(float)), theta=change(THETA), backend="loops")
    assert [kernel.signatures for kernel in kernels] == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_flat_targets_and_codes_is_accepted(layout):
    change = LAYOUTS[layout]
    assert everything(Y=change(Y.astype(float))) == everything()
    codes = np.array([0, 2, 1, 1, 2])
    assert everything(Y=change(codes), network=CLASSES) == everything(Y=codes, network=CLASSES)


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint8", "int64", "uint64", "float16", ">f8", "<f8", ">i4", "longdouble"],
)
def test_whatever_is_not_float32_is_computed_in_float64(dtype):
    whole = np.array([[0, 1, 1, 0, 1], [1, 0, 1, 0, 0]], dtype=float)
    weights = np.array([1, 0, 1, 1, 0])
    plain = everything(whole, Y.astype(float), sample_weight=weights.astype(float))
    same = everything(whole.astype(dtype), Y.astype(dtype), sample_weight=weights.astype(dtype))
    assert same == plain
    assert everything(whole.tolist(), Y.tolist(), sample_weight=weights.tolist()) == plain
    assert everything(tuple(map(tuple, whole)), tuple(Y), sample_weight=tuple(weights)) == plain
    assert forward(whole.astype(dtype)).dtype == np.float64


def test_float32_is_computed_in_float32():
    data = X.astype("float32")
    theta = initial(NETWORK, "float32")
    assert forward(data, theta=theta).dtype == np.float32
    assert cost(data, theta=theta)[1].dtype == np.float32
    assert type(cost(data, theta=theta)[0]) is float
    assert short_train(data).theta.dtype == np.float32


def test_float32_in_the_other_byte_order_is_computed_in_float32():
    theta = initial(NETWORK, "float32")
    swapped = X.astype("float32").astype(">f4" if np.little_endian else "<f4")
    assert forward(swapped, theta=theta).dtype == np.float32
    assert short_train(swapped).fingerprint == short_train(X.astype("float32")).fingerprint


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parameters_in_the_other_byte_order_are_accepted(dtype):
    theta, data = initial(NETWORK, dtype), X.astype(dtype)
    swapped = theta.astype(theta.dtype.newbyteorder())
    assert forward(data, theta=swapped).tobytes() == forward(data, theta=theta).tobytes()
    assert short_train(data, theta=swapped).fingerprint == short_train(data).fingerprint


def test_a_result_in_the_place_of_its_parameters_is_refused():
    network, X = Network((2, 1)), [[0.0, 1.0], [1.0, 0.0]]
    result = train(network, X, [0, 1], max_iter=1)
    for call in (network.forward, network.input_jacobian, network.parameter_jacobian):
        with pytest.raises(
            TypeError, match=r"got a TrainResult. Pass its parameters, result\.theta"
        ):
            call(result, X)
    with pytest.raises(TypeError, match=r"got a TrainResult. Pass its parameters, result\.theta"):
        network.views(result)


def test_a_list_of_parameters_is_accepted():
    assert forward(theta=THETA.tolist()).tobytes() == forward(theta=THETA).tobytes()


def test_no_weights_are_weights_of_one():
    assert everything(sample_weight=np.ones(5)) == everything(sample_weight=None) == everything()


def test_results_are_new_arrays_in_c_order():
    A = forward(np.asfortranarray(X), network=CLASSES)
    assert A.shape == (3, 5)
    assert A.flags.c_contiguous
    assert A.flags.owndata
    assert not np.shares_memory(A, forward(X, network=CLASSES))


# The caller's arrays


@pytest.mark.parametrize("writeable", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("network", [NETWORK, CLASSES, COUNTS, VALUES], ids=lambda net: net.output)
def test_the_arrays_of_the_caller_are_never_written_to(network, dtype, writeable, backend):
    codes = np.array([0, 2, 1, 1, 2])
    targets = [Y, Y.reshape(1, -1).astype(dtype)]
    if network is CLASSES:
        targets = [codes, np.eye(3, dtype=dtype)[codes].T]
    for order, target in itertools.product("CF", targets):
        given = {
            "X": X.astype(dtype, order=order),
            "Y": np.array(target, order=order),
            "sample_weight": WEIGHTS.astype(dtype),
            "theta": initial(network, dtype),
            "X_val": X[:, ::-1].astype(dtype, order=order),
            "Y_val": np.array(target, order=order),
        }
        for array in given.values():
            array.flags.writeable = writeable
        before = {name: array.tobytes() for name, array in given.items()}
        for_cost = {name: given[name] for name in ("X", "Y", "sample_weight", "theta")}
        network.forward(given["theta"], given["X"], backend)
        network.cost_and_gradient(**for_cost, alpha=0.1, backend=backend)
        short_train(network=network, **given, alpha=0.1, tol=1e-6, backend=backend)
        assert {name: array.tobytes() for name, array in given.items()} == before
        assert all(array.flags.writeable == writeable for array in given.values())


def test_results_never_share_memory_with_the_parameters_given(backend):
    theta, before = THETA.copy(), THETA.tobytes()
    _, dtheta = cost(theta=theta, backend=backend)
    assert not np.shares_memory(dtheta, theta)
    seen = []
    result = short_train(
        theta=theta, max_iter=1, callback=lambda told: seen.append(told.theta), backend=backend
    )
    assert not np.shares_memory(result.theta, theta)
    assert not np.shares_memory(seen[0], theta)
    result.theta[:] = 0
    assert theta.tobytes() == before

    def interrupt(told):
        raise KeyboardInterrupt

    interrupted = short_train(theta=theta, callback=interrupt, backend=backend)
    assert interrupted.theta.tobytes() == before
    assert not np.shares_memory(interrupted.theta, theta)


def test_refused_values_leave_no_warning_behind():
    """Under `python -W error` the message would be lost in a RuntimeWarning."""
    single = X.astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with refused(ValueError, "too large for float32"):
            cost(single, [0, 1e300, 0, 1, 1], VALUES, initial(VALUES, "float32"))
        with refused(ValueError, "probabilities that sum to 1"):
            cost(Y=np.full((3, 5), 1e308), network=CLASSES)
        with refused(ValueError, "class codes 0 to 2"):
            cost(Y=[0, np.nan, np.inf, -np.inf, 1], network=CLASSES)


def test_labels_in_words_get_advice_on_numbering_them():
    with refused(TypeError, "Y has dtype <U3", "np.unique(Y, return_inverse=True)[1]"):
        cost(Y=np.array(["one", "two", "one", "two", "one"]))


@pytest.mark.parametrize("weight", [1e308, 1e-320])
def test_weights_whose_sum_is_out_of_range_are_refused(weight):
    weights = np.full(5, weight)
    data = X if weight > 1 else X.astype("float32")
    theta = THETA.astype(data.dtype)
    with refused(ValueError, "sample_weight adds up to", "scale the weights"):
        cost(data, theta=theta, sample_weight=weights)


def test_a_small_negative_weight_is_refused_in_float32_too():
    with refused(ValueError, "sample_weight must not be negative; sample_weight[0] is -1e-60"):
        cost(X.astype("float32"), theta=THETA.astype("float32"), sample_weight=[-1e-60, 1, 1, 1, 1])


def test_initial_parameters_are_in_the_byte_order_of_the_machine():
    assert NETWORK.initial_parameters(dtype=">f8").dtype.isnative


# Losses


@pytest.mark.parametrize(
    ("output", "known"),
    [
        ("identity", "'squared_error', 'absolute_error', 'huber' or 'quantile'"),
        ("exp", "'poisson' or 'gamma'"),
        ("sigmoid", "'cross_entropy'"),
        ("softmax", "'cross_entropy'"),
    ],
)
@pytest.mark.parametrize("name", ["mse", "", "Huber", "compiled"])
def test_an_unknown_loss_is_refused_and_those_of_the_output_listed(output, known, name):
    expected = f"loss must be {known} for {output} output units, or one of engine.losses; got "
    with refused(ValueError, f"{expected}{name!r}."):
        Network((2, 1), output=output, loss=name)


def test_a_loss_of_other_output_units_is_refused_and_told_where_it_goes():
    for output, name, of in (
        ("identity", "poisson", "'exp'"),
        ("exp", "huber", "'identity'"),
        ("identity", "cross_entropy", "'sigmoid' or 'softmax'"),
        ("sigmoid", "tweedie", "'exp'"),
    ):
        with refused(ValueError, f"got {name!r}. {name!r} goes with {of} output units."):
            Network((2, 1), output=output, loss=name)
    for output, loss, of in (
        ("exp", losses.Huber(2.0), "Huber(delta=2) goes with 'identity'"),
        ("sigmoid", losses.Tweedie(1.5), "Tweedie(1.5) goes with 'exp'"),
        ("softmax", losses.Quantile([0.1, 0.9]), "Quantile([0.1, 0.9]) goes with 'identity'"),
        ("identity", losses.Loss("gamma"), "Loss('gamma') goes with 'exp'"),
        ("softmax", losses.Compiled(own_losses.huber), "Compiled(huber, output='identity') goes"),
    ):
        has = f"this network has {output} output units. Choose another output or another loss."
        with refused(ValueError, f"The loss {of}", has):
            Network((2, 2), output=output, loss=loss)
    own = losses.Compiled(own_losses.huber)
    for loss in (own, own.without_function()):
        with refused(
            ValueError, "has exp output units. Pass losses.Compiled(huber, output='exp')."
        ):
            Network((2, 2), output="exp", loss=loss)


def test_what_is_no_loss_is_refused_and_told_what_to_pass():
    expected = "loss must be a name or one of engine.losses; got "
    for wrong in (3, 0.5, ["huber"], {"huber": 1.0}):
        with refused(TypeError, f"{expected}{type(wrong).__name__}."):
            Network((2, 1), output="identity", loss=wrong)
    advice = "got function. For a function of your own, pass losses.Compiled(function)."
    with refused(TypeError, advice):
        Network((2, 1), output="identity", loss=own_losses.huber)
    for kind in (losses.Huber, losses.Quantile, losses.Tweedie, losses.Compiled):
        expected = "loss must be an object, such as losses.Huber(1.0); got the class "
        with refused(TypeError, f"{expected}{kind.__name__}."):
            Network((2, 1), output="identity", loss=kind)


def test_a_name_that_needs_a_number_is_told_how_to_get_it():
    expected = "has no default for its power: pass engine.losses.Tweedie(power)."
    with refused(ValueError, expected):
        Network((2, 1), output="exp", loss="tweedie")
    with refused(ValueError, expected):
        losses.Loss("tweedie")
    for wrong in ("mse", ["huber"], None, 3):
        with refused(ValueError, "A loss must be 'cross_entropy', ", f"'gamma'; got {wrong!r}."):
            losses.Loss(wrong)
    advice = "For a function of your own, pass engine.losses.Compiled(function)."
    with refused(ValueError, f"'quantile' or 'gamma'; got 'compiled'. {advice}"):
        losses.Loss("compiled")


def test_the_text_of_a_loss_has_all_digits_of_its_number():
    shown = {repr(losses.Huber(delta)): delta for delta in (1.0, 0.001, 1234567.5, 1 / 3)}
    assert shown == {
        "Huber(delta=1)": 1.0,
        "Huber(delta=0.001)": 0.001,
        "Huber(delta=1234567.5)": 1234567.5,
        f"Huber(delta={1 / 3!r})": 1 / 3,
    }
    assert repr(losses.Tweedie(1 + 1e-12)) == "Tweedie(1.000000000001)"
    assert repr(losses.Tweedie(1.5)) == "Tweedie(1.5)"


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, np.nan, np.inf, [0.1, 1.0], [np.nan], [0.0]])
def test_levels_outside_0_to_1_are_refused(level):
    with refused(ValueError, "level must be above 0 and below 1; got "):
        losses.Quantile(level)


@pytest.mark.parametrize("levels", [[], (), np.array([]), [0.9, 0.1], [0.5, 0.5], (0.1, 0.3, 0.2)])
def test_levels_that_are_none_or_do_not_rise_are_refused(levels):
    expected = "level must be a number, or several that rise from one to the next, such as 0.1, 0"
    with refused(ValueError, expected, f"got {levels!r}."):
        losses.Quantile(levels)


@pytest.mark.parametrize("level", ["0.5", ["0.5"], None, True, {0.5}, [[0.1, 0.9]], [None]])
def test_levels_that_are_no_numbers_are_refused(level):
    with refused(TypeError, "level must be a number; got "):
        losses.Quantile(level)


def test_levels_may_come_in_any_sequence_of_numbers():
    for same in ([0.25, 0.5], (0.25, np.float32(0.5)), np.array([0.25, 0.5])):
        assert losses.Quantile(same) == losses.Quantile([0.25, 0.5])
        assert losses.Quantile(same).levels == (0.25, 0.5)
    assert losses.Quantile(np.array(0.25)) == losses.Quantile(0.25)
    assert losses.Quantile(np.array(0.25)).n_outputs is None
    assert losses.Quantile(0.5) == losses.Quantile(np.float64(0.5)) == losses.Loss("quantile")


@pytest.mark.parametrize("delta", [0, -1.0, np.nan, np.inf])
def test_a_delta_that_is_not_above_0_is_refused(delta):
    with refused(ValueError, f"delta must be finite and above 0; got {delta:g}."):
        losses.Huber(delta)


@pytest.mark.parametrize("power", [0, 1, 2, 0.5, 2.5, np.nan, -np.inf])
def test_a_power_outside_1_to_2_is_refused(power):
    with refused(ValueError, f"power must be above 1 and below 2; got {power:g}."):
        losses.Tweedie(power)
    if power in (0, 1, 2):
        advice = "For 0, 1 and 2 the losses are 'squared_error', 'poisson' and 'gamma'."
        with refused(ValueError, advice):
            losses.Tweedie(power)


@pytest.mark.parametrize("value", ["1.5", None, True, [1.5]])
def test_numbers_of_losses_that_are_no_numbers_are_refused(value):
    with refused(TypeError, f"power must be a number; got {value!r}."):
        losses.Tweedie(value)
    with refused(TypeError, f"delta must be a number; got {value!r}."):
        losses.Huber(value)


@TAKES_Y
def test_targets_outside_the_interval_of_the_loss_are_refused(call):
    gamma = Network((2, 1), output="exp", loss="gamma")
    expected = "Y must be above 0 for exp output units, whose cost is the Gamma deviance"
    advice = "If 0 is a target, choose the loss engine.losses.Tweedie(power) or 'poisson'."
    with refused(ValueError, expected, "its smallest entry is 0.", advice):
        call(Y=[1, 2, 0, 3, 4], network=gamma)
    with pytest.raises(ValueError, match=r"its smallest entry is -1\.$"):
        call(Y=[1, 2, -1, 3, 4], network=gamma)
    tweedie = Network((2, 1), output="exp", loss=losses.Tweedie(1.5))
    expected = "Y must not be negative for exp output units, whose cost is the Tweedie deviance"
    with refused(ValueError, expected, "its smallest entry is -0.5."):
        call(Y=[0, 1, -0.5, 3, 4], network=tweedie)
    call(Y=[0, 1, 2, 3, 4], network=tweedie)


def test_a_loss_of_ones_own_takes_any_finite_targets():
    for output in ("identity", "sigmoid", "exp"):
        network = Network((2, 1), output=output, loss=losses.Compiled(own_losses.huber, output))
        assert np.isfinite(cost(Y=[-3.5, 0, 7, 2, 1], network=network)[0])
    with refused(ValueError, "Y must be finite"):
        cost(Y=[np.nan, 0, 7, 2, 1], network=network)


@pytest.mark.parametrize("n_out", [1, 2, 4])
def test_several_quantiles_need_an_output_unit_each(n_out):
    expected = f"needs 3 output units, one for each level; this network has {n_out}."
    with refused(ValueError, "A loss of 3 quantiles", expected):
        Network((2, n_out), output="identity", loss=losses.Quantile([0.1, 0.5, 0.9]))


FAN = Network((2, 3), output="identity", loss=losses.Quantile([0.1, 0.5, 0.9]))


@TAKES_Y
def test_several_quantiles_have_one_target_and_are_told_so(call):
    expected = "Y must have shape (1, 5) or (5,), one target for all 3 quantiles; got shape "
    y = np.arange(5.0)
    with refused(ValueError, f"{expected}(3, 5). For the same target, pass Y[0]."):
        call(Y=np.tile(y, (3, 1)), network=FAN)
    with refused(ValueError, f"{expected}(5, 1). Its transpose would fit: pass Y.T."):
        call(Y=y.reshape(-1, 1), network=FAN)
    for wrong in (y[:4], np.ones((2, 5)), np.ones((1, 1, 5)), 1.0):
        with refused(ValueError, f"{expected}{np.shape(wrong)}."):
            call(Y=wrong, network=FAN)


def test_one_target_of_several_quantiles_may_be_flat_or_a_row(backend):
    y = np.arange(5.0)
    expected = everything(Y=y, network=FAN, backend=backend)
    assert everything(Y=y.reshape(1, -1), network=FAN, backend=backend) == expected
    assert everything(Y=y.tolist(), network=FAN, backend=backend) == expected
    repeated = Network((2, 3), output="identity", loss="absolute_error")
    with refused(ValueError, "Y must have shape (3, 5), for 3 output units"):
        cost(Y=y, network=repeated)


def test_one_level_is_the_same_for_each_of_several_targets():
    network = Network((2, 3), output="identity", loss=losses.Quantile(0.25))
    both = np.arange(15.0).reshape(3, 5)
    assert np.isfinite(cost(Y=both, network=network)[0])
    assert Network((2, 3), output="identity", loss=losses.Quantile([0.25])) == network


def test_a_network_shows_a_loss_that_is_not_the_default():
    shown = "<Network 2-3: identity output, Quantile([0.1, 0.5, 0.9]), 9 parameters>"
    assert repr(FAN) == shown
    assert repr(Network((2, 1), output="exp", loss="poisson")) == (
        "<Network 2-1: exp output, 3 parameters>"
    )
