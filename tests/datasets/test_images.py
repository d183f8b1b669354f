"""``tfvae.datasets`` on folders of images: classes, parts, and what is refused."""

import re

import numpy as np
import pytest
from PIL import ExifTags, Image

from tfvae import datasets


def _save_image(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_folder_of_images_with_classes(tmp_path):
    for k, name in enumerate(["cat", "dog"]):
        for i in range(5):
            _save_image(tmp_path / name / f"{i}.png", np.full((4, 6), 51 * k + i, np.uint8))
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "._0.png"):
        (tmp_path / "cat" / name).write_text("not an image")
    _save_image(tmp_path / ".thumbnails" / "0.png", np.zeros((4, 6), np.uint8))
    data = datasets.load(tmp_path)
    assert data.event_shape == (4, 6, 1)
    assert data.class_names == ("cat", "dog")
    assert ((data.train[:, 0, 0, 0] * 255 >= 50) == (data.train_labels == 1)).all()
    assert data.kind == "unit"


def test_folder_mixing_grey_and_colour_is_read_as_colour(tmp_path):
    _save_image(tmp_path / "a.png", np.full((4, 6), 255, np.uint8))
    _save_image(tmp_path / "b.png", np.stack([np.full((4, 6), c, np.uint8) for c in (255, 0, 51)], axis=-1))
    examples = datasets.load_examples(tmp_path)
    assert examples.shape == (2, 4, 6, 3)
    assert np.allclose(examples[1, 0, 0], [1, 0, 0.2])
    assert np.allclose(examples[0], 1)


def test_folder_of_training_and_test_images(tmp_path):
    """The test part lacks a class and has the only colours; a layout of Keras users."""
    for number, name in enumerate(["cat", "dog", "elk"]):
        for i in range(3):
            _save_image(tmp_path / "Train" / name / f"{i}.png", np.full((4, 6), 51 * number, np.uint8))
    for number, name in ((0, "cat"), (2, "elk")):
        _save_image(tmp_path / "test" / name / "0.png", np.full((4, 6, 3), 51 * number + 1, np.uint8))
    data = datasets.load(tmp_path)
    assert data.event_shape == (4, 6, 3)
    assert data.class_names == ("cat", "dog", "elk")
    np.testing.assert_array_equal(np.round(data.train[:, 0, 0, 0] * 255), 51 * data.train_labels)
    np.testing.assert_array_equal(data.test_labels, [0, 2])
    np.testing.assert_array_equal(np.round(data.test[:, 0, 0, 0] * 255), [1, 103])
    np.testing.assert_array_equal(datasets.load_examples(tmp_path), data.test)


def test_folder_of_training_and_test_images_without_classes(tmp_path):
    for i, part in enumerate(["train", "train", "test"]):
        _save_image(tmp_path / part / f"{i}.png", np.full((4, 6), 51 * i, np.uint8))
    data = datasets.load(tmp_path)
    assert (data.train_labels, data.test_labels, data.class_names) == (None, None, None)
    np.testing.assert_array_equal(np.round(data.train[:, 0, 0, 0] * 255), [0, 51])
    np.testing.assert_array_equal(np.round(data.test[:, 0, 0, 0] * 255), [102])


def test_training_and_test_images_that_are_not_arranged_alike(tmp_path):
    _save_image(tmp_path / "train" / "cat" / "0.png", np.zeros((4, 6), np.uint8))
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match="test holds no images"):
        datasets.load(tmp_path)
    _save_image(tmp_path / "test" / "0.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match="holds images directly and the other in sub-folders"):
        datasets.load(tmp_path)
    _save_image(tmp_path / "valid" / "0.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match=r"sub-folders test, train, valid; expected train and test alone"):
        datasets.load(tmp_path)


@pytest.mark.parametrize("parts", [("train", "val"), ("Train", "test", "train")])
def test_parts_beside_training_and_test_images_are_no_classes(tmp_path, parts):
    for part in parts:
        _save_image(tmp_path / part / "0.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match=rf"sub-folders {', '.join(parts)}; expected train and test alone"):
        datasets.load(tmp_path)


@pytest.mark.parametrize("beside", ["cat/0.png", "1.png", None])
def test_images_too_far_down_are_not_left_out(tmp_path, beside):
    for file in filter(None, ["train/cat/1.png", beside]):
        _save_image(tmp_path / file, np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match=r"train/cat holds images, two folders below .* or point to .*/train\."):
        datasets.load(tmp_path)


def test_images_of_mixed_sizes(tmp_path):
    _save_image(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    _save_image(tmp_path / "b.png", np.zeros((4, 7), np.uint8))
    with pytest.raises(ValueError, match=r"b\.png is 7x4 pixels and .*a\.png is 6x4 .*one size"):
        datasets.load(tmp_path)


@pytest.mark.parametrize(
    ("orientation", "on_its_side"),
    [
        (5, lambda upright: upright.swapaxes(0, 1)),
        (6, lambda upright: np.rot90(upright)),  # Turn it by a quarter clockwise to see it.
        (7, lambda upright: np.rot90(upright, 2).swapaxes(0, 1)),
        (8, lambda upright: np.rot90(upright, -1)),
    ],
)
def test_photographs_are_read_as_viewers_show_them(tmp_path, orientation, on_its_side):
    """A camera that was turned stores the picture on its side, and says so."""
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:4, :8] = 255
    Image.fromarray(upright).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(on_its_side(upright)).save(tmp_path / "b.png", exif=exif)
    examples = datasets.load_examples(tmp_path)
    np.testing.assert_array_equal(examples[0], upright / np.float32(255))
    np.testing.assert_array_equal(examples[1], examples[0])


def test_unreadable_images(tmp_path):
    _save_image(tmp_path / "a.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    content = (tmp_path / "a.png").read_bytes()
    for broken in [b"", b"not an image", content[:20], content[:-30]]:
        (tmp_path / "b.png").write_bytes(broken)
        with pytest.raises(ValueError, match=r"b\.png cannot be read as an image \(.+\)\. Save it again"):
            datasets.load(tmp_path)


def test_sixteen_bit_images_are_refused(tmp_path):
    _save_image(tmp_path / "a.png", np.zeros((4, 4), np.uint16))
    with pytest.raises(ValueError, match=r"mode 'I;16'; expected 8-bit"):
        datasets.load(tmp_path)


def test_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match=re.escape(str(tmp_path)) + r" holds no images; expected \.bmp"):
        datasets.load(tmp_path)


@pytest.mark.parametrize("below", [["cat"], ["test", "train"]])
def test_images_both_in_the_folder_and_below(tmp_path, below):
    for folder in (".", *below):
        _save_image(tmp_path / folder / "a.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match=rf"both directly and in sub-folders \({below[0]}, \.\.\.\)"):
        datasets.load(tmp_path)
