"""``tfvae.plots``: the pictures say what the numbers say, for images and for other data."""

import io

import keras
import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from tfvae import plots

RNG = np.random.default_rng(0)
HISTORY = {
    "elbo": [-90.0, -50.0, -40.0, -41.0],
    "val_elbo": [-95.0, -55.0, -44.0, -47.0],
    "reconstruction": [-90.0, -45.0, -30.0, -31.0],
    "kl": [0.0, 5.0, 10.0, 10.0],
    "loss": [90.0, 50.0, 40.0, 41.0],
}


def _render(figure):
    """Draw to PNG in memory; return the pixels. Layout warnings would be errors here."""
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    pixels = np.asarray(Image.open(buffer).convert("RGB"))
    assert pixels.std() > 1, "the picture is blank"
    return pixels


def _texts(axes):
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_training_curves():
    figure = plots.training_curves(HISTORY)
    _render(figure)
    assert [axes.get_title() for axes in figure.axes] == ["ELBO", "reconstruction, log p(x|z)", "KL(q(z|x) ‖ p(z))"]
    assert all(axes.get_ylabel() == "nats per example" and axes.get_xlabel() == "epoch" for axes in figure.axes)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert figure.axes[0].lines[1].get_ydata().tolist() == HISTORY["val_elbo"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "best: −44.00 in epoch 3"]


def test_training_curves_of_what_fit_returns():
    history = keras.callbacks.History()
    history.history = HISTORY
    np.testing.assert_array_equal(_render(plots.training_curves(history)), _render(plots.training_curves(HISTORY)))


