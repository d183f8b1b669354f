"""The evidence at the end of ``tfvae train`` and of ``tfvae evaluate --evidence``: numbers, files, words."""

import json
import shutil

import keras
import numpy as np
import pytest

import tfvae
from tfvae import datasets, evidence
from tfvae.cli import _evidence, _measure
from tfvae.cli._data import Examples
from tfvae.cli._run_folder import RunFolder
from tfvae.distributions import Bernoulli, DiagonalNormal
from tfvae.evidence._store import Store, StoreError

FIELDS = evidence.Decomposition._fields


def _file(folder):
    with np.load(folder / "evidence.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_train_ends_with_the_evidence_of_its_test_part(trained, data_file):
    report, values = json.loads((trained / "evidence.json").read_text()), _file(trained)
    assert (report["examples"], report["num_samples"], report["seed"]) == (10, 250, 3)
    for name in FIELDS[::2]:
        assert report[name] == pytest.approx(values[name].mean(), rel=1e-12)
        assert report[f"{name}_standard_error"] == pytest.approx(values[name].std(ddof=1) / np.sqrt(10), rel=1e-12)
        assert report[f"{name}_error"] == pytest.approx(np.linalg.norm(values[f"{name}_error"]) / 10, rel=1e-12)
    metrics = json.loads((trained / "metrics.json").read_text())
    # 250 draws here and 16 there of the same 10 examples; 5 standard errors of both: false alarms below 1e-5.
    x, model = datasets.load(data_file).test, keras.models.load_model(trained / "model.keras")
    draws = np.stack([model.elbo(x, seed=2000 + i).numpy() for i in range(32)])
    error = np.hypot(report["elbo_error"], np.sqrt(draws.var(axis=0).mean() / len(x) / 16))
    assert abs(report["elbo"] - metrics["elbo"]) < 5 * error
    # The classes are those of the test part.
    labels = datasets.load(data_file).test_labels
    for label in np.unique(labels):
        of_class = report["classes"][str(label)]
        assert of_class["examples"] == np.sum(labels == label)
        assert of_class["gap"] == pytest.approx(values["gap"][labels == label].mean(), rel=1e-12)
    # A density has no bits per dimension.
    assert "bits_per_dimension" not in report


@pytest.fixture
def answered(monkeypatch):
    """Answer for ``decompose`` as it does, file and warning included; return the list of what it was asked."""
    asked = []

    def decompose(model, x, *, num_samples, seed, save_to, verbose):
        asked.append((x, num_samples, seed))
        if save_to.exists():
            raise StoreError(f"{save_to} holds the results of another request.")
        levels = {"log_evidence": -4.0, "elbo": -7.0, "gap": 3.0, "amortisation_gap": 1.0, "approximation_gap": 2.0}
        fields = {name: np.full(len(x), level) for name, level in levels.items()}
        fields |= {f"{name}_error": np.full(len(x), 0.1) for name in levels}
        np.savez(save_to, **fields, pareto_k=np.linspace(0.0, 1.0, len(x)))
        print("progress")
        _warn()
        return evidence.Decomposition(**fields)

    def _warn():
        import warnings

        warnings.warn("log p(x) and so on", evidence.EvidenceWarning, stacklevel=2)

    monkeypatch.setattr(evidence, "decompose", decompose)
    monkeypatch.setattr(_measure, "measure", _measured)
    return asked


def _measured(vae, x, num_samples, seed):
    numbers = dict.fromkeys(("elbo", "elbo_standard_error", "log_likelihood", "log_likelihood_standard_error"), 1.0)
    counts = {"examples": len(x), "log_likelihood_num_samples": num_samples, "log_likelihood_not_to_be_trusted": 3}
    counts |= {"not_finite": 0, "first_not_finite": None}
    rest = {"rate": 1.0, "distortion": 1.0, "effective_sample_size": 2.0, "active_units": 2, "latent_size": 2}
    return {**numbers, **counts, **rest, "likelihood": "normal"}


def test_evaluate_with_evidence(tfvae_command, tmp_path, trained, data_file, answered):
    """The files in the folder, which answer another request, are replaced; warnings come in the command's words."""
    copy = shutil.copytree(trained, tmp_path / "copy")
    code, out, err = tfvae_command("evaluate", copy, "--evidence", "--num-samples", "300", "--seed", "4")
    assert (code, err) == (0, "progress\n")
    x = datasets.load(data_file).test
    assert [(len(rows), samples, seed) for rows, samples, seed in answered] == [(10, 300, 4)] * 2
    np.testing.assert_array_equal(answered[-1][0], x)
    lines = out.splitlines()
    assert "  For 3 of the 10 that estimate may be too low: " in out
    start = lines.index("log p(x) = ELBO + gap, on 10 examples, in nats per example, 300 draws each:")
    assert lines[start + 1].split() == ["mean", "±", "draws", "±", "examples"]
    # 0.1 over the root of 10; all examples are alike.
    assert lines[start + 2].split()[2:] == ["-4.000", "0.032", "0.000"]
    assert [line.split("  ")[1].strip() or line.split("  ")[2] for line in lines[start + 2 : start + 7]] == [
        "log p(x)", "ELBO", "gap", "amortisation gap", "approximation gap"
    ]  # fmt: skip
    # Of 0, 1/9, ..., 1 those above 0.7 are 7/9, 8/9 and 1.
    assert "  For 3 of the 10 log p(x) may be too low and its error too small" in out
    assert "Take a larger --num-samples." in out
    assert f"Wrote evidence.json, evidence.npz, evidence.png, evidence_by_class.png into {copy}." in lines
    assert json.loads((copy / "evidence.json").read_text())["gap"] == 3.0
    assert not [path for path in copy.iterdir() if path.name.startswith(".")]


def test_evidence_as_json_and_of_other_data(tfvae_command, tmp_path, trained, answered):
    """These have no classes; of more than 500 examples some are taken, the same ones every time."""
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "evidence.npz").unlink()
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(700, 5)).astype("float32"))
    code, out, err = tfvae_command("evaluate", copy, "--evidence", "--json", "--data", tmp_path / "x.npy")
    assert code == 0
    report = json.loads(out)
    assert report["evidence"] == json.loads((copy / "evidence.json").read_text())
    assert (report["examples"], report["evidence"]["examples"], report["evidence"]["num_samples"]) == (700, 500, 1000)
    assert "classes" not in report["evidence"]
    assert err == "Decomposing the evidence of 500 of the 700 examples ...\nprogress\n"


