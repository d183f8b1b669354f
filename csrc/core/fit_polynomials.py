"""Fit the minimax polynomials of ``polynomials.h`` (Remez exchange, 110 digits) and print them with their error bounds.

Run ``python csrc/core/fit_polynomials.py`` (needs mpmath) to reproduce every coefficient of that file.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np

mp.mp.dps = 110


def remez(target: Callable, weight: Callable, low: float, high: float, degree: int) -> tuple[list, mp.mpf]:
    """Return the coefficients that minimise ``max |weight (target - polynomial)|`` on [low, high], and that maximum."""
    count = degree + 2
    low, high = mp.mpf(low), mp.mpf(high)
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
    for _ in range(12):
        system = mp.matrix(count, count)
        values = mp.matrix(count, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, degree + 1] = (-1) ** i / weight(x)
            values[i] = target(x)
        solution = mp.lu_solve(system, values)
        coefficients = [solution[j] for j in range(degree + 1)]
        nodes, worst = _extrema(target, weight, coefficients, low, high, count)
        if worst < abs(solution[degree + 1]) * (1 + mp.mpf(10) ** -6):
            break
    return coefficients, worst


def _extrema(target, weight, coefficients, low, high, count):  # type: ignore[no-untyped-def]
    grid = [low + (high - low) * i / 1500 for i in range(1501)]
    errors = [weight(x) * (target(x) - mp.polyval(coefficients[::-1], x)) for x in grid]
    picked: list[int] = []
    for i, error in enumerate(errors):
        if picked and mp.sign(errors[picked[-1]]) == mp.sign(error):
            if abs(error) > abs(errors[picked[-1]]):
                picked[-1] = i
        else:
            picked.append(i)
    while len(picked) > count:
        picked.pop(0 if abs(errors[picked[0]]) < abs(errors[picked[-1]]) else -1)
    return [grid[i] for i in picked], max(abs(error) for error in errors)


def _away(x: mp.mpf) -> mp.mpf:
    return x if abs(x) > mp.mpf(10) ** -25 else mp.mpf(10) ** -25


def half_exp_tail(x: mp.mpf) -> mp.mpf:
    """``(exp(x / 2) - 1 - x / 2) / x^2``."""
    x = _away(x)
    return (mp.expm1(x / 2) - x / 2) / x**2


def minus_two_log_tail(x: mp.mpf) -> mp.mpf:
    """``-2 (log(1 + x) - x + x^2/2) / x^3``."""
    x = _away(x)
    return -2 * (mp.log1p(x) - x + x**2 / 2) / x**3


def sin_ratio(y: mp.mpf) -> mp.mpf:
    """``sin(2 pi sqrt y) / sqrt y``."""
    t = mp.sqrt(_away(y))
    return mp.sin(2 * mp.pi * t) / t


def cos_ratio(y: mp.mpf) -> mp.mpf:
    """``(cos(2 pi sqrt y) - 1) / y``."""
    t = mp.sqrt(_away(y))
    return (mp.cos(2 * mp.pi * t) - 1) / t**2


def table_tail(s: mp.mpf) -> mp.mpf:
    """``(-2 log(1 - s/2) - s) / s^2``."""
    s = _away(s)
    return (-2 * mp.log1p(-s / 2) - s) / s**2


def table_weight(s: mp.mpf) -> mp.mpf:
    """Return ``s^2`` over the logarithm that ``table_tail(s)`` is a part of: all of it, or at least 1/16 for s < 0."""
    s = _away(s)
    return abs(s) if s > 0 else 16 * s**2


def log_table() -> tuple[list, list]:
    """Return ``-2 c`` and ``2 log c`` for 16 floats c near the reciprocals of the middles of [1/2 + i/32, ...)."""
    reciprocals, logarithms = [], []
    for i in range(15):
        middle = np.float32(1 / (0.5 + (i + 0.5) / 32))
        nearby = (middle.view(np.int32) + np.arange(-2000, 2001, dtype=np.int32)).view(np.float32)

        def distance(c: np.float32) -> mp.mpf:
            exact = 2 * mp.log(mp.mpf(float(c)))
            rounded = np.float32(float(exact))
            return abs(mp.mpf(float(rounded)) - exact) / float(np.spacing(rounded))

        best = min(nearby, key=lambda c: (distance(c), abs(c - middle)))
        reciprocals.append(-2 * best)
        logarithms.append(np.float32(float(2 * mp.log(mp.mpf(float(best))))))
    return [*reciprocals, np.float32(-2)], [*logarithms, np.float32(0)]


def _as_cpp(numbers: list) -> str:
    return "{" + ", ".join(f"{x}f" if isinstance(x, np.float32) else repr(x) for x in numbers) + "};"


def main() -> None:
    """Fit and print."""
    ln2 = mp.log(2) * mp.mpf("1.0001")
    octant = mp.mpf(1) / 8
    root = mp.sqrt(mp.mpf("0.5")) - 1, mp.sqrt(mp.mpf(2)) - 1
    fits = {
        "half exp tail": (half_exp_tail, lambda x: 1 / half_exp_tail(x), -2 * ln2, 2 * ln2, {"float": 6, "double": 13}),
        "minus two log tail": (
            minus_two_log_tail,
            lambda x: abs(_away(x)) ** 3 / abs(2 * mp.log1p(_away(x))),
            *root,
            {"float": 7, "double": 20},
        ),
        "sin": (sin_ratio, lambda y: 1 / sin_ratio(y), 0, octant**2, {"float": 3, "double": 7}),
        "cos": (cos_ratio, lambda y: y + mp.mpf("1e-20"), 0, octant**2, {"float": 2, "double": 7}),
        "table tail": (table_tail, table_weight, mp.mpf("-0.036"), mp.mpf(1) / 16, {"float": 2}),
    }
    for name, (target, weight, low, high, degrees) in fits.items():
        for scalar, degree in degrees.items():
            coefficients, worst = remez(target, weight, low, high, degree)
            print(f"// {name}<{scalar}>: weighted error {mp.nstr(worst, 3)}")
            rounded = [np.float32(float(c)) if scalar == "float" else float(c) for c in coefficients]
            print(_as_cpp(rounded))
    for name, values in zip(("-2 c", "2 log c"), log_table(), strict=True):
        print(f"// {name}")
        print(_as_cpp(values))


if __name__ == "__main__":
    main()
