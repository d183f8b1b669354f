"""The picture of the theory: ``log p(x)``, the ELBO, and the gap between them in its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from tfvae._checks import check_finite
from tfvae.plots import _style

_FIELDS = ("log_evidence", "elbo", "gap", "amortisation_gap", "approximation_gap")
_TITLE = "log p(x) = ELBO + KL(q(z|x) ‖ p(z|x))"
_INK = "#1f2933"
_AMORTISATION = "#edae49"
_APPROXIMATION = "#d1495b"
_PARTS = (
    ("amortisation_gap", "amortisation gap", _AMORTISATION),
    ("approximation_gap", "approximation gap", _APPROXIMATION),
)
_MOST_GROUPS = 40
# From here on numbers are shown by powers of ten.
_LONG = 1e7
# In a history of that many looks or more, a first quarter that stretches the axis more than threefold may leave it.
_LONG_RUN = 8
_MOST_STRETCH = 3.0

# Means with their standard errors, by the names of the fields; arrays over groups or epochs.
_Levels = dict[str, tuple[np.ndarray, np.ndarray]]


def evidence(decomposition: Any, groups: Any | None = None, group_names: Sequence[str] | None = None) -> Figure:
    """Draw the mean ``log p(x)``, the mean ELBO, and the gap between them split into its two parts.

    Without groups the levels are lines, with the gap as bands between them and the numbers beside. With groups, every
    group is a column beside one of all examples: the levels above, and the parts of the gap, from zero, below. The
    error bars are standard errors of the draws of ``z``, for these examples; they do not tell how examples differ.

    Args:
        decomposition: what ``tfvae.evidence.decompose`` returns, or anything with its fields: ``log_evidence``,
            ``elbo``, ``gap``, ``amortisation_gap``, ``approximation_gap`` and the same with ``_error`` at the end, in
            nats, each ``[N]``.
        groups: a label of each example, ``[N]``, its class say.
        group_names: the names of groups 0, 1, 2, ...; of long ones the first 23 characters are shown.

    Raises:
        ValueError: if there are no examples, fields of different lengths or that are not finite, not one label for each
            example, or more than 40 groups.

    Source: Cremer, Li & Duvenaud, "Inference Suboptimality in Variational Autoencoders" (2018), figure 1.

    Example:

    >>> from types import SimpleNamespace
    >>> from tfvae import plots
    >>> levels = {"log_evidence": -80.0, "elbo": -83.0, "gap": 3.0, "amortisation_gap": 1.0, "approximation_gap": 2.0}
    >>> fields = {name: [level, level] for name, level in levels.items()}
    >>> errors = {f"{name}_error": [0.1, 0.1] for name in levels}
    >>> figure = plots.evidence(SimpleNamespace(**fields, **errors))
    >>> figure.axes[0].get_title()
    'means over 2 examples; error bars: standard errors of the draws'
    """
    values = {name: _field(decomposition, name) for field in _FIELDS for name in (field, f"{field}_error")}
    count = len(values["elbo"])
    lengths = {name: len(value) for name, value in values.items()}
    if not count or len(set(lengths.values())) > 1:
        raise ValueError(f"The fields of a decomposition must have one value per example each; they have {lengths}.")
    for name in _FIELDS:  # Errors may be unknown.
        check_finite(values[name], name)
    if groups is None:
        return _ladder(_means(values, [np.arange(count)]), count)
    labels = np.asarray(groups)
    if labels.shape != (count,):
        raise ValueError(f"groups have shape {labels.shape}; expected one for each example, shape ({count},).")
    found = np.unique(labels)
    if len(found) > _MOST_GROUPS:
        raise ValueError(f"There are {len(found)} groups; at most {_MOST_GROUPS} can be drawn. Join some of them.")
    rows = [np.arange(count), *(np.flatnonzero(labels == label) for label in found)]
    names = ["all", *(_style.class_name(label, group_names) for label in found)]
    return _columns(_means(values, rows), names, [len(part) for part in rows])


def evidence_history(history: _style.History) -> Figure:
    """Draw how evidence and ELBO rise and the gap between them closes, epoch by epoch.

    Above, ``log p(x)`` and ELBO with the gap between them; below, the parts of the gap on each other, from zero. With
    eight looks or more, the upper panel leaves out the first quarter of them where it would stretch it more than
    threefold, and its title says so.

    Args:
        history: what ``VAE.fit`` returns, or its ``history``: per epoch, what ``tfvae.callbacks.EvidenceDecomposition``
            logs, NaN where it did not look; other entries are ignored.

    Raises:
        ValueError: if an entry is missing, or there is no epoch with numbers, or entries have different lengths.

    Example:

    >>> from tfvae import plots
    >>> parts = {"log_evidence": [-90, -80], "elbo": [-95, -81], "gap": [5, 1], "amortisation_gap": [4, 0.5],
    ...     "approximation_gap": [1, 0.5]}
    >>> errors = {f"{name}_error": [0.2, 0.1] for name in parts}
    >>> history = {f"decomposition_{name}": values for name, values in {**parts, **errors}.items()}
    >>> [axes.get_ylabel() for axes in plots.evidence_history(history).axes]
    ['nats per example', 'gap (nats)']
    """
    logged = _style.values_of(history)
    keys = {name: f"decomposition_{name}" for field in _FIELDS for name in (field, f"{field}_error")}
    missing = [key for key in keys.values() if key not in logged]
    if missing:
        raise ValueError(
            f"The history lacks {', '.join(missing)}. Give that of a fit with tfvae.callbacks.EvidenceDecomposition "
            "among its callbacks."
        )
    values = {name: np.asarray(logged[key], np.float64) for name, key in keys.items()}
    lengths = {keys[name]: len(value) for name, value in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The curves have different lengths: {lengths}. Give one value of each for every epoch.")
    looked = np.flatnonzero(np.isfinite([values[field] for field in _FIELDS]).all(axis=0))
    if not len(looked):
        raise ValueError("The history has no epoch in which the decomposition was logged. Train for one at least.")
    levels = {field: (values[field][looked], _finite(values[f"{field}_error"][looked])) for field in _FIELDS}
    return _curves(levels, looked + 1)


def _field(decomposition: Any, name: str) -> np.ndarray:
    if not hasattr(decomposition, name):
        raise ValueError(
            f"A decomposition has no field {name!r} in {type(decomposition).__name__}; expected what "
            "tfvae.evidence.decompose returns."
        )
    return np.atleast_1d(np.asarray(getattr(decomposition, name), np.float64))


def _finite(errors: np.ndarray) -> np.ndarray:
    """Errors to draw: those that are not known, of a single draw say, have no bar."""
    return np.where(np.isfinite(errors), errors, 0.0)


def _means(values: Mapping[str, np.ndarray], groups: Sequence[np.ndarray]) -> _Levels:
    """Means over the rows of every group; the errors of examples are independent."""
    levels = {}
    for field in _FIELDS:
        errors = values[f"{field}_error"]
        levels[field] = (
            np.array([values[field][rows].mean() for rows in groups]),
            _finite(np.array([np.sqrt(np.sum(errors[rows] ** 2)) / len(rows) for rows in groups])),
        )
    return levels


def _ladder(levels: _Levels, count: int) -> Figure:
    """One column as wide as the picture, the numbers beside it."""
    level = {field: (float(mean[0]), float(error[0])) for field, (mean, error) in levels.items()}
    figure = _style.new_figure(7.6, 4.4, _TITLE)
    axes = figure.subplots()
    (top, _), (bottom, _), (gap, gap_error) = level["log_evidence"], level["elbo"], level["gap"]
    best = bottom + level["amortisation_gap"][0]
    axes.axhspan(bottom, best, color=_AMORTISATION, alpha=0.35, linewidth=0)
    axes.axhspan(best, top, color=_APPROXIMATION, alpha=0.30, linewidth=0)
    axes.axhline(best, color=_style.MUTED, linewidth=1, linestyle="--")
    for field, x, color in (("log_evidence", 0.06, _style.VALIDATION), ("elbo", 0.11, _style.MUTED)):
        axes.axhline(level[field][0], color=color, linewidth=2.4)
        axes.errorbar([x], [level[field][0]], [level[field][1]], **_bars(color))
    for (field, _, color), x, end in zip(_PARTS, (0.86, 0.93), (best, top), strict=True):
        axes.errorbar([x], [end], [level[field][1]], **_bars(color))
    low, high = min(bottom, best, top), max(bottom, best, top)  # Estimates of gaps may be negative.
    span = max(high - low, 6 * max(error for _, error in level.values()), 1e-3)
    axes.set_ylim(low - 0.4 * span, high + 0.4 * span)
    axes.annotate("", (0.3, top), (0.3, bottom), arrowprops={"arrowstyle": "<->", "color": _INK, "lw": 1.2})
    words = f"gap  {_number(gap, gap_error)}\n= KL(q(z|x) ‖ p(z|x))"
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}
    # Beside its arrow, or above the lines where they are one.
    height = (top + bottom) / 2 if gap > 0.3 * span else top + 0.2 * span
    axes.text(0.33, height, words, fontsize=10, va="center", color=_INK, bbox=box)
    _label_levels(axes, level, best)
    plural = "" if count == 1 else "s"
    axes.set_title(
        f"means over {count} example{plural}; error bars: standard errors of the draws", fontsize=9, color=_style.MUTED
    )
    axes.set_ylabel("nats per example", fontsize=9)
    axes.set_xlim(0, 1)
    _style.tidy(axes)
    axes.grid(False, axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    return figure


def _label_levels(axes: Axes, level: Mapping[str, tuple[float, float]], best: float) -> None:
    """Write what the lines and bands are to their right, spread so that no two are on each other."""
    (top, _), (bottom, _) = level["log_evidence"], level["elbo"]
    labels = [
        (bottom, f"ELBO  {_number(*level['elbo'])}", _style.MUTED, "bold"),
        ((bottom + best) / 2, f"amortisation gap  {_number(*level['amortisation_gap'])}", "#a86f10", "normal"),
        (best, "ELBO of the best q for each x", _style.MUTED, "normal"),
        ((best + top) / 2, f"approximation gap  {_number(*level['approximation_gap'])}", _APPROXIMATION, "normal"),
        (top, f"log p(x)  {_number(*level['log_evidence'])}", _style.VALIDATION, "bold"),
    ]
    labels.sort(key=lambda label: label[0])  # Another order than this one where an estimated gap is negative.
    low, high = axes.get_ylim()
    heights = _spread([(y - low) / (high - low) for y, *_ in labels], least=0.085)
    for (y, text, color, weight), height in zip(labels, heights, strict=True):
        axes.annotate(
            text,
            xy=(1.0, (y - low) / (high - low)),
            xytext=(1.06, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=9,
            color=color,
            fontweight=weight,
            va="center",
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.8, "shrinkA": 2, "shrinkB": 0, "relpos": (0, 0.5)},
        )


def _spread(heights: Sequence[float], least: float) -> list[float]:
    """Move rising heights apart, ``least`` from each other at least, about where they were."""
    spread = np.array(heights) - least * np.arange(len(heights))
    # The nearest rising sequence, by pooling neighbours that are out of order.
    pools: list[list[float]] = []
    for value in spread:
        pools.append([value])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    settled = [float(np.mean(pool)) for pool in pools for _ in pool]
    return [value + least * i for i, value in enumerate(settled)]


def _columns(levels: _Levels, names: Sequence[str], counts: Sequence[int]) -> Figure:
    """A column per group, levels above and the parts of the gap below."""
    width = float(np.clip(0.62 * len(names) + 2.4, 5.0, 14.0))
    longest = max(TextPath((0, 0), name, size=_style.TICK_SIZE).get_extents().width for name in names) / 72
    long = longest > 0.9 * (width - 1.0) / len(names)  # Inches; the axis with its numbers takes one.
    figure = _style.new_figure(width, 6.6 if long else 5.4, _TITLE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    places = np.arange(len(names)) + np.where(np.arange(len(names)) > 0, 0.4, 0.0)
    (top, top_error), (bottom, bottom_error) = levels["log_evidence"], levels["elbo"]
    best = bottom + levels["amortisation_gap"][0]
    upper.bar(places, best - bottom, 0.62, bottom, color=_AMORTISATION, alpha=0.45)
    upper.bar(places, top - best, 0.62, best, color=_APPROXIMATION, alpha=0.40)
    # Where they are one line, the thinner is on the other.
    for mean, error, color, label, width, order in (
        (top, top_error, _style.VALIDATION, "log p(x)", 1.4, 3.1),
        (bottom, bottom_error, _style.MUTED, "ELBO", 3.0, 3.0),
    ):
        ends = places - 0.36, places + 0.36
        upper.hlines(mean, *ends, color=color, linewidth=width, label=label, zorder=order)
        upper.errorbar(places, mean, error, **_bars(color))
    upper.set_title("error bars: standard errors of the draws", fontsize=9, color=_style.MUTED)
    _stack(lower, levels, places)
    for axes in (upper, lower):
        axes.axvline(0.7, color="#cbd2d9", linewidth=1)
        axes.grid(False, axis="x")
    labelled = list(zip(names, counts, strict=True))
    if long:
        labels = [f"{name} ({count})" for name, count in labelled]
        lower.set_xticks(places, labels, rotation=40, ha="right", rotation_mode="anchor")
    else:
        lower.set_xticks(places, [f"{name}\n{count}" for name, count in labelled])
    lower.set_xlabel("group, and how many examples", fontsize=9)
    _finish(figure, upper, lower)
    upper.grid(False, axis="x")
    lower.grid(False, axis="x")
    return figure


def _stack(axes: Axes, levels: _Levels, places: np.ndarray) -> None:
    below = np.zeros(len(places))
    for shift, (field, name, color) in zip((-0.08, 0.08), _PARTS, strict=True):
        mean, error = levels[field]
        axes.bar(places, mean, 0.62, below, color=color, alpha=0.85, label=name)
        below = below + mean
        axes.errorbar(places + shift, below, error, **_bars(_INK))


def _curves(levels: _Levels, epochs: np.ndarray) -> Figure:
    """Levels above and the parts of the gap below, over epochs."""
    figure = _style.new_figure(6.8, 5.4, _TITLE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    (top, top_error), (bottom, bottom_error) = levels["log_evidence"], levels["elbo"]
    best = bottom + levels["amortisation_gap"][0]
    upper.fill_between(epochs, bottom, best, color=_AMORTISATION, alpha=0.40, linewidth=0)
    upper.fill_between(epochs, best, top, color=_APPROXIMATION, alpha=0.35, linewidth=0)
    for mean, error, color, label in (
        (top, top_error, _style.VALIDATION, "log p(x)"),
        (bottom, bottom_error, _style.MUTED, "ELBO"),
    ):
        upper.plot(epochs, mean, color=color, linewidth=1.8, label=label)
        upper.errorbar(epochs, mean, error, **_bars(color))
    below, lowest = np.zeros(len(epochs)), 0.0
    for field, name, color in _PARTS:
        mean, error = levels[field]
        lower.fill_between(epochs, below, below + mean, color=color, alpha=0.7, linewidth=0, label=name)
        below = below + mean
        lowest = min(lowest, float(np.min(below)))
        lower.errorbar(epochs, below, error, **_bars(_INK))
    lower.set_ylim(bottom=lowest)
    _fit(upper, np.stack([top, bottom]), epochs)
    lower.set_xlabel("epoch", fontsize=9)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    _finish(figure, upper, lower)
    return figure


def _fit(axes: Axes, lines: np.ndarray, epochs: np.ndarray) -> None:
    """Let a steep start run out of the panel, and say so in its title."""
    first = len(epochs) // 4
    later = lines[:, first:]
    if len(epochs) < _LONG_RUN or np.ptp(lines) <= _MOST_STRETCH * np.ptp(later):
        return
    margin = 0.08 * np.ptp(later)
    axes.set_ylim(later.min() - margin, later.max() + margin)
    axes.set_title(f"axis fits epoch {epochs[first]} on", fontsize=9, color=_style.MUTED)


def _finish(figure: Figure, upper: Axes, lower: Axes) -> None:
    upper.set_ylabel("nats per example", fontsize=9)
    lower.set_ylabel("gap (nats)", fontsize=9)
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=4)
    for axes in (upper, lower):
        _style.tidy(axes)


def _bars(color: str) -> dict[str, Any]:
    return {"fmt": "none", "ecolor": color, "elinewidth": 1.3, "capsize": 3, "capthick": 1.3, "zorder": 4}


def _number(value: float, error: float) -> str:
    """A value with its error, to the error's second digit, three decimals at most."""
    digits = int(np.clip(1 - np.floor(np.log10(error)), 1, 3)) if error > 0 else 2
    shown = [f"{part:.{digits}f}" if abs(part) < _LONG else f"{part:.4g}" for part in (value, error)]
    return " ± ".join(shown[: 2 if error > 0 else 1]).replace("-", "−")
