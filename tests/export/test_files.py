"""What lands in the folder, and what does not."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import tfvae
from tfvae._files import staging_folder
from tfvae.distributions import DiagonalNormal, Normal


def bias_of(folder: Path) -> float:
    loaded = tf.saved_model.load(str(folder))
    return float(loaded.decode(tf.zeros([1, 2]))["mean"][0, 0])


@pytest.fixture
def vae() -> tfvae.VAE:
    """The smallest model; zero decodes to the decoder's bias."""
    return tfvae.VAE(
        keras.Sequential([keras.Input([1]), keras.layers.Dense(4)]),
        keras.Sequential([keras.Input([2]), keras.layers.Dense(1)]),
        posterior=DiagonalNormal(2),
        likelihood=Normal(1),
    )


def test_only_a_saved_model_is_written(vae, tmp_path, capfd):
    before = sorted(weight.path for weight in vae.weights)
    vae.export(tmp_path / "new" / "model")
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["model"]
    contents = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"}
    assert {entry.name for entry in (tmp_path / "new" / "model").iterdir()} == contents
    about = json.loads((tmp_path / "new" / "model" / "assets.extra" / "tfvae.json").read_text())
    assert about["ops"] == "stock"
    assert about["tensorflow"] == tf.__version__
    assert capfd.readouterr().out == ""
    assert sorted(weight.path for weight in vae.weights) == before


def test_others_may_read_it_as_the_umask_says(vae, tmp_path):
    (tmp_path / "plain").mkdir()
    vae.export(tmp_path / "model")
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_an_earlier_export_is_replaced_also_through_a_link_and_in_an_empty_folder(vae, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "model")
    bias = vae.decoder.layers[-1].bias
    for value, path in ((1.0, "model"), (2.0, "model"), (3.0, "link")):
        bias.assign([value])
        vae.export(str(tmp_path / path))
        assert bias_of(tmp_path / "model") == value
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "model"]
    assert (tmp_path / "link").is_symlink()


def test_relative_path(vae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vae.export("model")
    assert (tmp_path / "model" / "saved_model.pb").is_file()


def test_what_is_no_earlier_export_is_left_alone(vae, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years")
    with pytest.raises(
        FileExistsError, match=r"holds what no earlier export wrote \(thesis\.txt\).*Choose another path"
    ):
        vae.export(tmp_path / "home")

    tf.saved_model.save(tf.Module(), str(tmp_path / "foreign"))
    with pytest.raises(FileExistsError, match="no earlier export wrote"):
        vae.export(tmp_path / "foreign")

    vae.export(tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        vae.export(tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").unlink()
    (tmp_path / "mine" / "assets.extra" / "tf_serving_warmup_requests").write_text("kept")
    with pytest.raises(FileExistsError, match="tf_serving_warmup_requests"):
        vae.export(tmp_path / "mine")

    (tmp_path / "file").write_text("kept")
    with pytest.raises(FileExistsError, match="is a file"):
        vae.export(tmp_path / "file")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "foreign", "home", "mine"]
    assert [entry.name for entry in (tmp_path / "home").iterdir()] == ["thesis.txt"]


def test_the_working_folder_is_not_replaced(vae, tmp_path, monkeypatch):
    """A rename would leave the shell in a folder that is gone."""
    (tmp_path / "empty" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(FileExistsError, match=r"empty is the working folder, or one above it"):
        vae.export(".")
    monkeypatch.chdir("below")
    with pytest.raises(FileExistsError, match=r"empty is the working folder, or one above it"):
        vae.export("..")
    vae.export("model")
    assert [entry.name for entry in Path.cwd().iterdir()] == ["model"]


def fail_halfway(module: object, path: str, **kwargs: object) -> None:
    os.makedirs(path)
    Path(path, "saved_model.pb").write_bytes(b"half")
    raise OSError("No space left on device")


def test_a_failure_leaves_nothing_half_written_and_the_earlier_export_whole(vae, tmp_path, monkeypatch):
    vae.decoder.layers[-1].bias.assign([1.0])
    vae.export(tmp_path / "model")
    vae.decoder.layers[-1].bias.assign([2.0])
    with monkeypatch.context() as patched:
        patched.setattr(tf.saved_model, "save", fail_halfway)
        for name in ("model", "other"):
            with pytest.raises(OSError, match="No space left"):
                vae.export(tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    assert bias_of(tmp_path / "model") == 1.0

    rename = Path.rename

    def refuse_new(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise PermissionError("denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(PermissionError, match="denied"):
        vae.export(tmp_path / "model")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    assert bias_of(tmp_path / "model") == 1.0


def test_what_a_killed_export_left_goes_with_the_next(vae, tmp_path):
    (tmp_path / ".partial-model" / "new" / "variables").mkdir(parents=True)
    (tmp_path / ".partial-model" / "new" / "saved_model.pb").write_bytes(b"half")
    vae.export(tmp_path / "model")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_exports_to_one_place_wait_for_each_other(tmp_path):
    inside, seen = threading.Event(), []

    def stage(number):
        with staging_folder(tmp_path / "model") as staging:
            (staging / str(number)).mkdir()
            inside.set()
            time.sleep(0.05)
            seen.append([entry.name for entry in staging.iterdir()])

    threads = [threading.Thread(target=stage, args=[number]) for number in range(4)]
    threads[0].start()
    inside.wait()
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [["0"], ["1"], ["2"], ["3"]]
    assert not list(tmp_path.iterdir())


def test_arguments_that_cannot_be(vae, tmp_path):
    with pytest.raises(ValueError, match=r'ops must be "stock".*or "native".*not \'tf_saved_model\''):
        vae.export(tmp_path / "model", "tf_saved_model")
    with pytest.raises(ValueError, match="must be a local folder, not 'gs://bucket/model'"):
        vae.export("gs://bucket/model")
    assert not list(tmp_path.iterdir())


def test_an_unbuilt_model_is_refused_with_the_remedy(tmp_path):
    vae = tfvae.VAE(
        keras.Sequential([keras.layers.Dense(4)]),
        keras.Sequential([keras.layers.Dense(8)]),
        posterior=DiagonalNormal(2),
        likelihood=Normal(8),
    )
    with pytest.raises(ValueError, match=r"encoder is not built yet.*Call the model on a batch, vae\(x\)"):
        vae.export(tmp_path / "model")
    assert not list(tmp_path.iterdir())
    vae(tf.zeros([2, 8]))
    vae.export(tmp_path / "model")


class Remembering(keras.layers.Layer):
    """A layer whose tf.function is traced once, on the compiled op."""

    @tf.function
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        z, _ = tfvae.ops.reparameterize_kl(inputs, inputs, seed=[1, 2])
        return z


def test_a_compiled_op_hidden_in_an_earlier_trace_is_refused_req_46(native_library, tmp_path):
    with tfvae.use_backend("native"):
        vae = tfvae.VAE(
            keras.Sequential([keras.Input([4]), Remembering()]),
            keras.Sequential([keras.Input([2]), keras.layers.Dense(4)]),
            posterior=DiagonalNormal(2),
            likelihood=Normal(4),
        )
    with pytest.raises(RuntimeError, match="holds the compiled op TfvaeReparameterizeKl though stock ops"):
        vae.export(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_native_export_needs_the_library(vae, tmp_path, monkeypatch):
    from tfvae import _native

    monkeypatch.setattr(_native, "_outcome", lambda: (None, "there is no library here."))
    with pytest.raises(RuntimeError, match="The native backend was asked for and is not usable: there is no library"):
        vae.export(tmp_path / "model", ops="native")
    assert not list(tmp_path.iterdir())
