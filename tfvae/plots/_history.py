"""How training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfvae.plots import _style

_PANELS = {
    "elbo": "ELBO",
    "reconstruction": "reconstruction, log p(x|z)",
    "kl": "KL(q(z|x) ‖ p(z))",
}
_LONG_RUN = 20
_MOST_STRETCH = 3.0


def training_curves(history: _style.History) -> Figure:
    """Draw ELBO, reconstruction and KL after every epoch, on the training and, where there is one, the validation set.

    The best validation ELBO is marked. In runs of 20 epochs or more, the axes of ELBO and reconstruction leave out the
    first tenth of the epochs (but not the best) where it would stretch them more than threefold, and the titles say so.

    Args:
        history: what ``VAE.fit`` returns, or its ``history``: per epoch, in nats per example, ``elbo``,
            ``reconstruction``, ``kl`` and the same with ``val_`` in front; other entries are ignored.

    Raises:
        ValueError: if ``elbo`` is missing or empty, or the curves have different lengths.

    Example:

    >>> from tfvae import plots
    >>> figure = plots.training_curves({"elbo": [-50.0, -40.0], "val_elbo": [-52.0, -43.0]})
    >>> [(axes.get_title(), axes.get_ylabel()) for axes in figure.axes]
    [('ELBO', 'nats per example')]
    """
    curves = {name: np.asarray(values, dtype=float) for name, values in _style.values_of(history).items()}
    panels = [name for name in _PANELS if name in curves]
    _check(curves, panels)
    figure = _style.new_figure(4.4 * len(panels), 3.6, "Training")
    best = _best(curves.get("val_elbo"))
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        lines = [curves[key] for key in (name, "val_" + name) if key in curves]
        _draw(axes, lines, _PANELS[name])
        if name != "kl":
            _fit(axes, lines, best)
    if best is not None:
        _mark_best(figure, best, float(curves["val_elbo"][best]))
    # Below the panels, where no curve and no mark runs through the words.
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, loc="outside lower center", ncols=3)
    return figure


def _check(curves: Mapping[str, np.ndarray], panels: Sequence[str]) -> None:
    if "elbo" not in panels or curves["elbo"].size == 0:
        raise ValueError(
            f"The history holds {', '.join(curves) or 'nothing'}; expected at least one epoch of elbo. "
            "Give the history of a VAE's fit."
        )
    lengths = {key: len(curves[key]) for name in panels for key in (name, "val_" + name) if key in curves}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The curves have different lengths: {lengths}. Give one value of each for every epoch.")


def _best(validation: np.ndarray | None) -> int | None:
    """The index of the epoch with the best validation ELBO."""
    if validation is None or not np.isfinite(validation).any():
        return None
    return int(np.nanargmax(validation))


def _draw(axes: Axes, lines: Sequence[np.ndarray], title: str) -> None:
    """Draw the training curve and, if there are two, the validation curve."""
    epochs = np.arange(1, len(lines[0]) + 1)
    marker = "o" if len(epochs) == 1 else None
    styles = ((_style.TRAINING, "training"), (_style.VALIDATION, "validation"))
    for line, (color, label) in zip(lines, styles, strict=False):
        axes.plot(epochs, line, color=color, linewidth=1.6, marker=marker, label=label)
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel("nats per example", fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _style.tidy(axes)


def _fit(axes: Axes, lines: Sequence[np.ndarray], best: int | None) -> None:
    """Let a steep start run out of the panel, and say so in its title."""
    epochs = len(lines[0])
    if epochs < _LONG_RUN:
        return
    first = epochs // 10 if best is None else min(epochs // 10, best)
    all_low, all_high = _extent(lines)
    low, high = _extent([line[first:] for line in lines])
    if not 0 < _MOST_STRETCH * (high - low) < all_high - all_low:
        return
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    axes.set_title(f"{axes.get_title()} (axis fits epoch {first + 1} on)", fontsize=10)


def _extent(lines: Sequence[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate(lines)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _mark_best(figure: Figure, best: int, elbo: float) -> None:
    for axes in figure.axes:
        axes.axvline(best + 1, color=_style.HIGHLIGHT, linewidth=1, linestyle=":")
    figure.axes[0].plot(
        best + 1,
        elbo,
        "o",
        color=_style.HIGHLIGHT,
        markersize=5,
        label=f"best: {elbo:.2f} in epoch {best + 1}".replace("-", "−"),
    )
