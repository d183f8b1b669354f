"""A check of arguments that every part shares."""

from __future__ import annotations

import operator
from typing import Any


def as_count(value: Any, name: str, at_least: int = 1) -> int:
    """Return ``value`` as a Python integer of ``at_least`` that much, or say what is wrong with it."""
    try:
        count = operator.index(value)
    except TypeError:
        count = at_least - 1
    if isinstance(value, bool) or count < at_least:
        kind = "a positive integer" if at_least == 1 else f"an integer of at least {at_least}"
        raise ValueError(f"{name} must be {kind}, not {value!r}.")
    return count