def test_other_data_bring_their_classes(tfvae_command, tmp_path, trained, answered):
    copy = shutil.copytree(trained, tmp_path / "copy")
    x, y = np.random.default_rng(0).normal(size=(9, 5)), np.array([4] * 6 + [7] * 3)
    np.savez(tmp_path / "other.npz", x_train=x + 1, x_test=x, y_train=y, y_test=y)
    code, out, _ = tfvae_command("evaluate", copy, "--evidence", "--json", "--data", tmp_path / "other.npz")
    assert code == 0
    np.testing.assert_array_equal(answered[-1][0], x.astype("float32"))
    assert {name: of["examples"] for name, of in json.loads(out)["evidence"]["classes"].items()} == {"4": 6, "7": 3}


def test_binary_data_have_bits_per_dimension(answered, tmp_path):
    networks = [keras.Sequential([keras.Input([n]), keras.layers.Dense(4)]) for n in (4, 2)]
    families = {"posterior": DiagonalNormal(2), "likelihood": Bernoulli(4)}
    data = Examples(np.zeros([10, 4], "float32"))
    report, files = _evidence.decompose(RunFolder(tmp_path), tfvae.VAE(*networks, **families), data, 300, 4)
    # 4 and 7 nats for four pixels.
    assert report["bits_per_dimension"] == pytest.approx({"log_evidence": 1 / np.log(2), "elbo": 7 / 4 / np.log(2)})
    assert all(file.is_file() for file in files)


