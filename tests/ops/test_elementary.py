"""The kernels' elementary functions on sweeps of float32, in units in the last place of the exact value.

Each bound is the largest error found (stated beside it, on either instruction set) and a little room for another
compiler's rounding. The exact values are float64, whose own error, 1e-9 of such a unit, does not show.
"""

import math

import numpy as np
import pytest

# All magnitudes below 89, every 199th float: 5.6 million of either sign. A prime, so that no bit pattern is favoured.
STRIDE = 199


def bits(x):
    return int(np.float32(x).view(np.uint32))


def floats(low, high, stride=STRIDE):
    return np.arange(bits(low), bits(high), stride, dtype=np.uint32).view(np.float32)


def both_signs(high):
    positive = floats(0, high)
    return np.concatenate([positive, -positive])


def errors(got, exact):
    """In units in the last place, which below the normal numbers are 2^-149."""
    exponent = np.frexp(np.maximum(np.abs(exact), 2.0**-126))[1]
    return np.abs(got - exact) * np.exp2(24.0 - exponent)


def excess(x):
    """exp(x) - 1 - x: its series where that would cancel."""
    near = np.abs(x) < 0.5
    small = np.where(near, x, 0)
    series = np.zeros_like(x)
    for k in reversed(range(2, 18)):
        series = series * small + 1 / math.factorial(k)
    return np.where(near, small * small * series, np.expm1(x) - x)


def worst(kernels, isa, function, x, exact):
    return errors(kernels.elementary(function, x, isa=isa).astype(np.float64), exact).max()


def test_exp(kernels, isa):
    x = both_signs(88.72)
    assert worst(kernels, isa, "e", x, np.exp(x.astype(np.float64))) <= 1.5  # 1.462


def test_exp_of_denormal_results(kernels, isa):
    x = -floats(87.3, 104, 7)
    assert worst(kernels, isa, "e", x, np.exp(x.astype(np.float64))) <= 0.85  # 0.795


def test_expm1(kernels, isa):
    x = both_signs(88.72)
    assert worst(kernels, isa, "m", x, np.expm1(x.astype(np.float64))) <= 2.5  # 2.339, near 3.47
    x = x[np.abs(x) < 0.3]
    assert worst(kernels, isa, "m", x, np.expm1(x.astype(np.float64))) <= 1.0  # 0.944


def test_exp_minus_1_minus_x(kernels, isa):
    x = both_signs(88.72)
    x = x[np.abs(x) > 1e-18]  # Of smaller ones it is a denormal or 0.
    assert worst(kernels, isa, "x", x, excess(x.astype(np.float64))) <= 9.0  # 8.756, where its series ends
    x = x[np.abs(x) < 1.3]
    assert worst(kernels, isa, "x", x, excess(x.astype(np.float64))) <= 3.4  # 3.184


def test_exp_minus_1_minus_x_near_0(kernels, isa):
    """No less than 0 anywhere, and 0 to within the smallest denormals where the exact value is one."""
    x = both_signs(1e-18)
    got = kernels.elementary("x", x, isa=isa).astype(np.float64)
    assert (got >= 0).all()
    np.testing.assert_allclose(got, x.astype(np.float64) ** 2 / 2, rtol=0, atol=2 * 2.0**-149 + 1e-36 * 1e-6)


def test_log_of_every_uniform(kernels, isa):
    """All 2^23 values that the Box-Muller step takes the logarithm of."""
    u = np.arange(2**23, dtype=np.float64) / 2**23
    u = np.maximum(u, np.float64(np.float32(1e-7))).astype(np.float32)
    assert worst(kernels, isa, "l", u, np.log(u.astype(np.float64))) <= 1.0  # 0.984


def test_log_of_any_normal_number_up_to_1(kernels, isa):
    """What the function is for: with AVX-512 it takes its table's logarithms to cancel those of powers of 2 above 1."""
    x = floats(2.0**-126, np.nextafter(np.float32(1), np.float32(2)), 211)
    assert worst(kernels, isa, "l", x, np.log(x.astype(np.float64))) <= 1.0  # 0.908


@pytest.fixture(scope="module")
def turns():
    """Every turn, with its exact sine and cosine by reduction to an octant, where float64 angles are exact enough."""
    n = np.arange(2**23)
    quadrant = (n + 2**20) >> 21
    angle = (n - (quadrant << 21)) * (2 * np.pi / 2**23)
    s, c = np.sin(angle), np.cos(angle)
    sin = np.choose(quadrant & 3, [s, c, -s, -c])
    cos = np.choose(quadrant & 3, [c, -s, -c, s])
    return n.astype(np.float32), sin, cos


def test_sin_and_cos_of_every_turn(kernels, isa, turns):
    n, sin, cos = turns
    assert worst(kernels, isa, "s", n, sin) <= 2.1  # 1.842
    assert worst(kernels, isa, "c", n, cos) <= 2.1  # 1.842


def test_special_values(kernels, isa):
    x = np.array([np.inf, -np.inf, np.nan, 0, -0.0, 89, 200, -104, -200], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = np.exp(x), np.expm1(x), np.expm1(x) - x
    for function, expected in zip("emx", exact, strict=True):
        np.testing.assert_allclose(kernels.elementary(function, x, isa=isa), expected, rtol=2e-7, atol=1e-45)


def test_every_nan_stays_one(kernels, isa):
    x = np.concatenate([np.arange(lead + 1, lead + 2**23, 97, dtype=np.uint32) for lead in (0x7F800000, 0xFF800000)])
    x = x.view(np.float32)
    for function in "emx":
        assert np.isnan(kernels.elementary(function, x, isa=isa)).all()
