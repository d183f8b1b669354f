"""Ten times the draws, chains or steps take no more memory: each holds a pass, or a group of chains, at a time."""

import functools

import keras
import numpy as np
import pytest

import tfvae
from benchmarks import peak_memory
from tfvae.distributions import DiagonalNormal, Normal
from tfvae.evidence import (
    _draws,
    _free_posterior,
    annealed_importance_sampling,
    bidirectional_monte_carlo,
    decompose,
    importance_weighted,
    thermodynamic,
)

pytestmark = pytest.mark.usefixtures("returned_memory")


@pytest.fixture(scope="module")
def make_vae():
    """Graphs of a Keras model are kept, so that each is traced once for all of this."""

    @functools.cache
    def make(latent_size):
        networks = [
            keras.Sequential([keras.Input([n]), keras.layers.Dense(m)])
            for n, m in ((6, 2 * latent_size), (latent_size, 6))
        ]
        return tfvae.VAE(*networks, posterior=DiagonalNormal(latent_size), likelihood=Normal(6), seed=1)

    return make


def growth(estimate, count):
    """Return by how many bytes the peak of ``estimate(10 count)`` is above that of ``estimate(count)``."""
    few, many = (peak_memory.peak_extra(lambda k=k: estimate(k))[1] for k in (count, 10 * count))
    return many - few


@pytest.fixture
def small_passes(monkeypatch):
    monkeypatch.setattr(_draws, "PASS", 2 * _draws.BLOCK)
    monkeypatch.setattr(_free_posterior, "STEPS", 1)  # its memory is that of a step


@pytest.mark.filterwarnings("ignore::tfvae.evidence.EvidenceWarning")
def test_importance_weighted(make_vae):
    # 64 examples. The log-weights of 18 more passes would be 38 MB in float64. Allowed are two or three passes: some
    # are held at once, and it takes a few until all of the allocator's blocks have their size.
    model, x = make_vae(3), np.zeros([64, 6], np.float32)
    assert growth(lambda k: importance_weighted(model, x, num_samples=k, seed=1), 2 * _draws.PASS) < 5e6


@pytest.mark.filterwarnings("ignore::tfvae.evidence.EvidenceWarning")
def test_decompose_and_thermodynamic(small_passes, make_vae):
    # 64 examples. 5400 more draws of six float64 values would be 17 MB, 13500 more log-weights 7 MB. Allowed are a
    # third and half of that, for what the allocator's pools and stacks do by themselves (1 MB or so).
    model, x = make_vae(3), np.zeros([64, 6], np.float32)
    assert growth(lambda k: decompose(model, x, num_samples=k, seed=1), 600) < 6e6
    assert growth(lambda k: thermodynamic(model, x, num_samples=k, num_partitions=1, seed=1), 1500) < 3.5e6


@pytest.mark.parametrize(
    ("estimate", "more"),
    [
        (lambda model, x, k: annealed_importance_sampling(model, x, num_steps=2, num_chains=k, seed=1), 64),
        (lambda model, x, k: annealed_importance_sampling(model, x, num_steps=k, num_chains=16, seed=1), 5),
        (lambda model, x, k: bidirectional_monte_carlo(model, num_examples=16, num_steps=1, num_chains=k, seed=1), 32),
        (lambda model, x, k: bidirectional_monte_carlo(model, num_examples=16, num_steps=k, num_chains=16, seed=1), 5),
    ],
    ids=["annealing, chains", "annealing, steps", "both sides, chains", "both sides, steps"],
)
def test_annealing(estimate, more, make_vae):
    # 16 examples in 128 dimensions: 288 more chains are 2.4 MB in float32, and a transition takes several times its
    # chains; 45 more states of 16 chains are 5.9 MB.
    model, x = make_vae(128), np.zeros([16, 6], np.float32)
    assert growth(functools.partial(estimate, model, x), more) < 2e6
