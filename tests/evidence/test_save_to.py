"""Estimates that go on from a file: the same bits, and no other request's."""

import contextlib
import json

import keras
import numpy as np
import pytest

import tfvae
from tests.evidence.conftest import LinearGaussian
from tfvae.distributions import DiagonalNormal, Normal
from tfvae.evidence import _importance, annealed_importance_sampling, importance_weighted
from tfvae.evidence._store import Store, StoreError

SIZES = ((3, 4), (2, 3))
MODEL = LinearGaussian("diagonal")


@pytest.fixture
def data(x):
    return np.tile(x, [48, 1])  # three blocks of rows, the last a short one


@pytest.fixture
def half_done(data, tmp_path, monkeypatch):
    """A file left behind by a run that was stopped in its second block."""
    path, add, calls = tmp_path / "weights.npz", _importance.RunningWeights.add, []

    def stop(self, log_weights):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        add(self, log_weights)

    monkeypatch.setattr(_importance.RunningWeights, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        importance_weighted(MODEL, data, num_samples=40, seed=1, save_to=path)
    monkeypatch.setattr(_importance.RunningWeights, "add", add)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.npz"]
    with np.load(path, allow_pickle=False) as file:
        assert file["estimate"].shape == (64,)
    return path


def test_goes_on_to_the_same_bits(half_done, data, monkeypatch):
    whole = importance_weighted(MODEL, data, num_samples=40, seed=1)
    blocks, add = [], _importance.RunningWeights.add
    monkeypatch.setattr(_importance.RunningWeights, "add", lambda self, weights: blocks.append(1) or add(self, weights))
    resumed = importance_weighted(MODEL, data, num_samples=40, seed=1, save_to=half_done)
    assert len(blocks) == 2
    again = importance_weighted(MODEL, data, num_samples=40, save_to=str(half_done))  # the file's seed; nothing to do
    assert len(blocks) == 2
    for first, second, third in zip(whole, resumed, again, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, third)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_samples": 41}, "num_samples"),
        ({"seed": 2}, "seed"),
        ({"proposal": "defensive"}, "proposal"),
        ({"model": LinearGaussian("diagonal", variance=0.6)}, "model"),
        ({"x": np.ones([72, 3])}, "model, x"),
    ],
)
def test_another_request_is_refused(half_done, data, change, named):
    request = {"model": MODEL, "x": data, "num_samples": 40, "seed": 1, **change}
    arguments = request.pop("model"), request.pop("x")
    before = half_done.read_bytes()
    with pytest.raises(
        ValueError, match=f"another request: its {named} (is|are) not as asked for here. Remove it, or give"
    ):
        importance_weighted(*arguments, **request, save_to=half_done)
    assert half_done.read_bytes() == before


def test_another_estimator_s_file_is_refused(half_done, data):
    with pytest.raises(ValueError, match="cannot be read as results of this estimator"):
        annealed_importance_sampling(MODEL, data, save_to=half_done)


