"""Checks of constructor arguments that layers and models share."""

from __future__ import annotations

import math
from typing import Any


def is_finite_number(value: Any) -> bool:
    """Tell whether ``value`` is a finite real number and no bool."""
    try:
        return not isinstance(value, (bool, str)) and math.isfinite(value)
    except (TypeError, ValueError, OverflowError):
        return False


def as_kl_weight(value: Any) -> float:
    """Return a KL weight as a float, or say what is wrong with it."""
    if not is_finite_number(value) or value < 0:
        raise ValueError(f"The weight of the KL must be a finite number of at least 0, not {value!r}.")
    return float(value)
