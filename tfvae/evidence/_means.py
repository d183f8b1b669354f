"""Means over a data set."""

from __future__ import annotations

from typing import Any

import numpy as np


def mean_and_error(values: Any, errors: Any) -> tuple[float, float]:
    """Return the mean of ``values`` and its standard error, from those of values that are independent."""
    values, errors = np.asarray(values, np.float64), np.asarray(errors, np.float64)
    if not len(values):
        return float("nan"), float("nan")
    return float(np.mean(values)), float(np.sqrt(np.sum(np.square(errors))) / len(values))
