"""The picture of the theory: its levels, parts and error bars are those of the decomposition."""

import io
import itertools
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from tfvae import plots

PARTS = ("log_evidence", "elbo", "gap", "amortisation_gap", "approximation_gap")


def decomposition(log_evidence, amortisation, approximation, error=0.3):
    """The fields for these three, all with the same errors."""
    top, first, second = (np.asarray(part, float) for part in (log_evidence, amortisation, approximation))
    values = (top, top - first - second, first + second, first, second)
    errors = {f"{name}_error": np.full(len(top), error) for name in PARTS}
    return SimpleNamespace(**dict(zip(PARTS, values, strict=True)), **errors)


FOUR = decomposition([-80.0, -90.0, -100.0, -130.0], [1.0, 2.0, 1.0, 4.0], [3.0, 1.0, 2.0, 2.0])


def _render(figure):
    """Draw to PNG in memory; layout warnings would be errors here."""
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert np.asarray(Image.open(buffer).convert("RGB")).std() > 1, "the picture is blank"


def _bars(axes):
    """(low, high) of all error bars of a panel."""
    collections = [container.lines[2][0] for container in axes.containers if hasattr(container, "has_yerr")]
    return [tuple(segment[:, 1]) for bars in collections for segment in bars.get_segments()]


def _words(axes):
    return [text.get_text() for text in axes.texts]


def test_of_all_examples():
    figure = plots.evidence(FOUR)
    _render(figure)
    (axes,) = figure.axes
    # Means: log p(x) -100, ELBO -104, parts 2 and 2. Errors: sqrt(4 * .3^2) / 4 = 0.15.
    assert sorted(line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 2) == [-104.0, -102.0, -100.0]
    np.testing.assert_allclose(
        sorted(_bars(axes)), [(-104.15, -103.85), (-102.15, -101.85), (-100.15, -99.85), (-100.15, -99.85)]
    )
    words = _words(axes)
    for expected in (
        "log p(x)  −100.00 ± 0.15",
        "ELBO  −104.00 ± 0.15",
        "amortisation gap  2.00 ± 0.15",
        "approximation gap  2.00 ± 0.15",
        "gap  4.00 ± 0.15\n= KL(q(z|x) ‖ p(z|x))",
    ):
        assert expected in words
    assert axes.get_title() == "means over 4 examples; error bars: standard errors of the draws"
    assert axes.get_ylabel() == "nats per example"


@pytest.mark.parametrize(
    ("amortisation", "approximation", "error"),
    [
        (0.0, 0.0, 0.1),
        (0.0, 0.0, 0.0),
        (2.0, 0.001, 0.1),
        (-0.01, 0.02, 0.1),
        (-3, 1, 0.1),
        (1e4, 1.0, 0.1),
        (1.0, 1.0, math.inf),
        (1e30, 2e35, 1e34),
    ],
    ids=["no gap", "exact", "a thin part", "a negative part", "a negative gap", "large", "errors not known", "vast"],
)
def test_no_two_labels_are_on_each_other(amortisation, approximation, error):
    figure = plots.evidence(decomposition([-90.0], [amortisation], [approximation], error))
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    assert all(low < line.get_ydata()[0] < high for line in figure.axes[0].lines if len(line.get_ydata()) == 2)
    # Of the words alone, without the lines that lead to them.
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts if text.get_text().strip()]
    assert len(boxes) == 6
    overlapping = [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes) if i < j and a.overlaps(b)]
    assert not overlapping
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.y1 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_of_groups():
    figure = plots.evidence(FOUR, groups=[1, 0, 1, 2], group_names=("zero", "one"))
    _render(figure)
    upper, lower = figure.axes
    assert [label.get_text() for label in lower.get_xticklabels()] == ["all\n4", "zero\n1", "one\n2", "2\n1"]
    lines = [[segment[0][1] for segment in lines.get_segments()] for lines in upper.collections[:3:2]]
    np.testing.assert_allclose(lines, [[-100.0, -90.0, -90.0, -130.0], [-104.0, -93.0, -93.5, -136.0]])
    heights = [[bar.get_height() for bar in bars] for bars in lower.containers if hasattr(bars, "patches")]
    np.testing.assert_allclose(heights, [[2.0, 2.0, 1.0, 4.0], [2.0, 1.0, 2.5, 2.0]])
    # Of one example 0.3, of two 0.3 / sqrt 2, of four 0.15.
    half = [(high - low) / 2 for low, high in _bars(lower)]
    np.testing.assert_allclose(half, [0.15, 0.3, 0.3 / math.sqrt(2), 0.3] * 2)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "log p(x)", "ELBO", "amortisation gap", "approximation gap",
    ]  # fmt: skip


def test_groups_may_be_words():
    lower = plots.evidence(FOUR, groups=["b", "a", "b", "a"]).axes[1]
    assert [label.get_text() for label in lower.get_xticklabels()] == ["all\n4", "a\n2", "b\n2"]


