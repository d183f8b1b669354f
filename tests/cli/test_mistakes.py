"""Whatever the user gets wrong: one clear line on stderr, exit code 2, and nothing half-written."""

import contextlib
import fcntl
import json
import os
import shutil
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from tfvae import _files, datasets
from tfvae.cli import _commands, _data, _run_folder, main


def _assert_one_line(code, out, err, message):
    assert code == 2
    assert err.startswith("tfvae: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert message in err
    assert "Traceback" not in err + out


def _save(path, array):
    np.save(path, array)
    return path


_WRONG_DATA = {
    "nan": (np.array([[1.0, np.nan]] * 9), "row 0, column 1"),
    "infinite": (np.array([[1.0, np.inf]] * 9), "row 0, column 1"),
    "rank": (np.ones(9), "expected [examples, features]"),
    "empty": (np.ones((0, 4)), "is empty"),
    "words": (np.array([["a"]] * 9), "dtype <U1"),
    "too few": (np.ones((2, 3)), "leaves 1 example for training"),
}


@pytest.mark.parametrize("case", _WRONG_DATA)
def test_data_that_cannot_be_used(tfvae_command, tmp_path, case):
    array, message = _WRONG_DATA[case]
    source = _save(tmp_path / "x.npy", array)
    _assert_one_line(*tfvae_command("train", "--data", source, "--output", tmp_path / "run"), message)
    assert not (tmp_path / "run").exists()


def test_values_outside_the_support_of_the_likelihood(tfvae_command, tmp_path):
    source = _save(tmp_path / "x.npy", np.full((20, 3), 2.5))
    result = tfvae_command("train", "--data", source, "--output", tmp_path / "run", "--likelihood", "bernoulli")
    _assert_one_line(*result, "Bernoulli expects values that are 0 or 1")
    assert not (tmp_path / "run").exists()


_WRONG_WORDS = {
    "missing path": (["--data", "no/where.npy"], "no data set or file called 'no/where.npy'. Give one of digits"),
    "misspelt name": (["--data", "digitz"], "no data set or file called 'digitz'. Give one of digits"),
    "no data": ([], "--data is missing"),
    "latent size": (["--data", "digits", "--latent-size", "0"], "latent_size must be an integer from 1"),
    "epochs": (["--data", "digits", "--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
    "rate": (["--data", "digits", "--learning-rate", "nan"], "learning_rate must be a positive number, not nan"),
    "likelihood": (["--data", "digits", "--likelihood", "poisson"], "argument --likelihood: invalid choice: 'poisson'"),
    "warm-up": (["--data", "digits", "--epochs", "3", "--kl-warmup", "4"], "kl_warmup is 4 epochs and epochs only 3"),
    "seed": (["--data", "digits", "--seed", "-1"], "seed must be an integer from 0"),
    "unknown": (["--data", "digits", "--size", "3"], "unrecognized arguments: --size 3. See `tfvae --help`"),
    "nothing to resume": (["--resume"], "holds no run (no run.json)"),
}


@pytest.mark.parametrize("case", _WRONG_WORDS)
def test_wrong_options(tfvae_command, tmp_path, case):
    words, message = _WRONG_WORDS[case]
    _assert_one_line(*tfvae_command("train", "--output", tmp_path / "run", *words), message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["tarin"], "invalid choice: 'tarin'"),
        (["evaluate"], "the following arguments are required: RUN. See `tfvae evaluate --help`"),
        (["evaluate", "no/run"], "no/run holds no run (no run.json)"),
        (["sample", "no/run"], "no/run holds no run"),
        (["reconstruct", "no/run"], "no/run holds no run"),
        (["export", "no/run"], "no/run holds no run"),
        (["sample", "r", "--number", "0"], "argument --number: expected an integer from 1 to 10000000, not '0'"),
        (["evaluate", "r", "--num-samples", "x"], "argument --num-samples: expected an integer from 1"),
        (["evaluate", "r", "--seed", "-1"], "argument --seed: expected an integer from 0"),
        (["export", "r", "--ops", "all"], "invalid choice: 'all'"),
        *(([command, "r", "--output", ""], "expected the name of a folder") for command in ("sample", "export")),
        (["train", "--data", "digits", "--output", ""], "argument --output: expected the name of a folder"),
        (["train", "--data", "digits", "--output", "\udcff"], "'\\udcff', is not UTF-8 text. Choose another name"),
    ],
)
def test_wrong_words(tfvae_command, words, message):
    _assert_one_line(*tfvae_command(*words), message)


def test_output_folder_in_use(tfvae_command, tmp_path, trained, data_file):
    before = sorted(os.listdir(trained))
    result = tfvae_command("train", "--data", data_file, "--output", trained)
    _assert_one_line(*result, "already holds a run. Continue it with --resume, or choose another --output folder")
    assert sorted(os.listdir(trained)) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    result = tfvae_command("train", "--data", data_file, "--output", tmp_path / "full")
    _assert_one_line(*result, "is not empty. Choose another --output folder")
    result = tfvae_command("train", "--data", data_file, "--output", tmp_path / "full" / "letter.txt")
    _assert_one_line(*result, "is a file; --output takes the name of a folder")
    result = tfvae_command("train", "--data", data_file, "--output", tmp_path / "full" / "letter.txt" / "run")
    _assert_one_line(*result, "Not a directory")


def test_one_of_two_begins_a_run(tfvae_command, monkeypatch, tmp_path, data_file):
    """The folder was new when both looked; what the first wrote stays."""
    monkeypatch.setattr(_run_folder.RunFolder, "check_is_new", lambda self: None)
    (tmp_path / "run.json").write_text("of the first")
    result = tfvae_command("train", "--data", data_file, "--output", tmp_path, "--epochs", "1")
    assert (result[0], result[2].count("\n")) == (2, 1)
    assert "already holds a run. Continue it with --resume" in result[2]
    assert (tmp_path / "run.json").read_text() == "of the first"


def test_a_file_that_cannot_be_written_leaves_no_half(tmp_path):
    def fail(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        _files.write_file(tmp_path / "whole.txt", fail)
    assert not list(tmp_path.iterdir())


def test_writers_of_one_file_wait_for_each_other(tmp_path):
    path, writing, names = tmp_path / "one.txt", threading.Event(), []

    def slow(temporary):
        temporary.write_text("first half, ")
        writing.set()
        time.sleep(0.2)
        names.append(sorted(file.name for file in tmp_path.iterdir()))
        with temporary.open("a") as file:
            file.write("second half")

    first = threading.Thread(target=_files.write_file, args=(path, slow))
    first.start()
    writing.wait()
    others = [threading.Thread(target=_files.write_text, args=(path, "whole")) for _ in range(3)]
    for other in others:
        other.start()
    read = set()
    while any(thread.is_alive() for thread in (first, *others)):
        with contextlib.suppress(FileNotFoundError):
            read.add(path.read_text())
    assert read <= {"first half, second half", "whole"}
    assert names == [[".partial-one.txt"]]
    assert [file.name for file in tmp_path.iterdir()] == ["one.txt"]
    assert path.read_text() == "whole"


def test_a_writer_that_waited_holds_the_file_of_the_name(tmp_path, monkeypatch):
    """The one before has put in place what it waited for."""
    path, flock = tmp_path / "one.txt", fcntl.flock

    def wait(descriptor, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        _files.write_text(path, "first")
        flock(descriptor, operation)

    def write(temporary):
        with temporary.open("r+") as file, pytest.raises(BlockingIOError):
            flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.write_text("second")

    monkeypatch.setattr(fcntl, "flock", wait)
    _files.write_file(path, write)
    assert path.read_text() == "second"


def test_a_symbolic_link_stays_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "store").mkdir()
    link, file = tmp_path / "link.txt", tmp_path / "store" / "one.txt"
    link.symlink_to(file)
    for text in ("new", "newer"):
        _files.write_text(link, text)
        assert link.is_symlink()
        assert not file.is_symlink()
        assert file.read_text() == text
    assert [path.name for path in file.parent.iterdir()] == ["one.txt"]


def test_addresses_are_no_folders_to_export_to(tfvae_command, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = tfvae_command("export", trained, "--output", "gs://bucket/model")
    _assert_one_line(*result, "must be a local folder, not 'gs://bucket/model'")
    assert not list(tmp_path.iterdir())


def test_results_leave_alone_what_is_not_theirs(tfvae_command, tmp_path, trained):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "saved_model" / "NOTES.txt").write_text("mine")
    result = tfvae_command("train", "--output", copy, "--resume")
    _assert_one_line(*result, "holds what no earlier export wrote (NOTES.txt), so it was left as it is. Choose another")
    assert result[2].endswith("remove the folder yourself.\n")
    assert (copy / "saved_model" / "NOTES.txt").read_text() == "mine"


def test_a_full_disk_of_which_tensorflow_tells_as_of_memory(tfvae_command, monkeypatch):
    def fail(_):
        raise tf.errors.ResourceExhaustedError(None, None, "/x/variables; No space left on device [Op:SaveV2]")

    monkeypatch.setattr(_commands, "export", fail)
    _assert_one_line(*tfvae_command("export", "r"), "error: No space left on device. Check the path")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 1 TiB"), "Unable to allocate 1 TiB"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "OOM when allocating"),
        (MemoryError(), "MemoryError"),
    ],
    ids=["NumPy", "TensorFlow", "Python"],
)
def test_memory_that_does_not_suffice(tfvae_command, monkeypatch, error, words):
    def fail(_):
        raise error

    monkeypatch.setattr(_commands, "sample", fail)
    _assert_one_line(*tfvae_command("sample", "r"), f"There is not enough memory ({words}).")


