"""What all the pictures share."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

TRAINING = "#9aa5b1"
VALIDATION = "#0b6e99"
HIGHLIGHT = "#d1495b"
MUTED = "#52606d"


def new_figure(width: float, height: float, title: str) -> Figure:
    """Return a figure of that many inches with a title."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def literal(text: str) -> str:
    """Return a text that matplotlib shows as it stands: no formula between dollars, no label hidden for its ``_``."""
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def tidy(axes: Axes) -> None:
    """Leave two spines and a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8)
