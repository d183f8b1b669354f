"""The command end to end, in process, on small data: what it writes, and that the numbers are those of the model."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfvae
from tests.cli.conftest import TRAIN
from tfvae import datasets
from tfvae.cli import _measure, _pictures, _train, main
from tfvae.cli._run_folder import RunFolder

PICTURES = (
    "training_curves",
    "reconstructions",
    "samples",
    "latent_space",
    "kl_per_dimension",
    "evidence",
    "evidence_by_class",
)


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def model(trained):
    return keras.models.load_model(trained / "model.keras")


def test_train_leaves_everything_and_nothing_else(trained):
    pictures = [f"{name}.png" for name in PICTURES]
    texts = ("history.csv", "metrics.json", "run.json", "evidence.json")
    expected = {"model.keras", "saved_model", "checkpoint.npz", "evidence.npz", *texts, *pictures}
    assert {path.name for path in trained.iterdir()} == expected
    for picture in pictures:
        with Image.open(trained / picture) as image:
            image.load()
            assert min(image.size) > 250


def test_an_extreme_example_is_named_and_costs_only_its_own_pictures(tfvae_command, tmp_path, data_file):
    with np.load(data_file) as arrays:
        x = arrays["x"]
    data = datasets.load(data_file)
    spoilt = data.test[3]
    # Its square is infinite in float32.
    x[np.flatnonzero(np.isclose(x, spoilt).all(axis=1))[0]] = 1e25
    np.savez(tmp_path / "spoilt.npz", x=x)
    words = ["--data", tmp_path / "spoilt.npz", "--output", tmp_path / "run", "--epochs", "1", *TRAIN]
    code, out, err = tfvae_command("train", *words)
    assert code == 0
    told = "  For 1 of the 10, the first at index 3, what the model computes is not finite"
    assert [line[: len(told)] for line in out.splitlines()].count(told) == 2
    assert "tfvae: warning: evidence.png is left out: log_evidence must be finite, and 1 of 10" in err
    assert "Traceback" not in err
    assert "overflow" not in err
    left = {path.stem for path in (tmp_path / "run").glob("*.png")}
    assert left == {"training_curves", "reconstructions", "samples", "latent_space", "kl_per_dimension"}
    assert (tmp_path / "run" / "saved_model").is_dir()
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (report["elbo"], report["not_finite"], report["first_not_finite"]) == (None, 1, 3)


def test_pictures_show_one_of_each_class_first_and_none_twice():
    x, labels = np.arange(6.0), [1, 1, 0, 0, 2, 1]
    assert _pictures.one_of_each(x, labels, 12).tolist() == [2, 0, 4, 1, 3, 5]
    assert _pictures.one_of_each(x, labels, 4).tolist() == [2, 0, 4, 1]
    assert _pictures.one_of_each(x, None, 4).tolist() == [0, 1, 2, 3]


def test_history_has_every_term_of_every_epoch(trained):
    with (trained / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        for part in ("", "val_"):
            elbo, reconstruction, kl = (float(row[part + name]) for name in ("elbo", "reconstruction", "kl"))
            # Three float32 means of about 10 nats, each rounded to 1e-7 of its size.
            assert elbo == pytest.approx(reconstruction - kl, abs=1e-4)
            assert kl > 0


def test_metrics_are_those_of_the_model_on_the_test_part(trained, model, data_file):
    report = json.loads((trained / "metrics.json").read_text())
    x = datasets.load(data_file).test
    assert report["examples"] == len(x) == 10
    assert report["elbo"] == pytest.approx(-(report["rate"] + report["distortion"]), rel=1e-9)
    assert report["log_likelihood"] >= report["elbo"] - report["elbo_standard_error"]
    mean, log_var = model.encode(x).numpy(), 2 * np.log(model.posterior(x).stddev().numpy())
    rate = np.mean(np.sum(0.5 * (mean**2 + np.exp(log_var) - 1 - log_var), axis=1))
    # The textbook form of the KL in float32 against the op's.
    assert report["rate"] == pytest.approx(rate, rel=1e-4)
    # 16 draws of 10 examples in the report against 64 here; 5 standard errors: false alarms below 1e-5.
    draws = np.stack([model.elbo(x, seed=1000 + i).numpy() for i in range(64)])
    error = np.sqrt(draws.var(axis=0).mean() / len(x) * (1 / 16 + 1 / 64))
    assert abs(report["elbo"] - draws.mean()) < 5 * error
    assert report["elbo_standard_error"] == pytest.approx(np.std(draws.mean(axis=0), ddof=1) / np.sqrt(10), rel=0.3)
    estimate = model.log_likelihood(x, num_samples=1000, seed=3).estimate.numpy()
    assert report["log_likelihood"] == pytest.approx(estimate.mean(), abs=1e-4)
    assert report["log_likelihood_standard_error"] == pytest.approx(estimate.std(ddof=1) / np.sqrt(10), rel=1e-3)
    assert report["active_units"] == tfvae.metrics.active_units(mean)
    assert report["backend"] == tfvae.build_info()["backend"]
    assert report["seconds"] > 0
    assert (report["likelihood"], report["latent_size"], report["epochs"]) == ("normal", 2, 2)


def test_the_elbo_is_of_sixteen_draws_for_every_example(model):
    x, seed = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32), 4
    draws = [model.elbo(x, seed=[seed, draw * len(x)]).numpy() for draw in range(16)]
    assert len({float(draw[0]) for draw in draws}) == 16
    # The same noise; float32.
    assert _measure.measure(model, x, 10, seed)["elbo"] == pytest.approx(np.mean(draws), rel=1e-5)


def test_one_test_example_has_no_standard_error(model):
    measured = _measure.measure(model, np.zeros((1, 5), np.float32), 10, 0)
    report = json.loads(_measure.as_json(measured))
    assert report["elbo_standard_error"] is None
    assert np.isfinite(report["elbo"])
    first, *lines = _measure.describe(measured, held_out=True)
    assert first.startswith("On 1 held-out example, in nats per example (a standard error needs at least two examples)")
    assert "±" not in "".join(lines)
    assert "nan" not in "".join(lines)


def test_saved_model_gives_what_the_model_gives(trained, model, data_file):
    x = datasets.load(data_file).test
    loaded = tf.saved_model.load(str(trained / "saved_model"))
    mean = loaded.signatures["reconstruct"](x=tf.constant(x))["mean"].numpy()
    # The same float32 graph, run twice.
    assert np.allclose(mean, model.reconstruct(x).numpy(), rtol=1e-5, atol=1e-5)


def test_evaluate_repeats_the_metrics(tfvae_command, trained, data_file):
    code, out, _ = tfvae_command("evaluate", trained, "--num-samples", "1000", "--seed", "3", "--json")
    assert code == 0
    again, report = json.loads(out), json.loads((trained / "metrics.json").read_text())
    for name in ("elbo", "log_likelihood", "rate", "active_units"):
        assert again[name] == pytest.approx(report[name], rel=1e-5)
    code, out, _ = tfvae_command("evaluate", trained, "--data", data_file)
    assert code == 0
    # Nobody knows whether the model was trained on these; here most of them it was.
    assert "On 50 examples, in nats per example (± standard error)" in out
    assert " ± " in next(line for line in out.splitlines() if "ELBO" in line)
    _, out, _ = tfvae_command("evaluate", trained)
    assert "On 10 held-out examples" in out


def test_sample(tfvae_command, tmp_path, trained, model):
    code, out, _ = tfvae_command("sample", trained, "--number", "7", "--seed", "5", "--output", tmp_path / "new" / "it")
    assert code == 0
    drawn = np.load(tmp_path / "new" / "it" / "samples.npy")
    assert np.allclose(drawn, model.sample(7, seed=5).numpy())
    assert (tmp_path / "new" / "it" / "samples.png").is_file()
    assert "samples.npy (7, 5)" in out


def test_reconstruct_keeps_the_order_of_the_data(tfvae_command, tmp_path, trained, model):
    x = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    code, _, _ = tfvae_command("reconstruct", trained, "--data", tmp_path / "x.npy", "--output", tmp_path)
    assert code == 0
    # One batch of 9 in both.
    assert np.allclose(np.load(tmp_path / "reconstructions.npy"), model.reconstruct(x).numpy(), rtol=1e-5, atol=1e-6)


def test_commands_write_into_the_run_by_default(tfvae_command, tmp_path, trained):
    copy = shutil.copytree(trained, tmp_path / "copy")
    before = _contents(copy)
    assert tfvae_command("sample", copy, "--number", "3")[0] == 0
    assert tfvae_command("reconstruct", copy)[0] == 0
    after = _contents(copy)
    assert set(after) - set(before) == {"samples.npy", "reconstructions.npy"}
    assert after["model.keras"] == before["model.keras"]


def test_export(tfvae_command, tmp_path, trained):
    code, out, _ = tfvae_command("export", trained, "--output", tmp_path / "served" / "1")
    assert code == 0
    assert "signatures encode, decode, reconstruct, sample and score (stock ops)" in out
    assert {"encode", "decode", "score"} <= set(tf.saved_model.load(str(tmp_path / "served" / "1")).signatures)


def test_info(tfvae_command):
    code, out, err = tfvae_command("info")
    assert (code, err) == (0, "")
    backend = tfvae.build_info()["backend"]
    assert f"Backend in use: {backend}" in out
    assert f"tensorflow: {tf.__version__}" in out
    code, out, _ = tfvae_command("info", "--json")
    info = json.loads(out)
    assert code == 0
    assert (info["backend"], info["tfvae"]) == (backend, tfvae.__version__)
    assert {"problem", "built", "versions", "machine"} <= set(info)


def test_earlier_export_is_replaced_as_the_help_says(tfvae_command, capsys, tmp_path, trained):
    (tmp_path / "1").mkdir()
    for _ in range(2):
        assert tfvae_command("export", trained, "--output", tmp_path / "1")[0] == 0
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "a new or empty folder, or an earlier export, which is replaced" in told


@pytest.mark.parametrize("command", ["evaluate", "reconstruct"])
def test_help_says_which_examples_are_used(capsys, command):
    """What ``datasets.load_examples`` does, which tests/datasets looks at."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "a .npz file with x_test the test part is used, of anything else every example" in told


