"""Interrupted and resumed equals uninterrupted, bit for bit; Ctrl-C keeps the best weights; kill -9 spoils nothing."""

import contextlib
import dataclasses
import functools
import itertools
import json
import re
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import tfvae
from tfvae.cli import _checkpoint, _data, _measure, _train, _training, main
from tfvae.cli._errors import UsageError
from tfvae.cli._run_folder import RunFolder
from tfvae.cli._settings import Settings

from .conftest import TRAIN

INTERRUPTED = 130
_HISTORY = {part + name: [1.0, 2.0] for part in ("", "val_") for name in ("elbo", "kl", "loss", "reconstruction")}


def _train_words(data_file, folder, epochs, *more):
    return ["train", "--data", str(data_file), "--output", str(folder), "--epochs", str(epochs), *TRAIN, *more]


def _state(folder):
    """Everything the checkpoint holds but the seconds."""
    with np.load(folder / "checkpoint.npz", allow_pickle=False) as archive:
        state = {name: archive[name] for name in archive.files if name != "progress"}
    return state, (folder / "history.csv").read_bytes()


def _assert_same_run(folder, other):
    (state, history), (other_state, other_history) = _state(folder), _state(other)
    assert history == other_history
    assert state.keys() == other_state.keys()
    for name, value in state.items():
        assert value.dtype == other_state[name].dtype
        assert value.tobytes() == other_state[name].tobytes(), name


@contextlib.contextmanager
def _no_results(monkeypatch):
    """Training only: measuring, drawing and exporting are tested elsewhere."""
    with monkeypatch.context() as patch:
        patch.setattr(_train, "_write_results", lambda session: None)
        yield


@pytest.fixture
def uninterrupted(monkeypatch, tmp_path, data_file):
    """Return a function that trains in one go and gives the folder."""

    def train(epochs, *more):
        folder = tmp_path / f"uninterrupted-{epochs}"
        with _no_results(monkeypatch):
            assert main(_train_words(data_file, folder, epochs, *more)) == 0
        return folder

    return train


def test_two_and_two_epochs_are_four_req_36(monkeypatch, tmp_path, data_file, uninterrupted):
    folder = tmp_path / "resumed"
    with _no_results(monkeypatch):
        assert main(_train_words(data_file, folder, 2, "--kl-warmup", "2")) == 0
        assert main(["train", "--output", str(folder), "--resume", "--epochs", "4"]) == 0
    _assert_same_run(folder, uninterrupted(4, "--kl-warmup", "2"))


def test_interrupted_and_resumed_is_uninterrupted(tfvae_command, monkeypatch, tmp_path, data_file, uninterrupted):
    folder = tmp_path / "interrupted"
    words = [sys.executable, "-u", "-m", "tfvae.cli", *_train_words(data_file, folder, 100_000, "--patience", "100000")]
    # Started in the background, this process may have been told to ignore Ctrl-C; the command must not inherit that.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes, preexec_fn=heed) as process:
        told = [process.stdout.readline() for _ in range(8)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED, err
    assert told[-1].split()[0].endswith("/100000"), "eight lines, the last ones of epochs, should have come"
    assert "Traceback" not in err
    assert "The best weights so far" in out
    assert f"tfvae train --output {folder} --resume" in out
    assert isinstance(keras.models.load_model(folder / "model.keras"), tfvae.VAE)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]

    finished = len((folder / "history.csv").read_text().splitlines()) - 1
    epochs = str(finished + 2)
    with _no_results(monkeypatch):
        code, out, _ = tfvae_command("train", "--output", folder, "--resume", "--epochs", epochs)
    assert code == 0
    assert f"Going on after epoch {finished} of the run" in out
    _assert_same_run(folder, uninterrupted(int(epochs), "--patience", "100000"))


_KILLED_WHILE_WRITING = """
import os, signal, sys
import numpy as np
from tfvae.cli import main

whole, calls = np.savez, []

def half(file, **arrays):
    whole(file, **arrays)
    calls.append(1)
    if len(calls) == 3:
        file.truncate(file.tell() // 2)
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

np.savez = half
main(sys.argv[1:])
"""


def test_killed_in_the_middle_of_writing(monkeypatch, tmp_path, data_file, uninterrupted):
    folder = tmp_path / "killed"
    words = [sys.executable, "-c", _KILLED_WHILE_WRITING, *_train_words(data_file, folder, 4)]
    assert subprocess.run(words, capture_output=True, timeout=120).returncode == -signal.SIGKILL
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [".partial-checkpoint.npz"]
    with _no_results(monkeypatch):
        assert main(["train", "--output", str(folder), "--resume"]) == 0
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    _assert_same_run(folder, uninterrupted(4))