@pytest.mark.parametrize(("groups", "length"), [(4, 60), (4, 10), (12, 9), (40, 3), (40, 60)])
def test_names_of_groups_do_not_overlap(groups, length):
    index = np.arange(2 * groups)
    parts = decomposition(-90.0 - index, 1.0 + 0 * index, 1.0 + 0 * index)
    names = [f"{i:02}" + "m" * (length - 2) for i in range(groups)]
    figure = plots.evidence(parts, index % groups, names)
    _render(figure)
    shown = figure.axes[1].get_xticklabels()
    assert len(shown) == 1 + groups
    # Turned ones lie beside each other, so what is asked of them is the distance of their lines.
    turn = np.radians(shown[0].get_rotation())
    boxes = [label.get_window_extent() for label in shown]
    if turn:
        assert np.diff([box.x1 for box in boxes]).min() * np.sin(turn) > shown[0].get_fontsize() * figure.dpi / 72
        assert all(len(label.get_text()) <= len("a name of 24 characters. (2)") for label in shown[1:])
    else:
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0
    assert min(box.y0 for box in boxes) >= 0


def _history(looks, every=1):
    """Logs of that many looks: evidence and ELBO rise steeply, the gap closes."""
    t = np.arange(looks)
    parts = decomposition(-90 - 300 * np.exp(-t), 3 * np.exp(-t / 4), 1 + 0 * t)
    names = [name for part in PARTS for name in (part, f"{part}_error")]
    history = {"loss": [1.0] * looks * every}
    for name in names:
        values = np.full(looks * every, np.nan)
        values[::every] = getattr(parts, name)
        history[f"decomposition_{name}"] = values.tolist()
    return history


def test_along_training():
    history = _history(5, every=3)
    figure = plots.evidence_history(history)
    _render(figure)
    upper, lower = figure.axes
    assert upper.lines[0].get_xdata().tolist() == [1, 4, 7, 10, 13]
    np.testing.assert_allclose(upper.lines[0].get_ydata(), history["decomposition_log_evidence"][::3])
    elbo = next(line for line in upper.lines if line.get_label() == "ELBO")
    np.testing.assert_allclose(elbo.get_ydata(), history["decomposition_elbo"][::3])
    np.testing.assert_allclose([high - low for low, high in _bars(upper) + _bars(lower)], 0.6)
    # The upper edge of the stack is the gap.
    assert math.isclose(lower.collections[-2].get_datalim(lower.transData).y1, 4.0, rel_tol=1e-9)
    assert upper.get_title() == ""
    assert lower.get_xlabel() == "epoch"


def test_a_steep_start_may_leave_the_panel_and_the_title_says_so():
    upper, lower = plots.evidence_history(_history(12, every=2)).axes
    assert upper.get_title() == "axis fits epoch 7 on"
    # From the ELBO of the fourth look to the last evidence.
    assert -109 < upper.get_ylim()[0] < -90 - 300 * math.exp(-3) - 3 * math.exp(-3 / 4) - 1
    assert lower.get_ylim()[1] >= 4.0
    _render(plots.evidence_history(_history(1)))
    fitted = keras.callbacks.History()
    fitted.history = _history(1)
    _render(plots.evidence_history(fitted))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(
        ValueError, match=r"no field 'log_evidence_error' in SimpleNamespace; expected what tfvae\.evid"
    ):
        plots.evidence(SimpleNamespace(log_evidence=[1.0]))
    with pytest.raises(ValueError, match="one value per example each; they have"):
        plots.evidence(SimpleNamespace(**{**vars(FOUR), "elbo": [1.0]}))
    with pytest.raises(ValueError, match="one value per example each"):
        plots.evidence(decomposition([], [], []))
    with pytest.raises(ValueError, match="elbo must be finite, and 1 of 4 have a NaN"):
        plots.evidence(SimpleNamespace(**{**vars(FOUR), "elbo": [1.0, math.nan, 1.0, 1.0]}))
    with pytest.raises(ValueError, match=r"groups have shape \(3,\); expected one for each example, shape \(4,\)"):
        plots.evidence(FOUR, groups=[1, 2, 3])
    many = decomposition(*np.zeros([3, 41]))
    with pytest.raises(ValueError, match="There are 41 groups; at most 40"):
        plots.evidence(many, groups=np.arange(41))
    history = _history(3)
    with pytest.raises(ValueError, match=r"lacks decomposition_gap\. Give that of a fit with tfvae\.callbacks"):
        plots.evidence_history({name: values for name, values in history.items() if name != "decomposition_gap"})
    with pytest.raises(ValueError, match="different lengths"):
        plots.evidence_history({**history, "decomposition_elbo": [1.0]})
    with pytest.raises(ValueError, match="no epoch in which the decomposition was logged"):
        plots.evidence_history({name: [math.nan] * 3 for name in history})
