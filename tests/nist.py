"""Problems of least squares with certified answers: NIST's Statistical Reference Datasets.

Data and certified values as NIST published them, in the public domain, at
https://www.itl.nist.gov/div898/strd/: the linear problems Longley and Wampler3 to Wampler5, and
five of the nonlinear ones. Their sources: Longley 1967, JASA 62, 819; Wampler 1970, JASA 65, 549;
Ratkowsky 1983, Nonlinear Regression Modeling, pages 61 (Rat42) and 62 (Rat43); Box, Hunter & Hunter
1978, Statistics for Experimenters, page 483 (BoxBOD); Daniel & Wood 1980, Fitting Equations to
Data, page 428 (DanWood); Kowalik & Osborne 1978 (MGH09).
"""

from typing import Any, NamedTuple

import numpy as np


class Linear(NamedTuple):
    """y = b_0 + sum_k b_k x_k + e.

    Attributes
    ----------
    X : ndarray (n_features, m)
    y : ndarray (m,)
    coefficients, errors : ndarray (n_features + 1,)
        b_0 first, and the standard deviations of the estimates.
    sum_of_squares : float
    """

    X: Any
    y: Any
    coefficients: Any
    errors: Any
    sum_of_squares: float


# Columns: prices, gross national product, unemployed, armed forces, population, year; employed.
_LONGLEY = np.array(
    [
        [83.0, 234289, 2356, 1590, 107608, 1947, 60323],
        [88.5, 259426, 2325, 1456, 108632, 1948, 61122],
        [88.2, 258054, 3682, 1616, 109773, 1949, 60171],
        [89.5, 284599, 3351, 1650, 110929, 1950, 61187],
        [96.2, 328975, 2099, 3099, 112075, 1951, 63221],
        [98.1, 346999, 1932, 3594, 113270, 1952, 63639],
        [99.0, 365385, 1870, 3547, 115094, 1953, 64989],
        [100.0, 363112, 3578, 3350, 116219, 1954, 63761],
        [101.2, 397469, 2904, 3048, 117388, 1955, 66019],
        [104.6, 419180, 2822, 2857, 118734, 1956, 67857],
        [108.4, 442769, 2936, 2798, 120445, 1957, 68169],
        [110.8, 444546, 4681, 2637, 121950, 1958, 66513],
        [112.6, 482704, 3813, 2552, 123366, 1959, 68655],
        [114.2, 502601, 3931, 2514, 125368, 1960, 69564],
        [115.7, 518173, 4806, 2572, 127852, 1961, 69331],
        [116.9, 554894, 4007, 2827, 130081, 1962, 70551],
    ]
)

_POWERS = np.arange(21.0) ** np.arange(1, 6)[:, np.newaxis]
_HALF = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
_WAMPLER_NOISE = np.array([*_HALF, 2048, *_HALF[::-1]], float)
_WAMPLER3_ERRORS = np.array(
    [
        2152.32624678170,
        2363.55173469681,
        779.343524331583,
        101.475507550350,
        5.64566512170752,
        0.112324854679312,
    ]
)


def _wampler(scale: float) -> Linear:
    """y = 1 + x + ... + x^5, with noise that is orthogonal to the powers of x."""
    return Linear(
        _POWERS,
        1 + _POWERS.sum(axis=0) + scale * _WAMPLER_NOISE,
        np.ones(6),
        scale * _WAMPLER3_ERRORS,
        scale**2 * 83554268.0,
    )


LINEAR = {
    "Longley": Linear(
        _LONGLEY[:, :6].T,
        _LONGLEY[:, 6],
        np.array(
            [
                -3482258.63459582,
                15.0618722713733,
                -0.358191792925910e-01,
                -2.02022980381683,
                -1.03322686717359,
                -0.511041056535807e-01,
                1829.15146461355,
            ]
        ),
        np.array(
            [
                890420.383607373,
                84.9149257747669,
                0.334910077722432e-01,
                0.488399681651699,
                0.214274163161675,
                0.226073200069370,
                455.478499142212,
            ]
        ),
        836424.055505915,
    ),
    "Wampler3": _wampler(1.0),
    "Wampler4": _wampler(100.0),
    "Wampler5": _wampler(10000.0),
}


class Curve(NamedTuple):
    """y against one x."""

    x: Any
    y: Any


CURVES = {
    "Rat42": Curve(
        np.array([9.0, 14, 21, 28, 42, 57, 63, 70, 79]),
        np.array([8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08]),
    ),
    "Rat43": Curve(
        np.arange(1.0, 16),
        np.array(
            [
                *(16.08, 33.83, 65.80, 97.20, 191.55, 326.20, 386.87, 520.53),
                *(590.03, 651.92, 724.93, 699.56, 689.96, 637.56, 717.41),
            ]
        ),
    ),
    "BoxBOD": Curve(np.array([1.0, 2, 3, 5, 7, 10]), np.array([109.0, 149, 149, 191, 213, 224])),
    "DanWood": Curve(
        np.array([1.309, 1.471, 1.490, 1.565, 1.611, 1.680]),
        np.array([2.138, 3.421, 3.597, 4.340, 4.882, 5.660]),
    ),
    "MGH09": Curve(
        np.array([4.0, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625]),
        np.array(
            [
                *(0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627),
                *(0.0456, 0.0342, 0.0323, 0.0235, 0.0246),
            ]
        ),
    ),
}


class Logistic(NamedTuple):
    """Rat42's certified answer: y = b_1 / (1 + exp(b_2 - b_3 x)) + e, with 6 degrees of freedom."""

    starts: tuple[tuple[float, float, float], ...] = ((100, 1, 0.1), (75, 2.5, 0.07))
    parameters: tuple[float, float, float] = (7.2462237576e01, 2.6180768402, 6.7359200066e-02)
    errors: tuple[float, float, float] = (1.7340283401, 8.8295217536e-02, 3.4465663377e-03)
    sum_of_squares: float = 8.0565229338
    residual_deviation: float = 1.1587725499


RAT42 = Logistic()