def test_an_extended_run_that_is_interrupted_goes_on_to_its_new_end(monkeypatch, tmp_path, data_file, capsys):
    folder, fit = tmp_path / "run", _training.Session.fit
    with _no_results(monkeypatch):
        assert main(_train_words(data_file, folder, 1)) == 0

        def interrupt(self):
            raise KeyboardInterrupt

        monkeypatch.setattr(_training.Session, "fit", interrupt)
        assert main(["train", "--output", str(folder), "--resume", "--epochs", "3"]) == INTERRUPTED
        assert "earlier end" not in capsys.readouterr().out
        (folder / "metrics.json").touch()
        assert main(["train", "--output", str(folder), "--resume", "--epochs", "3"]) == INTERRUPTED
        assert f"{folder / 'model.keras'}. Its other results are those of an earlier end." in capsys.readouterr().out
        monkeypatch.setattr(_training.Session, "fit", fit)
        assert main(["train", "--output", str(folder), "--resume"]) == 0
    assert len((folder / "history.csv").read_text().splitlines()) == 1 + 3


def test_interrupted_while_the_results_are_written(tfvae_command, monkeypatch, tmp_path, data_file):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_train, "_write_results", interrupt)
    code, out, _ = tfvae_command(*_train_words(data_file, tmp_path / "run", 1))
    assert code == INTERRUPTED
    assert f"Go on with: tfvae train --output {tmp_path / 'run'} --resume" in out


def test_interrupted_before_the_first_epoch_ended(tfvae_command, monkeypatch, tmp_path, data_file):
    def interrupt(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_training.Session, "fit", interrupt)
        code, out, _ = tfvae_command(*_train_words(data_file, tmp_path / "run", 2))
    assert code == INTERRUPTED
    assert "Interrupted before there were weights to keep" in out
    with _no_results(monkeypatch):
        assert main(["train", "--output", str(tmp_path / "run"), "--resume"]) == 0


def test_resuming_a_finished_run_writes_its_results_again(tfvae_command, monkeypatch, trained):
    written = []
    monkeypatch.setattr(_train, "_write_results", written.append)
    before = _state(trained)
    for epochs in ("2", "1"):
        code, out, _ = tfvae_command("train", "--output", trained, "--resume", "--epochs", epochs)
        assert code == 0
        assert "Going on" not in out
        assert f"The run in {trained} already has 2 epochs, and --epochs is {epochs}: nothing is left to train" in out
    assert len(written) == 2
    after = _state(trained)
    assert before[1] == after[1]


def test_a_run_without_its_checkpoint_is_not_begun_again(tfvae_command, tmp_path, trained):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "checkpoint.npz").unlink()
    before = (copy / "model.keras").read_bytes()
    code, _, err = tfvae_command("train", "--output", copy, "--resume", "--epochs", "4")
    assert code == 2
    assert f"{copy / 'checkpoint.npz'} is missing, though history.csv tells of finished epochs" in err
    assert (copy / "model.keras").read_bytes() == before


def test_a_run_goes_on_with_data_that_were_moved(tfvae_command, monkeypatch, tmp_path, trained, data_file):
    copy = shutil.copytree(trained, tmp_path / "copy")
    run = json.loads((copy / "run.json").read_text())
    run["settings"]["data"] = str(tmp_path / "before.npz")
    (copy / "run.json").write_text(json.dumps(run))
    code, _, err = tfvae_command("train", "--output", copy, "--resume", "--epochs", "1")
    assert code == 2
    assert "before.npz'. Give one of" in err
    assert "were moved, give their new path with --data" in err
    monkeypatch.setattr(_train, "_write_results", lambda session: None)
    assert tfvae_command("train", "--output", copy, "--resume", "--epochs", "1", "--data", data_file)[0] == 0
    settings = json.loads((copy / "run.json").read_text())["settings"]
    assert (settings["data"], settings["epochs"]) == (str(data_file), 2)
    assert tfvae_command("train", "--output", copy, "--resume")[0] == 0


def test_one_process_at_a_time_trains_in_a_folder(tfvae_command, monkeypatch, trained):
    monkeypatch.setattr(_train, "_write_results", lambda session: None)
    words = ("train", "--output", trained, "--resume")
    with RunFolder(str(trained)).held():
        code, _, err = tfvae_command(*words)
        assert code == 2
        assert f"Another process is at work in {trained}. Wait for its end" in err
    assert tfvae_command(*words)[0] == 0


def test_one_process_at_a_time_computes_the_evidence_of_a_run(tfvae_command, monkeypatch, trained):
    monkeypatch.setattr(_measure, "measure", lambda *_: pytest.fail("It is not this one's turn."))
    with RunFolder(str(trained)).held():
        code, out, err = tfvae_command("evaluate", trained, "--evidence")
    assert (code, out) == (2, "")
    assert f"Another process is at work in {trained}. Wait for its end" in err


