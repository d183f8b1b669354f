"""Small VAEs, built alike in all tests of this folder."""

import keras
import numpy as np
import pytest

import tfvae
from tfvae.distributions import DiagonalNormal, Normal

FEATURES, LATENT = 6, 2


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=[48, FEATURES]).astype("float32")


@pytest.fixture
def make_vae():
    """Return a function that builds a VAE on 6 features; the same weights every time, noise starting at 5."""

    def make(*, hidden="tanh", log_var=None, **kwargs):
        keras.utils.set_random_seed(1)
        encoder = keras.Sequential([keras.Input([FEATURES]), keras.layers.Dense(2 * LATENT)])
        decoder = keras.Sequential([keras.Input([LATENT]), keras.layers.Dense(8, hidden), keras.layers.Dense(FEATURES)])
        families = {"posterior": DiagonalNormal(LATENT), "likelihood": Normal(FEATURES)}
        vae = tfvae.VAE(encoder, decoder, **{"seed": 5, **families, **kwargs})
        if log_var is not None:  # the same log_var for every x: -60 leaves no noise in z
            kernel, bias = encoder.get_weights()
            kernel[:, LATENT:] = 0.0
            bias[LATENT:] = log_var
            encoder.set_weights([kernel, bias])
        return vae

    return make
