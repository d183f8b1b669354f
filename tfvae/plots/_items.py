"""Data, reconstructions and samples: as images where they are images, else as lines or points."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfvae._checks import as_count
from tfvae.plots import _style

_MAX_SHOWN = 2000


def reconstructions(x: Any, reconstructed: Any, count: int = 10) -> Figure:
    """Draw the first examples beside their reconstructions.

    Images ``[N, H, W]`` or ``[N, H, W, C]`` (C of 1 or 3) in two rows; two-dimensional vectors as points joined by an
    arrow; other examples as pairs of lines over their features.

    Args:
        x: examples, ``[N, ...event]``.
        reconstructed: the model's mean of ``p(x|z)`` for each, of the same shape.
        count: how many examples to draw, 1 or more.

    Raises:
        ValueError: if the shapes differ, there is no example or no value in one, or ``count`` is not a positive
            integer.

    Example:

    >>> import numpy as np
    >>> from tfvae import plots
    >>> x = np.random.default_rng(0).uniform(size=[4, 8, 8, 1])
    >>> len(plots.reconstructions(x, x).axes)
    1
    """
    x, reconstructed = _as_items(x), _as_items(reconstructed)
    if x.shape != reconstructed.shape:
        raise ValueError(
            f"The examples have shape {x.shape} and the reconstructions {reconstructed.shape}; expected the "
            "same shape. Give both for the same examples."
        )
    title, count = "Examples and their reconstructions", as_count(count, "count")
    if _are_images(x):
        return _image_pairs(x[:count], reconstructed[:count], title)
    if _width(x) == 2:
        return _point_pairs(x[:_MAX_SHOWN], reconstructed[:_MAX_SHOWN], title)
    return _line_pairs(x[:count], reconstructed[:count], title)


def samples(x: Any, reference: Any | None = None) -> Figure:
    """Draw samples of a model: images in a square, two-dimensional vectors as points, other examples as lines.

    Args:
        x: samples, ``[N, ...event]``.
        reference: data of the same event shape to draw behind points and lines; images are drawn without.

    Raises:
        ValueError: if there is no sample or no value in one, or the reference has another event shape.

    Example:

    >>> import numpy as np
    >>> from tfvae import plots
    >>> len(plots.samples(np.random.default_rng(0).uniform(size=[9, 8, 8, 1])).axes)
    1
    """
    x = _as_items(x)
    behind = None if reference is None else _as_items(reference)
    if behind is not None and behind.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"The samples have event shape {x.shape[1:]} and the reference {behind.shape[1:]}; expected the same. "
            "Give data of the kind the model was trained on."
        )
    title = "Samples: mean of p(x|z) for z drawn from the prior"
    if _are_images(x):
        return _image_grid(x, title)
    return _points(x, behind, title) if _width(x) == 2 else _lines(x, behind, title)


def _as_items(x: Any) -> np.ndarray:
    items = np.asarray(x)
    if items.ndim < 2 or items.size == 0:
        raise ValueError(f"The examples have shape {items.shape}; expected [examples, ...event] with a value in each.")
    return items.astype(np.float64)


def _are_images(x: np.ndarray) -> bool:
    is_picture = x.ndim == 3 or (x.ndim == 4 and x.shape[-1] in (1, 3))
    return is_picture and min(x.shape[1:3]) > 1


def _width(x: np.ndarray) -> int:
    return int(np.prod(x.shape[1:]))


def _image_range(x: np.ndarray) -> tuple[float, float]:
    """[0, 1] for data that fits in it, else the data's own range: one scale for all pictures."""
    return min(0.0, float(np.nanmin(x))), max(1.0, float(np.nanmax(x)))


def _image_pairs(x: np.ndarray, reconstructed: np.ndarray, title: str) -> Figure:
    figure = _style.new_figure(max(4.5, 0.85 * len(x) + 1.0), 2.4, title)
    axes = figure.subplots()
    ticks = _show_mosaic(axes, np.concatenate([x, reconstructed]), columns=len(x), limits=_image_range(x))
    axes.set_yticks(ticks, ["x", "mean of p(x|z)"], fontsize=9)
    return figure