def test_some_examples_keep_their_classes():
    x, labels = np.arange(40.0)[:, None], np.arange(40) // 4
    some = Examples(x, labels, tuple("abcdefghij")).some(12)
    np.testing.assert_array_equal(some.labels, some.x[:, 0] // 4)
    assert len(some.x) == 12
    assert np.all(np.diff(some.x[:, 0]) > 0)
    # Sorted by class, the first twelve would be of three.
    assert len(set(some.labels)) > 5
    assert Examples(x).some(40).x is x


def test_bits_per_dimension_of_binary_data_and_words():
    report = {"examples": 1, "num_samples": 9, "not_to_be_trusted": 0, "bits_per_dimension": {"log_evidence": 0.25}}
    report |= {"not_finite": 0, "first_not_finite": None}
    for name in FIELDS[::2]:
        report |= {name: 1.0, f"{name}_error": float("inf"), f"{name}_standard_error": float("nan")}
    lines = _evidence.describe(report, 7, "More.")
    assert lines[0] == "log p(x) = ELBO + gap, on 1 of the 7 examples, in nats per example, 9 draws each:"
    assert lines[1].endswith("bits/dimension")
    assert lines[2].split() == ["log", "p(x)", "1.000", "-", "-", "0.2500"]
    assert len(lines) == 7
    nested = json.loads(_measure.as_json({"classes": {"a": {"gap_error": float("inf")}}}))
    assert nested == {"classes": {"a": {"gap_error": None}}}


def test_an_interrupted_request_leaves_the_finished_one_and_goes_on(tfvae_command, tmp_path, trained, monkeypatch):
    copy = shutil.copytree(trained, tmp_path / "copy")
    before, write = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}, Store.write

    def interrupt(self, results):
        write(self, results)
        raise KeyboardInterrupt

    words = ("evaluate", copy, "--evidence", "--num-samples", "260")
    monkeypatch.setattr(Store, "write", interrupt)
    assert tfvae_command(*words)[0] == 130
    after = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    assert set(after) - set(before) == {"evidence_unfinished.npz"}
    assert all(after[name] == content for name, content in before.items())
    monkeypatch.setattr(Store, "write", lambda self, results: pytest.fail("It was finished."))
    assert tfvae_command(*words)[0] == 0
    assert (copy / "evidence.npz").read_bytes() == after["evidence_unfinished.npz"]
    assert not (copy / "evidence_unfinished.npz").exists()
    assert json.loads((copy / "evidence.json").read_text())["num_samples"] == 260


def test_large_images_are_fewer_at_the_end_of_training():
    shapes = ((5,), (8, 8, 1), (28, 28, 1), (32, 32, 3))
    assert [_evidence.quick_count(np.zeros([100, *shape])) for shape in shapes] == [96, 96, 10, 8]
    assert _evidence.quick_count(np.zeros([7, 5])) == 7


def test_a_longer_evidence_of_the_same_model_is_kept_by_resume(tfvae_command, tmp_path, trained):
    copy = shutil.copytree(trained, tmp_path / "copy")
    assert tfvae_command("evaluate", copy, "--evidence", "--num-samples", "300", "--seed", "4")[0] == 0
    longer = (copy / "evidence.json").read_bytes(), _file(copy)
    code, out, _ = tfvae_command("train", "--output", copy, "--resume")
    assert code == 0
    assert "log p(x) = ELBO + gap, on 10 examples, in nats per example, 300 draws each:" in out
    assert (copy / "evidence.json").read_bytes() == longer[0]
    for name, values in _file(copy).items():
        np.testing.assert_array_equal(values, longer[1][name])


@pytest.mark.parametrize("spoil", ["another model", "fewer draws", "no values", "damaged"])
def test_an_evidence_that_says_less_or_is_of_another_model_is_not_kept(tmp_path, trained, data_file, spoil):
    copy = RunFolder(str(shutil.copytree(trained, tmp_path / "copy")))
    vae, test = copy.load_model(), Examples(datasets.load(data_file).test)
    quick = _evidence.Request(10, 250, 3)
    fewer = _evidence.Request(10, 249, 3)
    assert _evidence.longer_request(copy, vae, test, fewer) == quick
    if spoil == "another model":
        vae.trainable_weights[0].assign_add(np.ones(vae.trainable_weights[0].shape))
    elif spoil == "fewer draws":
        fewer = quick._replace(seed=4)
    elif spoil == "no values":
        copy.evidence_values.unlink()
    else:
        copy.evidence.write_text("[" * 100_000)
    assert _evidence.longer_request(copy, vae, test, fewer) == fewer