def test_commands_to_copy_are_quoted_for_the_shell(tmp_path):
    folder = RunFolder(str(tmp_path / "my run"))
    quoted = f"'{tmp_path / 'my run'}'"
    told = _train._epilogue(folder, ["samples.png"])
    for command in ("sample", "reconstruct", "evaluate"):
        assert f"tfvae {command} {quoted} " in told
    assert f"load_model({str(folder.model)!r})" in told
    folder.path.mkdir()
    folder.run.write_text("{}")
    with pytest.raises(Exception, match=f"Continue it with `tfvae train --output {quoted} --resume`"):
        folder.load_model()


@pytest.mark.parametrize(
    ("problem", "in_xla", "requested", "reason"),
    [
        (None, None, "auto", "fits this TensorFlow and its kernels for avx2 run (TFVAE_BACKEND=auto)"),
        (None, "no XLA here", "auto", "Inside XLA the reference runs: no XLA here"),
        ("it was built against 1.0", None, "auto", "The compiled op is not usable: it was built against 1.0"),
        (None, None, "reference", "the reference was asked for (TFVAE_BACKEND=reference)"),
    ],
)
def test_info_says_why(tfvae_command, monkeypatch, problem, in_xla, requested, reason):
    told = {
        "backend": "native" if problem is None and requested == "auto" else "reference",
        "requested": requested,
        "problem": problem,
        "problem_inside_xla": problem or in_xla,
        "instruction_set": None if problem else "avx2",
        "built": None if problem else {"tensorflow": "2.21.0", "instruction_sets": ["avx2", "avx512"]},
        "versions": {},
    }
    monkeypatch.setattr(tfvae, "build_info", lambda: told)
    _, out, _ = tfvae_command("info")
    assert reason in out
    assert ("Inside XLA" in out) == (in_xla is not None)
    assert ("no compiled op" if problem else "instruction_sets: avx2, avx512") in out


def test_grey_images_with_the_bernoulli_likelihood_are_binarised(tfvae_command, monkeypatch, tmp_path):
    monkeypatch.setattr(_train, "_write_results", lambda session: session.vae.save(session.folder.model))
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.uniform(size=(40, 18, 17)))
    words = ["--data", tmp_path / "x.npy", "--epochs", "1", "--latent-size", "2", "--likelihood", "bernoulli"]
    code, out, _ = tfvae_command("train", "--output", tmp_path / "run", *words)
    assert code == 0
    assert "Likelihood: Bernoulli, the values binarised at 0.5" in out
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["likelihood"], run["binarised"]) == ("bernoulli", True)
    # New grey data are binarised just so.
    np.save(tmp_path / "y.npy", rng.uniform(size=(4, 18, 17)))
    assert tfvae_command("reconstruct", tmp_path / "run", "--data", tmp_path / "y.npy")[0] == 0
    np.save(tmp_path / "z.npy", 3 * np.ones((4, 18, 17)))
    code, _, err = tfvae_command("reconstruct", tmp_path / "run", "--data", tmp_path / "z.npy")
    assert code == 2
    assert "Only values in [0, 1] can be binarised" in err
