"""The networks of ``tfvae train`` fit data of any shape and scale, and the seed fixes them."""

import numpy as np
import pytest

from tfvae.cli import _data, _networks
from tfvae.distributions import Bernoulli, Normal

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("event_shape", [(1,), (7,), (8, 8, 1), (28, 28, 1), (17, 33, 3), (5, 40, 2)])
@pytest.mark.parametrize("kind", ["binary", "unit", "real"])
def test_networks_fit_any_shape(event_shape, kind):
    x = RNG.uniform(size=(4, *event_shape)).astype(np.float32)
    x = {"binary": x.round(), "unit": x, "real": 10 * x - 3}[kind]
    likelihood = Bernoulli(event_shape) if kind == "binary" else Normal(event_shape, scale="learned")
    vae = _networks.build(x, likelihood, latent_size=3, seed=1)
    assert vae.reconstruct(x).shape == x.shape
    assert np.isfinite(vae.elbo(x, seed=1)).all()


def test_training_starts_at_the_scale_of_the_data():
    """Before any step p(x|z) has about the mean and spread of each feature, whatever its units."""
    center, spread = np.array([5e4, -3.0, 0.0, 7.0, 2e-9]), np.array([2e3, 1e-2, 1.0, 0.0, 1e-9])
    x = (center + spread * RNG.normal(size=(500, 5))).astype(np.float32)
    vae = _networks.build(x, Normal(5, scale="learned"), latent_size=2, seed=1)
    p = vae.likelihood(np.zeros((1, 2), np.float32))
    assert np.allclose(p.mean()[0], x.mean(axis=0), atol=1e-3 * (1 + np.abs(center)))
    # Softplus of 9.21 is 9.21 to 1e-4.
    assert np.allclose(p.stddev()[0], np.where(spread > 0, x.std(axis=0), 1.0), rtol=1e-3, atol=0)


def test_noise_level_of_a_constant_feature_has_a_floor():
    x = np.concatenate([RNG.normal(size=(50, 1)), np.full((50, 1), 7.0)], axis=1).astype(np.float32)
    vae = _networks.build(x, Normal(2, scale="learned"), latent_size=2, seed=1)
    (kernel,) = (weight for weight in vae.decoder.trainable_weights if weight.shape == (2, 2))
    kernel.assign(np.full((2, 2), -1e3))
    scale = vae.likelihood(np.zeros((1, 2), np.float32)).stddev()[0]
    assert np.allclose(scale, [0.01 * x[:, 0].std(), 0.01], rtol=1e-5)


def test_the_seed_fixes_weights_and_noise():
    x = RNG.normal(size=(10, 3)).astype(np.float32)
    first, again, other = (_networks.build(x, Normal(3, scale="learned"), 2, seed) for seed in (1, 1, 2))
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(first.weights, again.weights, strict=True))
    assert not all((a.numpy() == b.numpy()).all() for a, b in zip(first.weights, other.weights, strict=True))


def test_validation_part_is_drawn_at_random_and_apart(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=np.arange(200.0)[:, None], x_test=np.ones((3, 1)))
    parts = _data.prepare(str(tmp_path / "x.npz"), "auto")
    validation = parts.validation[:, 0].tolist()
    assert len(validation) == 20
    assert sorted([*validation, *parts.train[:, 0].tolist()]) == list(range(200))
    assert max(validation) - min(validation) > 100, "sorted data need a validation part from all over"