def test_best_weights_are_kept(monkeypatch, tmp_path, data_file):
    """After training, the model holds the weights of the epoch with the best validation ELBO, not the last."""
    folder = tmp_path / "run"
    sessions = []
    monkeypatch.setattr(_train, "_write_results", sessions.append)
    given = iter([-5.0, -3.0, -4.0])
    seen = []
    finish = _training.Session.finish_epoch

    def finish_with(self, logs, seconds):
        seen.append([weight.numpy().copy() for weight in self.vae.weights])
        finish(self, {**logs, "val_elbo": next(given)}, seconds)

    monkeypatch.setattr(_training.Session, "finish_epoch", finish_with)
    assert main(_train_words(data_file, folder, 3)) == 0
    (session,) = sessions
    assert session.progress.best_epoch == 2
    for weight, kept, last in zip(session.vae.weights, seen[1], seen[2], strict=True):
        assert (weight.numpy() == kept).all()
        assert weight.path.endswith(("kl_weight", "skipped_updates")) or (kept != last).any()


def test_resuming_after_early_stopping_says_so(tmp_path):
    session = object.__new__(_training.Session)
    session.settings, session.folder = Settings(data="digits", epochs=6, patience=2), RunFolder(str(tmp_path))
    session.progress = _checkpoint.Progress({"val_elbo": [-5, -4, -4.5, -4.2]}, 2)
    assert "ended after epoch 4, when its validation ELBO had not risen for 2 epochs" in _train._how_it_goes_on(session)


@pytest.mark.parametrize(
    ("elbos", "best_epoch", "kl_warmup", "ended"),
    [
        ([], 0, 0, False),
        ([-5, -4, -4.5], 2, 0, False),
        ([-5, -4, -4.5, -4.2], 2, 0, True),
        ([-5, -4, -4.5, -4.2], 2, 3, False),
        ([-5, -4, -4.5, -4.2, -4.1], 2, 3, True),
        ([-5, -4, -3, -2, -1, 0], 6, 0, True),
    ],
)
def test_early_stopping(elbos, best_epoch, kl_warmup, ended):
    session = object.__new__(_training.Session)
    session.settings = Settings(data="digits", epochs=6, patience=2, kl_warmup=kl_warmup)
    session.progress = _checkpoint.Progress({"val_elbo": elbos}, best_epoch)
    assert session.ended == ended


def test_order_of_the_data_depends_on_seed_and_epoch_alone():
    x = np.arange(10, dtype=np.float32)[:, None]

    def epochs(first, count, seed=3):
        taken = _data.batches(x, 4, seed, first).take(3 * count)
        rows = [batch.numpy()[:, 0].tolist() for batch in taken]
        assert [len(batch) for batch in rows] == [4, 4, 2] * count
        return [list(itertools.chain(*rows[3 * i : 3 * i + 3])) for i in range(count)]

    five = epochs(0, 5)
    assert epochs(2, 3) == five[2:]
    assert all(sorted(order) == list(range(10)) for order in five)
    # Two random orders of ten agree once in 3.6 million.
    assert len({tuple(order) for order in five}) == 5
    assert epochs(0, 1, seed=4) != five[:1]


@pytest.mark.parametrize(("shape", "dtype"), [((2, 2), "float32"), ((2,), "float64")])
def test_failed_restore_leaves_the_model_alone(tmp_path, shape, dtype):
    values = [keras.Variable(np.ones(3, np.float32)), keras.Variable(np.ones(2, np.float32))]
    others = [keras.Variable(np.zeros(3, np.float32)), keras.Variable(np.zeros(shape), dtype=dtype)]
    _checkpoint.save(tmp_path / "checkpoint.npz", _checkpoint.Progress(_HISTORY), others)
    told = re.escape(f"is {dtype} {shape} there and float32 (2,) here")
    with pytest.raises(UsageError, match=rf"cannot be used to resume \(.* {told}"):
        _checkpoint.restore(RunFolder(str(tmp_path)).checkpoint, values, [])
    assert (values[0].numpy() == 1).all()


@pytest.mark.parametrize(
    "spoilt",
    [
        {"best_epoch": 99},
        {"best_epoch": -1},
        {"best_epoch": 1.0},
        {"seconds": float("nan")},
        {"history": {name: values for name, values in _HISTORY.items() if name != "val_elbo"}},
        {"history": {**_HISTORY, "accuracy": [0.5, 0.5]}},
        {"history": {**_HISTORY, "val_kl": [1.0, 2.0, 3.0]}},
    ],
)
def test_progress_that_does_not_fit_together_is_refused(tmp_path, spoilt):
    path, variable = RunFolder(str(tmp_path)).checkpoint, keras.Variable(np.ones(3, np.float32))
    whole = _checkpoint.Progress(_HISTORY, 2, [np.zeros(3, np.float32)], 1.5)
    _checkpoint.save(path, whole, [variable])
    assert _checkpoint.restore(path, [variable], [variable]).epoch == 2
    _checkpoint.save(path, dataclasses.replace(whole, **spoilt), [keras.Variable(np.zeros(3, np.float32))])
    with pytest.raises(UsageError, match=r"cannot be used to resume \(its history does not fit together\)"):
        _checkpoint.restore(path, [variable], [variable])
    assert (variable.numpy() == 1).all()