def test_resuming_with_other_settings_or_data(tfvae_command, tmp_path, trained, data_file):
    copy = shutil.copytree(trained, tmp_path / "copy")
    result = tfvae_command("train", "--output", copy, "--resume", "--latent-size", "7")
    _assert_one_line(*result, "--latent-size is 7 and the run in")
    result = tfvae_command("train", "--output", copy, "--resume", "--data", "digits")
    _assert_one_line(*result, "The data of digits are not those the run in")
    content = json.loads((copy / "run.json").read_text())
    other, data = tmp_path / "other.npz", datasets.load(data_file)
    # No example but the last of the test part is another one.
    data.test[-1] += 1
    np.savez(other, x_train=data.train, x_test=data.test)
    content["settings"]["data"] = str(other)
    (copy / "run.json").write_text(json.dumps(content))
    refused = "are not those the run in"
    _assert_one_line(*tfvae_command("train", "--output", copy, "--resume"), f"{refused} {copy} was begun with. Bring")
    for command in ("evaluate", "reconstruct"):
        code, out, err = tfvae_command(command, copy)
        _assert_one_line(code, out, err, refused)
        assert "or give others with --data." in err
    assert tfvae_command("evaluate", copy, "--data", other)[0] == 0
    other.unlink()
    _assert_one_line(*tfvae_command("train", "--output", copy, "--resume"), "no data set or file called")


