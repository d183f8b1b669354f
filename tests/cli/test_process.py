"""What surrounds every command: the backend asked for, warnings, and an output that nobody reads."""

import json
import os
import sys
import warnings

import pytest

from tfvae import _native
from tfvae.cli import _train, main

BROKEN_PIPE = 141


@pytest.mark.parametrize("command", ["info", "train", "evaluate"])
def test_unknown_backend_is_refused_before_anything_is_written(tfvae_command, monkeypatch, tmp_path, command):
    monkeypatch.setenv("TFVAE_BACKEND", "foo")
    words = {"info": [], "train": ["--data", "digits", "--output", tmp_path / "run"], "evaluate": [tmp_path]}[command]
    code, out, err = tfvae_command(command, *words)
    assert (code, out) == (2, "")
    assert err.startswith("tfvae: error: The environment variable TFVAE_BACKEND must be one of auto, native, reference")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.fixture
def unusable(monkeypatch):
    """The compiled op is asked for and cannot be used."""
    monkeypatch.setenv("TFVAE_BACKEND", "native")
    monkeypatch.setattr(_native, "_outcome", lambda: (None, "it was built against 1.0."))


@pytest.mark.usefixtures("unusable")
def test_unusable_backend_is_refused_before_anything_is_written(tfvae_command, tmp_path):
    code, out, err = tfvae_command("train", "--data", "digits", "--output", tmp_path / "run")
    assert (code, out) == (2, "")
    assert err.startswith("tfvae: error: The native backend was asked for and is not usable: it was built against 1.0.")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("unusable")
def test_info_tells_of_an_unusable_backend(tfvae_command):
    code, out, _ = tfvae_command("info")
    assert code == 0
    assert "Backend in use: none\n  TFVAE_BACKEND=native forbids the reference" in out
    assert "the compiled op is not usable: it was built against 1.0." in out
    code, out, _ = tfvae_command("info", "--json")
    info = json.loads(out)
    assert (code, info["backend"], info["problem"]) == (0, None, "it was built against 1.0.")


@pytest.mark.filterwarnings("default")
def test_warnings_of_the_package_are_one_line(tfvae_command, monkeypatch):
    def warn(arguments):
        warnings.warn("The model has\n no weights.", stacklevel=1)
        warnings.warn_explicit("3 updates were skipped", RuntimeWarning, _train.__file__, 1)
        warnings.warn_explicit("not ours", RuntimeWarning, __file__, 1)
        return 0

    monkeypatch.setattr("tfvae.cli._info.run", warn)
    shown = warnings.showwarning
    with pytest.warns(RuntimeWarning) as others:
        code, _, err = tfvae_command("info")
    assert code == 0
    assert err == "tfvae: warning: The model has no weights.\ntfvae: warning: 3 updates were skipped\n"
    assert [str(other.message) for other in others] == ["not ours"]
    assert warnings.showwarning is shown


@pytest.mark.parametrize("words", [["info"], ["train", "--help"]])
def test_output_that_nobody_reads(monkeypatch, capfd, words):
    """As in ``tfvae info | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(words) == BROKEN_PIPE
        # The interpreter flushes once more when it ends.
        print("more")
        pipe.flush()
    monkeypatch.undo()
    assert capfd.readouterr().err == ""


def test_mistake_that_nobody_reads(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        assert main(["tarin"]) == BROKEN_PIPE
    monkeypatch.undo()