def _image_grid(x: np.ndarray, title: str) -> Figure:
    columns = int(np.ceil(np.sqrt(len(x))))
    rows = -(-len(x) // columns)
    height = 4.8 * rows * x.shape[1] / (columns * x.shape[2])
    figure = _style.new_figure(5.0, float(np.clip(height, 1.0, 12.0)) + 0.4, title)
    _show_mosaic(figure.subplots(), x, columns=columns, limits=_image_range(x))
    return figure


def _show_mosaic(axes: Axes, images: np.ndarray, columns: int, limits: tuple[float, float]) -> np.ndarray:
    """Draw the images side by side with gaps between them; return the heights of the rows' centres."""
    low, high = limits
    scaled = np.clip((images.reshape(*images.shape[:3], -1) - low) / (high - low), 0.0, 1.0)
    count, height, width, channels = scaled.shape
    rows, gap = -(-count // columns), max(1, round(0.06 * width))
    mosaic = np.ones((rows * (height + gap) + gap, columns * (width + gap) + gap, channels))
    for i, image in enumerate(scaled):
        top, left = gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap)
        mosaic[top : top + height, left : left + width] = image
    axes.imshow(mosaic[..., 0] if channels == 1 else mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return gap + np.arange(rows) * (height + gap) + (height - 1) / 2


def _point_pairs(x: np.ndarray, reconstructed: np.ndarray, title: str) -> Figure:
    x, reconstructed = x.reshape(len(x), 2), reconstructed.reshape(len(x), 2)
    figure = _style.new_figure(5.2, 4.8, title)
    axes = figure.subplots()
    axes.plot(
        np.stack([x[:, 0], reconstructed[:, 0]]),
        np.stack([x[:, 1], reconstructed[:, 1]]),
        color="#cbd2d9",
        linewidth=0.7,
        zorder=1,
    )
    axes.scatter(x[:, 0], x[:, 1], s=9, color=_style.MUTED, label="x", zorder=2)
    axes.scatter(
        reconstructed[:, 0], reconstructed[:, 1], s=9, color=_style.HIGHLIGHT, label="mean of p(x|z)", zorder=3
    )
    _label_plane(axes)
    return figure


def _points(x: np.ndarray, behind: np.ndarray | None, title: str) -> Figure:
    figure = _style.new_figure(5.2, 4.8, title)
    axes = figure.subplots()
    for items, color, name in ((behind, _style.TRAINING, "data"), (x, _style.HIGHLIGHT, "samples")):
        if items is not None:
            plane = items[:_MAX_SHOWN].reshape(-1, 2)
            axes.scatter(plane[:, 0], plane[:, 1], s=9, color=color, alpha=0.8, linewidths=0, label=name)
    _label_plane(axes)
    return figure


def _label_plane(axes: Axes) -> None:
    axes.set_xlabel("feature 0", fontsize=9)
    axes.set_ylabel("feature 1", fontsize=9)
    axes.legend(fontsize=8, frameon=False, markerscale=1.6)
    _style.tidy(axes)


def _line_pairs(x: np.ndarray, reconstructed: np.ndarray, title: str) -> Figure:
    columns = min(len(x), 5)
    rows = int(np.ceil(len(x) / columns))
    figure = _style.new_figure(max(2.3 * columns + 0.6, 4.6), 1.7 * rows + 0.8, title)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    features = np.arange(_width(x))
    for axes, line, other in zip(grid.flat, x, reconstructed, strict=False):
        axes.plot(features, line.ravel(), **_line_style(features), color=_style.MUTED, label="x")
        axes.plot(features, other.ravel(), **_line_style(features), color=_style.HIGHLIGHT, label="mean of p(x|z)")
        _style.tidy(axes)
    for axes in list(grid.flat)[len(x) :]:
        axes.remove()
    _number_features(grid[0, 0], len(features))
    figure.supxlabel("feature", fontsize=9)
    figure.supylabel("value", fontsize=9)
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside lower right", ncols=2
    )
    return figure


def _lines(x: np.ndarray, behind: np.ndarray | None, title: str) -> Figure:
    figure = _style.new_figure(6.4, 4.0, title)
    axes = figure.subplots()
    features = np.arange(_width(x))
    for items, color, name in ((behind, _style.TRAINING, "data"), (x, _style.HIGHLIGHT, "samples")):
        if items is None:
            continue
        shown = items[:60].reshape(-1, len(features)).T
        lines = axes.plot(features, shown, **_line_style(features), color=color, alpha=0.35)
        lines[0].set_label(name)
    legend = axes.legend(fontsize=8, frameon=False, loc="upper right")  # Where it fits best takes long to find.
    for handle in legend.get_lines():
        handle.set_alpha(1)
    _number_features(axes, len(features))
    axes.set_xlabel("feature", fontsize=9)
    axes.set_ylabel("value", fontsize=9)
    _style.tidy(axes)
    return figure


def _number_features(axes: Axes, count: int) -> None:
    if count == 1:
        axes.set_xticks([0])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def _line_style(features: np.ndarray) -> dict[str, Any]:
    return {"linewidth": 1.2, "marker": "o" if len(features) <= 20 else None, "markersize": 3}
