"""What the model makes of the latent space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfvae._checks import check_finite
from tfvae.plots import _style

_MAX_LEGEND = 20
_MAX_BARS = 64


def latent_space(mean: Any, labels: Any | None = None, class_names: Sequence[str] | None = None) -> Figure:
    """Draw the posterior means of many examples, coloured by class where there are labels.

    A one-dimensional latent space is drawn as histograms, a two-dimensional one as it is, and of a larger one its first
    two principal components, with the share of the variance they hold.

    Args:
        mean: posterior means, ``[N, D]``.
        labels: integer classes, ``[N]``.
        class_names: the names of classes 0, 1, 2, ...; of long ones the first 23 characters are shown.

    Raises:
        ValueError: if ``mean`` is not ``[N, D]`` with N and D at least 1, or not finite, or there is not one label for
            each.

    Example:

    >>> import numpy as np
    >>> from tfvae import plots
    >>> mean = np.random.default_rng(0).normal(size=[50, 2])
    >>> plots.latent_space(mean, labels=np.arange(50) % 3).axes[0].get_xlabel()
    'z[0]'
    """
    points = np.asarray(mean, dtype=np.float64)
    if points.ndim != 2 or points.size == 0:
        raise ValueError(f"mean has shape {points.shape}; expected posterior means [examples, D], both at least 1.")
    check_finite(points, "mean")
    classes = None if labels is None else np.asarray(labels)
    if classes is not None and classes.shape != (len(points),):
        raise ValueError(f"labels have shape {classes.shape}; expected one for each mean, shape ({len(points)},).")
    figure = _style.new_figure(6.0, 4.8, "Latent space: means of q(z|x)")
    axes = figure.subplots()
    groups = _groups(classes, len(points), class_names)
    if points.shape[1] == 1:
        _histograms(axes, points[:, 0], groups)
    else:
        _scatter(axes, points, groups)
    _style.tidy(axes)
    if 1 < len(groups) <= _MAX_LEGEND:
        axes.legend(
            fontsize=8, frameon=False, markerscale=2, loc="center left", bbox_to_anchor=(1.0, 0.5), title="class"
        )
    return figure


def kl_per_dimension(kl: Any, threshold: float = 0.01) -> Figure:
    """Draw the KL to the prior of every latent dimension, averaged over examples, largest first.

    Dimensions at or below ``threshold`` nats are drawn pale, and the title counts the others. (Active units, as
    ``tfvae.metrics.active_units`` counts them, are those whose posterior mean varies over the data.)

    Args:
        kl: mean KL of each dimension in nats, ``[D]``, or of every example, ``[N, D]``.
        threshold: nats.

    Raises:
        ValueError: if ``kl`` is not of shape ``[D]`` or ``[N, D]`` with at least one value, or not finite.

    Example:

    >>> from tfvae import plots
    >>> plots.kl_per_dimension([1.5, 0.0, 0.3]).axes[0].get_title()
    '2 of 3 dimensions have a KL over 0.01 nats; 1.80 nats in all'
    """
    values = np.asarray(kl, dtype=np.float64)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"kl has shape {values.shape}; expected [D] or [examples, D] with at least one value.")
    check_finite(values, "kl")
    values = values.mean(axis=0) if values.ndim == 2 else values
    order = np.argsort(-values, kind="stable")[:_MAX_BARS]
    figure = _style.new_figure(float(np.clip(0.24 * len(order) + 1.8, 4.8, 9.0)), 3.6, "KL per latent dimension")
    axes = figure.subplots()
    over = values > threshold
    colors = [_style.VALIDATION if over[i] else "#cbd2d9" for i in order]
    axes.bar(np.arange(len(order)), values[order], color=colors, width=0.75)
    counted = f"{int(over.sum())} of {len(values)} dimensions have a KL over {threshold:g} nats"
    axes.set_title(f"{counted}; {values.sum():.2f} nats in all", fontsize=9, color=_style.MUTED)
    axes.set_xticks(np.arange(len(order)), [str(i) for i in order])
    largest = ", largest first" if len(order) == len(values) else f", the {len(order)} largest"
    axes.set_xlabel("latent dimension" + largest, fontsize=9)
    axes.set_ylabel("mean KL(q(z|x) ‖ p(z)) (nats)", fontsize=9)
    _style.tidy(axes)
    axes.grid(False, axis="x")
    if len(order) > 24:
        axes.tick_params(axis="x", labelsize=6, rotation=90)
    return figure


_Groups = list[tuple[np.ndarray, str, Any]]


def _groups(classes: np.ndarray | None, count: int, class_names: Sequence[str] | None) -> _Groups:
    """Rows, name and colour of each class; one group of all without classes."""
    if classes is None:
        return [(np.arange(count), "", _style.VALIDATION)]
    found = np.unique(classes)
    palette = matplotlib.colormaps["tab10" if len(found) <= 10 else "turbo"]
    colors = palette(np.arange(len(found))) if len(found) <= 10 else palette(np.linspace(0.02, 0.98, len(found)))
    return [
        (np.flatnonzero(classes == label), _style.class_name(label, class_names), color)
        for label, color in zip(found, colors, strict=True)
    ]


def _histograms(axes: Axes, values: np.ndarray, groups: _Groups) -> None:
    edges = np.histogram_bin_edges(values, bins=40).tolist()
    parts = [values[rows] for rows, _, _ in groups]
    axes.hist(parts, bins=edges, stacked=True, label=[name for _, name, _ in groups], color=[c for _, _, c in groups])
    axes.set_xlabel("z[0]", fontsize=9)
    axes.set_ylabel("examples", fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _scatter(axes: Axes, points: np.ndarray, groups: _Groups) -> None:
    plane, names = _plane(points)
    size = float(np.clip(8000 / len(points), 3, 18))
    for rows, name, color in groups:
        axes.scatter(plane[rows, 0], plane[rows, 1], s=size, color=[color], alpha=0.8, linewidths=0, label=name)
    axes.set_xlabel(names[0], fontsize=9)
    axes.set_ylabel(names[1], fontsize=9)
    axes.set_aspect("equal", adjustable="datalim")


def _plane(points: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """The two coordinates to draw: those of a plane, or the first two principal components."""
    if points.shape[1] == 2:
        return points, ("z[0]", "z[1]")
    centred = points - points.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    variance = np.zeros(2)
    variance[: len(singular[:2])] = singular[:2] ** 2
    plane = np.zeros((len(points), 2))
    plane[:, : len(directions[:2])] = centred @ directions[:2].T
    total = float((singular**2).sum())
    shares = [f" ({part / total:.0%} of the variance)" if total > 0 else "" for part in variance]
    return plane, (f"principal component 1 of z{shares[0]}", f"principal component 2 of z{shares[1]}")
