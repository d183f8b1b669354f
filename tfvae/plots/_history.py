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


def training_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draw ELBO, reconstruction and KL after every epoch, on the training and, where there is one, the validation set.

    The best validation ELBO is marked. The vertical range leaves out the steep start, so that the rest can be read.

    Args:
        history: per epoch, in nats per example: ``elbo``, ``reconstruction``, ``kl`` and the same with ``val_`` in
            front, as in the ``history`` of what ``VAE.fit`` returns; other entries are ignored.

    Raises:
        ValueError: if ``elbo`` is missing or empty, or the curves have different lengths.

    Example:

    >>> from tfvae import plots
    >>> figure = plots.training_curves({"elbo": [-50.0, -40.0], "val_elbo": [-52.0, -43.0]})
    >>> [(axes.get_title(), axes.get_ylabel()) for axes in figure.axes]
    [('ELBO', 'nats per example')]
    """
    curves = {name: np.asarray(values, dtype=float) for name, values in history.items()}
    panels = [name for name in _PANELS if name in curves]
    _check(curves, panels)
    figure = _style.new_figure(4.4 * len(panels), 3.6, "Training")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _draw(axes, curves[name], curves.get("val_" + name), _PANELS[name])
    if "val_elbo" in curves:
        _mark_best(figure, curves["val_elbo"])
    figure.axes[0].legend(fontsize=8, frameon=False, loc="lower right")
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


def _draw(axes: Axes, training: np.ndarray, validation: np.ndarray | None, title: str) -> None:
    epochs = np.arange(1, len(training) + 1)
    marker = "o" if len(epochs) == 1 else None
    axes.plot(epochs, training, color=_style.TRAINING, linewidth=1.6, marker=marker, label="training")
    if validation is not None:
        axes.plot(epochs, validation, color=_style.VALIDATION, linewidth=1.6, marker=marker, label="validation")
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel("nats per example", fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_ylim(_range(training if validation is None else np.concatenate([training, validation])))
    _style.tidy(axes)


def _range(values: np.ndarray) -> tuple[float, float] | None:
    """The range without the lowest tenth of the values: those of the first epochs."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return None
    low, high = np.quantile(values, 0.1), values.max()
    if low >= high:
        return None
    margin = 0.06 * (high - low)
    return float(low - margin), float(high + margin)


def _mark_best(figure: Figure, validation: np.ndarray) -> None:
    if not np.isfinite(validation).any():
        return
    best = int(np.nanargmax(validation))
    for axes in figure.axes:
        axes.axvline(best + 1, color=_style.HIGHLIGHT, linewidth=1, linestyle=":")
    figure.axes[0].plot(
        best + 1,
        validation[best],
        "o",
        color=_style.HIGHLIGHT,
        markersize=5,
        label=f"best: {validation[best]:.2f} in epoch {best + 1}",
    )
