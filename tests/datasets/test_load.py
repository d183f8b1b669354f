"""``tfvae.datasets``: every source is read right, every bad one is refused in words that help."""

import importlib
import zipfile

import numpy as np
import pytest

from tfvae import datasets


def _save_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def _save_csv(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def _rows(data):
    return {tuple(row) for row in data.reshape(len(data), -1).tolist()}


def test_digits_are_split_for_good():
    digits = datasets.load("digits")
    assert digits.train.shape == (1438, 8, 8, 1)
    assert digits.test.shape == (359, 8, 8, 1)
    assert digits.train.dtype == digits.test.dtype == np.float32
    assert digits.kind == "unit"
    assert (digits.train.min(), digits.train.max()) == (0.0, 1.0)
    # The split is part of what the reported numbers mean, so it is pinned: the first classes of each part.
    assert digits.train_labels[:8].tolist() == [0, 1, 4, 5, 6, 7, 8, 9]
    assert digits.test_labels[:8].tolist() == [2, 3, 1, 3, 5, 0, 1, 5]


def test_binarised_digits():
    binary = datasets.load("digits").binarised()
    assert binary.kind == "binary"
    grey = datasets.load("digits").train
    assert (binary.train == (grey >= 0.5)).all()


def test_real_values_are_not_binarised(tmp_path):
    np.save(tmp_path / "a.npy", np.linspace(-3, 5, 20).reshape(10, 2))
    with pytest.raises(ValueError, match=r"reach from -3 to .*Scale them to \[0, 1\]"):
        datasets.load(tmp_path / "a.npy").binarised()


@pytest.mark.parametrize(
    ("x", "event_shape", "kind"),
    [
        (np.arange(20.0).reshape(10, 2), (2,), "real"),
        (np.eye(10, dtype=bool), (10,), "binary"),
        (255 * np.eye(10, dtype=np.uint8), (10,), "binary"),
        (np.arange(20, dtype=np.uint8).reshape(10, 2), (2,), "unit"),
        (np.linspace(0, 1, 120).reshape(10, 4, 3), (4, 3, 1), "unit"),
        (np.arange(240, dtype=np.uint8).reshape(10, 4, 3, 2), (4, 3, 2), "unit"),
        (np.arange(20, dtype=np.int64).reshape(10, 2), (2,), "real"),
        (np.linspace(0, 1, 20).reshape(10, 2).astype(">f8"), (2,), "unit"),
        (np.linspace(-1, 1, 20).reshape(10, 2), (2,), "real"),
    ],
)
def test_npy(tmp_path, x, event_shape, kind):
    path = tmp_path / "x.npy"
    np.save(path, x)
    data = datasets.load(path)
    assert (data.event_shape, data.kind, len(data.train), len(data.test)) == (event_shape, kind, 8, 2)
    assert data.train.dtype == np.float32
    scale = 255 if x.dtype == np.uint8 else 1
    expected = (x.reshape(10, *event_shape) / scale).astype(np.float32)
    assert _rows(data.train) | _rows(data.test) == _rows(expected)
    assert np.allclose(datasets.load_examples(path), expected)


@pytest.mark.parametrize("largest", [0, 2, 3, 254, 255])
def test_the_scale_of_bytes_does_not_depend_on_them(tmp_path, largest):
    np.save(tmp_path / "x.npy", np.full((1, 3, 3), largest, np.uint8))
    # float32 of the quotient, exactly.
    assert (datasets.load_examples(tmp_path / "x.npy") == np.float32(largest) / np.float32(255)).all()


def test_the_split_is_always_the_same(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(50.0).reshape(25, 2))
    first, second = datasets.load(tmp_path / "x.npy"), datasets.load(tmp_path / "x.npy")
    assert (first.test == second.test).all()
    assert not (np.diff(first.test[:, 0]) == 2).all(), "the test part should be drawn at random, not a block"


def test_npz_with_all_parts(tmp_path):
    path = _save_npz(
        tmp_path / "a.npz", x_train=np.ones((6, 3)), x_test=np.zeros((2, 3)), y_train=np.arange(6), y_test=np.arange(2)
    )
    data = datasets.load(path)
    assert (data.train.shape, data.test.shape) == ((6, 3), (2, 3))
    assert data.train_labels.tolist() == list(range(6))
    assert data.test_labels.tolist() == [0, 1]
    assert datasets.load_examples(path).shape == (2, 3)


def test_npz_labels_stay_with_their_examples(tmp_path):
    x = np.arange(20.0).reshape(10, 2)
    data = datasets.load(_save_npz(tmp_path / "a.npz", x=x, y=np.arange(10)))
    assert (data.train[:, 0] == 2 * data.train_labels).all()
    assert (data.test[:, 0] == 2 * data.test_labels).all()


def test_npz_of_bytes_and_other_numbers_is_refused(tmp_path):
    path = _save_npz(tmp_path / "a.npz", x_train=np.full((10, 3), 200, np.uint8), x_test=np.ones((4, 3), np.int64))
    with pytest.raises(ValueError, match=r"x_train has dtype uint8 and x_test int64, and bytes .* divided by 255"):
        datasets.load(path)


def test_npz_with_one_array_of_any_name(tmp_path):
    data = datasets.load(_save_npz(tmp_path / "a.npz", spectra=np.ones((10, 3))))
    assert data.event_shape == (3,)
    assert data.train_labels is None


def test_csv_with_header_and_labels(tmp_path):
    text = "\ufefflabel,age,height\n" + "".join(f"{i % 2},{i},{i / 2}\n" for i in range(10)) + "\n"
    data = datasets.load(_save_csv(tmp_path / "a.csv", text))
    assert data.event_shape == (2,)
    assert (data.train_labels == data.train[:, 0] % 2).all()
    assert (data.train[:, 1] == data.train[:, 0] / 2).all()


def test_csv_that_begins_with_zero_and_one(tmp_path):
    data = datasets.load(_save_csv(tmp_path / "a.csv", "0,1\n1,0\n1,1\n"))
    assert _rows(data.train) | _rows(data.test) == {(0, 1), (1, 0), (1, 1)}
    data = datasets.load(_save_csv(tmp_path / "b.csv", "a,b,c\n0,1,2\n1,0,3\n"))
    assert _rows(data.train) | _rows(data.test) == {(0, 1, 2), (1, 0, 3)}


def test_csv_with_a_header_of_numbers_in_quotes(tmp_path):
    data = datasets.load(_save_csv(tmp_path / "a.csv", '"400","410"\n1,2\n3,4\n5,6\n'))
    assert _rows(data.train) | _rows(data.test) == {(1, 2), (3, 4), (5, 6)}
    data = datasets.load(_save_csv(tmp_path / "b.csv", '\n"400","410"\n\n1,2\n3,4\n5,6\n'))
    assert _rows(data.train) | _rows(data.test) == {(1, 2), (3, 4), (5, 6)}


@pytest.mark.parametrize("end", ["\n", "\n\n", "\r\r\n"])
def test_csv_with_all_numbers_in_quotes_has_no_header(tmp_path, end):
    (tmp_path / "a.csv").write_text(f'"1","2"{end}"3","4"{end}"5","6"{end}', newline="")
    data = datasets.load(tmp_path / "a.csv")
    assert _rows(data.train) | _rows(data.test) == {(1, 2), (3, 4), (5, 6)}


@pytest.mark.parametrize("first", ["0,1,2", ",0,1"])
def test_csv_with_the_numbers_that_pandas_calls_nameless_columns(tmp_path, first):
    with pytest.raises(ValueError, match=r"names of nameless columns.*to_csv\(\.\.\., header=False, index=False\)"):
        datasets.load(_save_csv(tmp_path / "a.csv", f"{first}\n0,1,0\n1,0,1\n"))


def test_csv_without_header(tmp_path):
    data = datasets.load(_save_csv(tmp_path / "a.csv", "1,2\n3,4\n5,6\n"))
    assert _rows(data.train) | _rows(data.test) == {(1, 2), (3, 4), (5, 6)}


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_keras_datasets(monkeypatch, name):
    colours = name.startswith("cifar")
    shape = (4, 4, 3) if colours else (4, 4)
    x = np.arange(6 * np.prod(shape)).reshape(6, *shape).astype(np.uint8)
    y = np.arange(6, dtype=np.uint8)
    parts = (x[:4], y[:4, None] if colours else y[:4]), (x[4:], y[4:, None] if colours else y[4:])
    monkeypatch.setattr(importlib.import_module(f"keras.datasets.{name}"), "load_data", lambda: parts)
    data = datasets.load(name)
    assert data.event_shape == (4, 4, 3 if colours else 1)
    assert np.allclose(data.train, x[:4].reshape(data.train.shape) / 255)
    assert (data.test_labels == [4, 5]).all()


def test_failed_download_is_explained(monkeypatch):
    def fail():
        raise Exception("URL fetch failure on https://example.org/mnist.npz")

    monkeypatch.setattr(importlib.import_module("keras.datasets.mnist"), "load_data", fail)
    with pytest.raises(ValueError, match=r"could not load mnist \(URL fetch failure.*check the network"):
        datasets.load("mnist")


@pytest.mark.parametrize("name", ["nowhere.npy", "no/such/folder", "", "bad\0name"])
def test_missing_source_names_what_there_is(name):
    with pytest.raises(FileNotFoundError, match=r"no data set or file called .*digits, mnist.*\.npy"):
        datasets.load(name)


_BAD_ARRAYS = {
    "objects": (
        np.array([{"a": 1}, None], dtype=object),
        r"not a readable \.npy file \(it is no NumPy file, or holds Python objects",
    ),
    "bytes up to 1": (np.eye(4, dtype=np.uint8), r"no value over 1, which is ambiguous.*as bool or float32"),
    "strings": (np.array([["a"], ["b"]]), r"dtype <U1; expected booleans, integers or real"),
    "complex": (np.ones((4, 2), complex), r"dtype complex128; expected"),
    "records": (np.zeros(4, [("a", "f4")]), r"expected booleans, integers or real"),
    "rank 1": (np.ones(4), r"shape \(4,\); expected \[examples, features\].*reshape"),
    "rank 5": (np.ones((2, 2, 2, 2, 2)), r"shape \(2, 2, 2, 2, 2\); expected"),
    "scalar": (np.array(3.0), r"shape \(\); expected"),
    "no rows": (np.ones((0, 3)), r"is empty: its shape is \(0, 3\)"),
    "no columns": (np.ones((3, 0)), r"is empty: its shape is \(3, 0\)"),
    "one row": (np.ones((1, 3)), r"holds 1 example; at least 2 are needed"),
    "nan": (np.array([[0.0, 1.0], [2.0, np.nan], [np.nan, 3.0]]), r"nan, in row 1, column 1 .*; 2 of 6 values"),
    "inf in an image": (np.full((2, 3, 3), -np.inf), r"-inf, in row 0, position \(0, 0, 0\)"),
    "too big": (np.full((4, 2), 1e300), r"1e\+300, which is more than float32 holds, in row 0, column 0"),
}


@pytest.mark.parametrize("case", _BAD_ARRAYS)
def test_bad_array_is_refused(tmp_path, case):
    array, message = _BAD_ARRAYS[case]
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        datasets.load(tmp_path / "x.npy")


def test_members_of_npz_that_are_no_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", b"hello")
    with pytest.raises(ValueError, match=r"not a readable \.npz file \(its member readme\.txt is no array\)"):
        datasets.load(tmp_path / "a.npz")


def test_encrypted_npz_is_refused(tmp_path):
    path = _save_npz(tmp_path / "a.npz", x=np.ones((4, 2)))
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    for flags in (content.index(b"PK\x03\x04") + 6, directory + 8):  # Bit 0: encrypted.
        content[flags] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not a readable \.npz file \(.*encrypted"):
        datasets.load(path)


def test_object_arrays_in_npz_are_refused(tmp_path):
    path = _save_npz(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"not a readable \.npz file \(it is no NumPy file, or holds Python objects"):
        datasets.load(path)


_BAD_ARCHIVES = {
    "unknown names": ({"a": np.ones((4, 2)), "b": np.ones((4, 2))}, r"holds the arrays a, b; expected x_train"),
    "too few labels": ({"x": np.ones((4, 2)), "y": np.arange(3)}, r"labels of x of .* shape \(3,\); .*\(4,\)"),
    "labels in parts": (
        {"x": np.ones((4, 2)), "y": np.array([0, 1.5, 2, 3])},
        r"labels .*dtype float64; expected integ",
    ),
    "labels that float64 rounds": (
        {"x": np.ones((2, 2)), "y": np.array([1, 2.0**60])},
        r"labels .*dtype float64; expected integers",
    ),
    "labels in words": ({"x": np.ones((2, 2)), "y": np.array(["a", "b"])}, r"labels .*dtype <U1; expected integers"),
    "labels too large": (
        {"x": np.ones((2, 2)), "y": np.array([1, 2**63 + 1], np.uint64)},
        r"labels .*dtype uint64; expected integers below 2\*\*63",
    ),
    "other test shape": (
        {"x_train": np.ones((4, 2)), "x_test": np.ones((4, 3))},
        r"training examples .* shape \(2,\) and its test examples \(3,\)",
    ),
    "labels of nothing": ({"x_train": np.ones((4, 2)), "y_test": np.arange(4)}, r"y_test without x_test"),
    "nothing": ({}, r"holds the arrays \(none\)"),
    "nan in the test part": ({"x_train": np.ones((4, 2)), "x_test": np.full((1, 2), np.nan)}, r"x_test of .* nan"),
}


@pytest.mark.parametrize("case", _BAD_ARCHIVES)
def test_bad_archive_is_refused(tmp_path, case):
    arrays, message = _BAD_ARCHIVES[case]
    with pytest.raises(ValueError, match=message):
        datasets.load(_save_npz(tmp_path / "a.npz", **arrays))


_BAD_CSV = {
    "empty": ("", r"is empty; expected lines of numbers"),
    "blank lines": ("\n\n \n", r"is empty"),
    "only a header": ("age,height\n", r"holds no numbers: its only line is 'age,height'"),
    "separated digits": ("1,2\n3,1_0\n", r"line 2, column 2, holds '1_0'; expected a finite number"),
    "open quote": ('1,2\n"3,4\n5,6\n', r"line 3, has 1 values; expected 2.* A quote before it seems to have no end"),
    "ragged": ("1,2\n3,4\n\n5\n", r"line 4, has 1 values; expected 2"),
    "word": ("age,height\n1,2\n3,tall\n", r"line 3, column 2 \(height\), holds 'tall'"),
    "missing value": ("1,2\n3,\n", r"line 2, column 2, holds ''"),
    "missing value in the first line": ("1,,3\n4,5,6\n", r"line 1, column 2, holds ''; expected a finite number"),
    "missing word in the first line": ("1,NA\n3,4\n", r"line 1, column 2, holds 'NA'; expected a finite number"),
    "row numbers": (",a,b\n0,1,2\n1,3,4\n", r"no name for column 1, as .* row numbers\. .*index=False"),
    "nan": ("1,2\nnan,3\n", r"line 2, column 1, holds nan; expected a finite number"),
    "infinity": ("1,2\n4,-inf\n", r"line 2, column 2, holds -inf"),
    "semicolons": ("1;2\n3;4\n", r"line 2, column 1 \(1;2\), holds '3;4'.* separated by semicolons; put commas"),
    "semicolons and decimal commas": ("a;b\n1,5;2,5\n", r"line 2, has 3 values; .* separated by semicolons"),
    "tabs": ("a\tb\n1\t2\n", r"separated by tabs; put commas between"),
    "text column": ("a,species\n1,setosa\n", r"holds 'setosa'; .*must be numeric; only one named label or class"),
    "two labels": ("label,class,x\n1,1,2\n1,1,3\n", r"2 columns named label or class"),
    "only labels": ("label\n1\n2\n", r"is empty: its shape is \(2, 0\)"),
}


@pytest.mark.parametrize("case", _BAD_CSV)
def test_bad_csv_is_refused(tmp_path, case):
    text, message = _BAD_CSV[case]
    with pytest.raises(ValueError, match=message):
        datasets.load(_save_csv(tmp_path / "a.csv", text))


def test_csv_that_is_not_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe1,2\n\x00\x81")
    with pytest.raises(ValueError, match=r"not a readable \.csv file"):
        datasets.load(tmp_path / "a.csv")


def test_unknown_file_type(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"?")
    with pytest.raises(ValueError, match=r"unknown type '\.xlsx'; expected a \.npy, \.npz, \.csv"):
        datasets.load(tmp_path / "a.xlsx")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_truncated_or_foreign_numpy_files_raise_req_49(tmp_path, suffix):
    good = tmp_path / f"good.{suffix}"
    if suffix == "npy":
        np.save(good, np.ones((40, 3)))
    else:
        np.savez_compressed(good, x=np.random.default_rng(0).normal(size=(40, 3)))
    content = good.read_bytes()
    bad = tmp_path / f"bad.{suffix}"
    for length in [0, 1, 5, 9, 60, 100, len(content) // 2, len(content) - 1]:
        bad.write_bytes(content[:length])
        with pytest.raises(ValueError, match=rf"not a readable \.{suffix} file .* Save it again") as refusal:
            datasets.load(bad)
        assert "allow_pickle" not in str(refusal.value)


def test_npy_under_the_name_of_an_archive_and_back(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 2)))
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"should end in \.npy"):
        datasets.load(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", x=np.ones((4, 2)))
    (tmp_path / "y.npz").rename(tmp_path / "y.npy")
    with pytest.raises(ValueError, match=r"Rename it to end in \.npz"):
        datasets.load(tmp_path / "y.npy")