def test_the_fingerprint_is_of_every_part_and_its_shape():
    parts = [np.arange(12.0, dtype=np.float32).reshape(4, 3) + i for i in range(3)]

    def digest(train, validation, test):
        return _data.Parts(train, validation, datasets.Dataset("x", train, test), "normal", False).digest()

    others = [
        digest(*(change(part) if i == changed else part for i, part in enumerate(parts)))
        for changed in range(3)
        for change in (lambda part: part + 1, lambda part: part.reshape(2, 6))
    ]
    assert digest(*(part.copy() for part in parts)) == digest(*parts)
    assert len({digest(*parts), *others}) == 7


def test_data_that_do_not_fit_the_model(tfvae_command, tmp_path, trained):
    for command in ("evaluate", "reconstruct"):
        source = _save(tmp_path / "x.npy", np.ones((4, 6)))
        result = tfvae_command(command, trained, "--data", source)
        _assert_one_line(*result, "have shape (6,) and the model was trained on (5,)")
        source = _save(tmp_path / "y.npy", np.full((4, 5), np.nan))
        _assert_one_line(*tfvae_command(command, trained, "--data", source), "row 0, column 0")


def test_damaged_files_raise_req_49(tfvae_command, tmp_path, trained):
    copy = shutil.copytree(trained, tmp_path / "copy")
    model, run, checkpoint = (copy / name for name in ("model.keras", "run.json", "checkpoint.npz"))
    content = model.read_bytes()
    for length in (0, 10, len(content) // 3, len(content) // 2, len(content) - 1):
        model.write_bytes(content[:length])
        result = tfvae_command("sample", copy)
        _assert_one_line(*result, "model.keras cannot be read; it is truncated or damaged (it is no whole zip archive)")
    flipped = bytearray(content)
    for position in range(len(content) // 20, len(content), len(content) // 20):
        flipped[position] ^= 0xFF
    model.write_bytes(flipped)
    _assert_one_line(*tfvae_command("evaluate", copy), "cannot be read; it is truncated or damaged")
    model.unlink()
    _assert_one_line(*tfvae_command("export", copy), "no model.keras: training has not ended, or the file was removed")

    content = checkpoint.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        checkpoint.write_bytes(content[:length])
        _assert_one_line(*tfvae_command("train", "--output", copy, "--resume"), "cannot be used to resume")
    np.savez(checkpoint, progress=np.array("{}"))
    _assert_one_line(*tfvae_command("train", "--output", copy, "--resume"), "cannot be used to resume")

    settings = json.loads(run.read_text())["settings"]
    for damage in (
        "",
        "[]",
        "{" * 100_000,
        "\\",
        json.dumps({"settings": {**settings, "latent_size": "10"}, "likelihood": "normal"}),
        json.dumps({"settings": {**settings, "code": "import os"}, "likelihood": "normal"}),
        json.dumps({"settings": settings, "likelihood": "magic"}),
        json.dumps({"settings": {**settings, "learning_rate": 10**400}, "likelihood": "normal"}),
    ):
        run.write_text(damage)
        _assert_one_line(*tfvae_command("train", "--output", copy, "--resume"), "run.json is damaged")


def test_another_keras_model_in_place_of_the_vae(tfvae_command, tmp_path, trained):
    import keras

    copy = shutil.copytree(trained, tmp_path / "copy")
    keras.Sequential([keras.Input([3]), keras.layers.Dense(2)]).save(copy / "model.keras")
    _assert_one_line(*tfvae_command("sample", copy), "holds a Sequential; expected a tfvae.VAE")


def test_export_spares_what_is_there(tfvae_command, tmp_path, trained):
    (tmp_path / "letter.txt").write_text("dear")
    code, out, err = tfvae_command("export", trained, "--output", tmp_path)
    _assert_one_line(code, out, err, str(tmp_path))
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_what_the_end_of_a_training_could_not_replace_is_told_before(tfvae_command, tmp_path, trained):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "saved_model" / "letter.txt").write_text("dear")
    code, out, err = tfvae_command("train", "--output", copy, "--resume", "--epochs", "9")
    _assert_one_line(code, out, err, "saved_model holds what no earlier export wrote (letter.txt)")
    assert out == ""


def test_training_that_never_gives_a_finite_bound(tfvae_command, tmp_path):
    source = _save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 3)))
    words = ["train", "--data", source, "--output", tmp_path / "run", "--epochs", "1", "--learning-rate", "1e30"]
    _assert_one_line(*tfvae_command(*words), "was not a finite number in any of 1 epochs")


def test_help_leaves_with_success(capsys):
    for words in (["--help"], ["train", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as leaving:
            main(words)
        assert leaving.value.code == 0
    out = capsys.readouterr().out
    assert "tfvae train --data digits --output runs/digits" in out
    assert "--resume" in out
