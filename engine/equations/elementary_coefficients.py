"""Numbers that engine/equations/elementary.py computes with. Generated: do not edit.

Written by `python tools/fit_elementary.py`, which says how; a test holds that it still writes this.
"""

import numpy as np

# ln 2 = high + low; k high is exact for the exponent k of any number
LN2_FLOAT32 = (
    np.float32(0.69314575),
    np.float32(1.4286068e-06),
)
LN2_FLOAT64 = (
    np.float64(0.693147180559663),
    np.float64(2.8235290563031577e-13),
)

# e^r - 1 = r + r^2 (c_0 + c_1 r + ...), |r| <= ln(2)/2
EXPM1_FLOAT32 = (
    np.float32(0.49999997),
    np.float32(0.16666548),
    np.float32(0.04166735),
    np.float32(0.008366809),
    np.float32(0.0013878708),
)
EXPM1_FLOAT64 = (
    np.float64(0.5000000000000006),
    np.float64(0.16666666666666677),
    np.float64(0.04166666666657727),
    np.float64(0.008333333333365545),
    np.float64(0.0013888888931382966),
    np.float64(0.00019841269714762072),
    np.float64(2.4801504909289453e-05),
    np.float64(2.7557447856735723e-06),
    np.float64(2.7626440736797426e-07),
    np.float64(2.5033434329234106e-08),
)

# (1 - e^-2r)/2 = r + r^2 (c_0 + c_1 r + ...), |r| <= ln(2)/4; from EXPM1
TANH_FLOAT32 = (
    np.float32(-0.99999994),
    np.float32(0.6666619),
    np.float32(-0.3333388),
    np.float32(0.13386895),
    np.float32(-0.044411864),
)
TANH_FLOAT64 = (
    np.float64(-1.000000000000001),
    np.float64(0.6666666666666671),
    np.float64(-0.33333333333261816),
    np.float64(0.13333333333384872),
    np.float64(-0.04444444458042549),
    np.float64(0.012698412617447726),
    np.float64(-0.00317459262838905),
    np.float64(0.0007054706651324345),
    np.float64(-0.00014144737657240282),
    np.float64(2.5634236753135724e-05),
)

# log(1 + f) = f - f^2/2 + f^3 (c_0 + c_1 f + ...), 1/sqrt(2) <= 1 + f <= sqrt(2)
LOG1P_FLOAT32 = (
    np.float32(0.33333313),
    np.float32(-0.25000015),
    np.float32(0.20002061),
    np.float32(-0.16667488),
    np.float32(0.142189),
    np.float32(-0.12401857),
    np.float32(0.1188169),
    np.float32(-0.1176335),
    np.float32(0.0693704),
)

# 2 atanh s = 2 s + s^3 (c_0 + c_1 s^2 + ...), |s| <= 3 - 2 sqrt(2)
ATANH_FLOAT64 = (
    np.float64(0.6666666666666734),
    np.float64(0.39999999999416647),
    np.float64(0.2857142874202617),
    np.float64(0.22222198605319748),
    np.float64(0.18183562834883704),
    np.float64(0.15314085322883966),
    np.float64(0.14795627942555856),
)
