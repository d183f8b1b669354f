"""What all the pictures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TRAINING = "#9aa5b1"
VALIDATION = "#0b6e99"
HIGHLIGHT = "#d1495b"
MUTED = "#52606d"
TICK_SIZE = 8  # Points.

_LONGEST_NAME = 24


class Fitted(Protocol):
    """A ``keras.callbacks.History``."""

    history: Mapping[str, Sequence[float]]


History = Mapping[str, Sequence[float]] | Fitted


def values_of(history: History) -> Mapping[str, Sequence[float]]:
    """Return what ``fit`` logged, from what it returns or from the ``history`` of that."""
    return history if isinstance(history, Mapping) else history.history


def new_figure(width: float, height: float, title: str) -> Figure:
    """Return a figure of that many inches with a title."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def class_name(label: Any, names: Sequence[str] | None) -> str:
    """Return the name of a class, or its number without names, to be shown as it stands, but for a long one's end.

    Matplotlib makes formulas of what is between dollars, and hides labels that begin with ``_``.
    """
    known = names is not None and isinstance(label, np.integer) and 0 <= label < len(names)
    name = names[int(label)] if known and names is not None else str(label)
    if len(name) > _LONGEST_NAME:
        name = name[: _LONGEST_NAME - 1].rstrip() + "…"
    shown = name.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def tidy(axes: Axes) -> None:
    """Leave two spines and a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=TICK_SIZE)