def test_damaged_files_are_refused(half_done, data, tmp_path):
    good = half_done.read_bytes()
    pickled = tmp_path / "pickled.npz"
    with np.load(half_done) as file:
        np.savez(pickled, **{**dict(file), "estimate": np.array([print], dtype=object)})
    short = tmp_path / "short.npz"
    with np.load(half_done) as file:
        np.savez(short, **{**dict(file), "estimate": file["estimate"][:3]})
    for bad in (good[: len(good) // 2], b"", b"no zip", pickled.read_bytes(), short.read_bytes()):
        half_done.write_bytes(bad)
        with pytest.raises(ValueError, match=r"Remove it, or give save_to another name\."):
            importance_weighted(MODEL, data, num_samples=40, seed=1, save_to=half_done)


@pytest.mark.parametrize(
    "request_of",
    [lambda told: {}, lambda told: told | {"seed": "abc"}, lambda told: told | {"seed": [1.0, 2]}, lambda told: [told]],
    ids=["nothing", "text", "float", "list"],
)
def test_requests_that_no_estimator_wrote_are_refused(half_done, data, request_of):
    with np.load(half_done) as file:
        arrays = dict(file)
    arrays["request"] = np.array(json.dumps(request_of(json.loads(str(arrays["request"])))))
    np.savez(half_done, **arrays)
    with pytest.raises(StoreError, match=r"does not hold .* Remove it, or give save_to another name\."):
        importance_weighted(MODEL, data, num_samples=40, save_to=half_done)


def test_any_damaged_byte_raises_one_error(half_done, data, rng):
    # A byte in the middle of an array may be read as another number, which zip's checksum finds only where numbers are
    # stored whole; all that is read is what the request needs.
    good = bytearray(half_done.read_bytes())
    for place in rng.choice(len(good), 200, replace=False):
        bad = good.copy()
        bad[place] ^= 0xFF
        half_done.write_bytes(bad)
        with contextlib.suppress(StoreError):
            Store(half_done, ("estimate", "standard_error", "effective_sample_size", "pareto_k"))


def test_names_are_checked_before_anything_is_computed(data, tmp_path):
    with pytest.raises(ValueError, match=r"must be the name of an \.npz file"):
        importance_weighted(MODEL, data, save_to=tmp_path / "results.csv")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        importance_weighted(MODEL, data, save_to=tmp_path / "missing" / "results.npz")


def keras_model(scale=1.0, kl_weight=1.0, activation=None):
    networks = [
        keras.Sequential([keras.Input([n]), keras.layers.Dense(m, activation, kernel_initializer="ones")])
        for n, m in SIZES
    ]
    normal = Normal(3, scale=scale)
    return tfvae.VAE(*networks, posterior=DiagonalNormal(2), likelihood=normal, kl_weight=kl_weight)


class Amplified(keras.Model):
    """A decoder one of whose settings no configuration tells."""

    def __init__(self, gain):
        super().__init__()
        self.gain, self.dense = gain, keras.layers.Dense(3, kernel_initializer="ones")

    def call(self, z):
        return self.gain * self.dense(z)


def test_settings_that_no_configuration_tells_make_another_model(tmp_path, x):
    settings = {"num_samples": 10, "seed": 1, "save_to": tmp_path / "weights.npz"}
    encoder = keras.Sequential([keras.Input([3]), keras.layers.Dense(4, kernel_initializer="ones")])
    vae = tfvae.VAE(encoder, Amplified(1.0), posterior=DiagonalNormal(2), likelihood=Normal(3))
    first = importance_weighted(vae, x, **settings)
    np.testing.assert_array_equal(first.estimate, importance_weighted(vae, x, **settings).estimate)
    vae.decoder.gain = 3.0
    with pytest.raises(ValueError, match="its model is not as asked"):
        importance_weighted(vae, x, **settings)


def test_settings_that_act_on_late_rows_alone_make_another_model(tmp_path):
    """Densities are compared of the first 32 rows."""

    def clipped(at):
        encoder = keras.Sequential(
            [keras.Input([3]), keras.layers.ReLU(max_value=at), keras.layers.Dense(4, kernel_initializer="ones")]
        )
        decoder = keras.Sequential([keras.Input([2]), keras.layers.Dense(3, kernel_initializer="ones")])
        return tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=Normal(3))

    x = np.concatenate([np.full([32, 3], 0.1), np.full([1, 3], 0.4)])
    settings = {"num_samples": 10, "seed": 1, "save_to": tmp_path / "weights.npz"}
    first = importance_weighted(clipped(0.2), x, **settings)
    np.testing.assert_array_equal(first.estimate, importance_weighted(clipped(0.2), x, **settings).estimate)
    with pytest.raises(ValueError, match="its model is not as asked"):
        importance_weighted(clipped(0.3), x, **settings)


def test_equal_weights_do_not_make_a_model_the_same(tmp_path, x):
    """Likelihood and activations make it another; the weight of its KL, which no estimate has in it, does not."""
    settings = {"num_samples": 10, "seed": 1, "save_to": tmp_path / "weights.npz"}
    first = importance_weighted(keras_model(), x, **settings)
    again = importance_weighted(keras_model(kl_weight=0.5), x, **settings)
    np.testing.assert_array_equal(first.estimate, again.estimate)
    # The second scale changes densities by less than they are compared to.
    for other in (keras_model(scale=2.0), keras_model(scale=1.00001), keras_model(activation="tanh")):
        with pytest.raises(ValueError, match="model"):
            importance_weighted(other, x, **settings)
