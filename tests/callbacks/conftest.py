"""Linear models whose KLs are known, as VAEs that do not change in training."""

import keras
import numpy as np
import pytest

from tfvae.exact import ProbabilisticPCA

LOADINGS = np.array([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0], [0.0, -1.0]])


@pytest.fixture(scope="session")
def make_vae():
    """Return a function that makes a VAE of which the given dimensions of ``z`` are used."""

    def make(*used, **compiling):
        vae = ProbabilisticPCA(LOADINGS * np.isin(np.arange(2), used), 0.5).as_vae(seed=0)
        vae.compile(keras.optimizers.SGD(0.0), **compiling)
        return vae

    return make


@pytest.fixture(scope="session")
def x():
    return ProbabilisticPCA(LOADINGS, 0.5).sample(700, seed=1).numpy().astype("float32")