def test_legend_of_training_curves_is_outside_of_the_panels():
    """Where neither the curves nor the line of the best epoch run through its words."""
    figure = plots.training_curves(HISTORY)
    _render(figure)
    (legend,) = figure.legends
    words = legend.get_window_extent()
    assert not any(words.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert words.x0 >= 0
    assert words.x1 <= figure.bbox.x1


def _long_history(epochs, start=(), end=()):
    """A slow rise from -40 to -35, the first or the last epochs replaced."""
    elbo = np.linspace(-40, -35, epochs)
    elbo[: len(start)] = start
    elbo[epochs - len(end) :] = end
    kl = np.where(elbo < -50, 0.0, 10.0)
    return {"elbo": elbo, "val_elbo": elbo - 1, "reconstruction": elbo + kl, "val_reconstruction": elbo + kl, "kl": kl}


def _shows_everything(axes):
    low, high = axes.get_ylim()
    values = np.concatenate([line.get_ydata() for line in axes.lines if "training" in line.get_label()])
    return low < values.min() <= values.max() < high


def test_a_steep_start_may_leave_the_panel_and_the_title_says_so():
    figure = plots.training_curves(_long_history(100, start=(-500, -90)))
    _render(figure)
    elbo, reconstruction, kl = figure.axes
    assert elbo.get_title() == "ELBO (axis fits epoch 11 on)"
    assert reconstruction.get_title() == "reconstruction, log p(x|z) (axis fits epoch 11 on)"
    # From -40.5, validation in epoch 11, to -35, training in the last.
    assert -42 < elbo.get_ylim()[0] < -40.4
    assert -35 < elbo.get_ylim()[1] < -34
    assert kl.get_title() == "KL(q(z|x) ‖ p(z))"
    assert _shows_everything(kl), "a KL of 0 in the first epochs is news"


@pytest.mark.parametrize(
    ("epochs", "start", "end"),
    [
        (19, (-500,), ()),
        (100, (-47,), ()),
        (100, (), (-90, -300)),
        (100, (-500,), (-300,)),
        # The best epoch is the first: it stays in the picture.
        (100, (900,), ()),
    ],
    ids=["short run", "less than threefold", "late collapse", "both", "best first"],
)
def test_nothing_else_is_left_out(epochs, start, end):
    figure = plots.training_curves(_long_history(epochs, start, end))
    _render(figure)
    assert all(_shows_everything(axes) for axes in figure.axes)
    assert not any("fits" in axes.get_title() for axes in figure.axes)


@pytest.mark.parametrize(
    "history",
    [
        {"elbo": [-3.0]},
        {"elbo": [-3.0], "val_elbo": [np.nan]},
        {"elbo": [np.nan] * 3},
        {"elbo": [2.0, 2.0]},
        {"elbo": [np.nan] * 30},
        {"elbo": [-9.0] + [2.0] * 30},
        {"elbo": [-9.0] * 3 + [np.nan] * 27},
    ],
)
def test_training_curves_of_odd_histories(history):
    _render(plots.training_curves(history))


@pytest.mark.parametrize("history", [{}, {"kl": [1.0]}, {"elbo": []}])
def test_training_curves_without_epochs(history):
    with pytest.raises(ValueError, match="expected at least one epoch of elbo"):
        plots.training_curves(history)


def test_training_curves_of_different_lengths():
    with pytest.raises(ValueError, match=r"different lengths: \{'elbo': 2, 'val_elbo': 1\}"):
        plots.training_curves({"elbo": [1, 2], "val_elbo": [1]})


@pytest.mark.parametrize("shape", [(7, 8, 8, 1), (7, 8, 8), (3, 6, 9, 3), (1, 5, 5, 1)])
def test_image_pictures_show_the_images(shape):
    x = RNG.uniform(size=shape)
    for figure in (plots.samples(x), plots.reconstructions(x, 1 - x)):
        _render(figure)
        shown = np.asarray(figure.axes[0].images[0].get_array())
        first = x[0, ..., 0] if shape[-1] == 1 else x[0]
        gap = 1
        assert np.allclose(shown[gap : gap + shape[1], gap : gap + shape[2]], first)


def test_reconstructions_stand_below_their_examples():
    x = RNG.uniform(size=(4, 8, 8, 1))
    figure = plots.reconstructions(x, 1 - x, count=3)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.shape == (1 + 2 * 9, 1 + 3 * 9)
    assert np.allclose(shown[10:18, 10:18], 1 - x[1, ..., 0])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["x", "mean of p(x|z)"]


def test_values_beyond_the_unit_interval_are_scaled_not_cut():
    x = np.stack([np.full((4, 4), -2.0), np.full((4, 4), 6.0)])
    shown = np.asarray(plots.samples(x).axes[0].images[0].get_array())
    assert shown[1, 1] == 0.0
    assert shown[1, 6] == 1.0


@pytest.mark.parametrize("shape", [(30, 2), (30, 1), (30, 5), (30, 100), (1, 3), (12, 4, 5, 2), (6, 1, 9, 1)])
def test_other_data_are_drawn_too(shape):
    x = RNG.normal(size=shape)
    for figure in (plots.samples(x), plots.samples(x, reference=x), plots.reconstructions(x, x)):
        _render(figure)
        assert not figure.axes[0].images
    if shape[1:] == (1,):
        assert [plots.samples(x).axes[0].get_xticks().tolist(), figure.axes[0].get_xticks().tolist()] == [[0], [0]]
    if shape[1:] == (2,):
        assert _texts(plots.samples(x, reference=x).axes[0]) == ["data", "samples"]


@pytest.mark.parametrize("x", [np.ones(3), np.ones((0, 4)), np.ones((3, 0)), 1.0])
def test_nothing_to_draw(x):
    with pytest.raises(ValueError, match=r"expected \[examples"):
        plots.samples(x)
    with pytest.raises(ValueError, match=r"expected \[examples"):
        plots.reconstructions(x, x)


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_a_number_of_reconstructions_that_is_none(count):
    with pytest.raises(ValueError, match=f"count must be a positive integer, not {count}"):
        plots.reconstructions(np.ones((3, 8)), np.ones((3, 8)), count=count)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_codes_that_are_not_finite_are_refused(size):
    values = np.ones((4, size))
    values[2, -1] = np.nan
    for draw, name in ((plots.latent_space, "mean"), (plots.kl_per_dimension, "kl")):
        with pytest.raises(ValueError, match=f"{name} must be finite, and 1 of 4 have a NaN .* the first at index 2"):
            draw(values)


def test_shapes_that_do_not_belong_together():
    with pytest.raises(ValueError, match=r"shape \(3, 2\) and the reconstructions \(3, 4\)"):
        plots.reconstructions(np.ones((3, 2)), np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"event shape \(2,\) and the reference \(3,\)"):
        plots.samples(np.ones((3, 2)), reference=np.ones((3, 3)))


@pytest.mark.parametrize(("size", "classes"), [(1, 0), (1, 3), (2, 0), (2, 12), (3, 1), (10, 30)])
def test_latent_space(size, classes):
    mean = RNG.normal(size=(60, size))
    figure = plots.latent_space(mean, labels=np.arange(60) % classes if classes else None)
    _render(figure)
    names = _texts(figure.axes[0])
    assert len(names) == (classes if 1 < classes <= 20 else 0)
    if size == 2:
        assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("z[0]", "z[1]")


def test_latent_space_of_many_dimensions_shows_its_principal_components():
    mean = RNG.normal(size=(200, 4)) * [0.1, 3.0, 0.1, 1.0]
    figure = plots.latent_space(mean)
    drawn = figure.axes[0].collections[0].get_offsets()
    # The widest direction is the second coordinate, up to sign; the others leak in by about 0.1 / 3.
    assert abs(np.corrcoef(drawn[:, 0], mean[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(drawn[:, 1], mean[:, 3])[0, 1]) > 0.99
    share = (drawn[:, 0].var() / mean.var(axis=0).sum()).item()
    assert f"({share:.0%} of the variance)" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize("mean", [np.zeros((5, 3)), np.ones((1, 3)), np.ones((1, 1))])
def test_latent_space_without_variance(mean):
    figure = plots.latent_space(mean)
    _render(figure)
    assert "variance" not in figure.axes[0].get_xlabel() + figure.axes[0].get_ylabel()


def test_latent_space_names_classes():
    figure = plots.latent_space(np.ones((4, 2)), labels=[0, 1, 2, 2], class_names=("cat", "dog"))
    assert _texts(figure.axes[0]) == ["cat", "dog", "2"]


@pytest.mark.parametrize("mean", [np.ones((4, 1)), np.arange(8).reshape(4, 2)])
def test_names_of_classes_are_shown_as_they_stand(mean):
    """Neither read as a formula, which most are not, nor left out of the legend for a leading underscore."""
    names = ("1_to_$_2$", "_hidden", "a\\b", "$")
    figure = plots.latent_space(mean, labels=[0, 1, 2, 3], class_names=names)
    _render(figure)
    shown = [text.strip().replace(r"\$", "$") for text in _texts(figure.axes[0])]
    assert shown == list(names)


def test_long_names_of_classes_lose_their_end():
    """Whole, they would leave no room for the points."""
    names = ("x" * 24, "great white shark, white shark, man-eater")
    figure = plots.latent_space(np.arange(4).reshape(2, 2), labels=[0, 1], class_names=names)
    assert _texts(figure.axes[0]) == [names[0], "great white shark, whit…"]


def test_latent_space_refuses_wrong_shapes():
    with pytest.raises(ValueError, match=r"mean has shape \(3,\); expected posterior means \[examples, D\]"):
        plots.latent_space([1, 2, 3])
    with pytest.raises(ValueError, match=r"labels have shape \(2,\); expected one for each mean, shape \(3,\)"):
        plots.latent_space(np.ones((3, 2)), labels=[1, 2])


def test_kl_per_dimension():
    kl = [0.5, 0.001, 2.0]
    figure = plots.kl_per_dimension(kl)
    _render(figure)
    axes = figure.axes[0]
    assert [bar.get_height() for bar in axes.patches] == [2.0, 0.5, 0.001]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "0", "1"]
    assert "(nats)" in axes.get_ylabel()
    of_examples = plots.kl_per_dimension(np.stack([np.zeros(3), 2 * np.array(kl)])).axes[0]
    assert [bar.get_height() for bar in of_examples.patches] == [2.0, 0.5, 0.001]


def test_kl_of_many_dimensions_shows_the_largest():
    figure = plots.kl_per_dimension(np.linspace(0, 1, 300))
    _render(figure)
    assert len(figure.axes[0].patches) == 64
    assert figure.axes[0].get_title() == "297 of 300 dimensions have a KL over 0.01 nats; 150.00 nats in all"


@pytest.mark.parametrize("kl", [[], 1.0, np.ones((2, 2, 2))])
def test_kl_per_dimension_refuses_wrong_shapes(kl):
    with pytest.raises(ValueError, match=r"expected \[D\] or \[examples, D\]"):
        plots.kl_per_dimension(kl)


def test_no_global_state_of_matplotlib_is_touched():
    before = dict(matplotlib.rcParams)
    _render(plots.samples([[0.0, 1.0]]))
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
