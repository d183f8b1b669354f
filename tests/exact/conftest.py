"""A model of every kind with data of its own; and networks in float64."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfvae import exact


@pytest.fixture(scope="session")
def digits():
    """The oracle's data: 1797 x 64, raw values from 0 to 16."""
    return load_digits().data


@pytest.fixture
def float64_networks():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def by_hand():
    """The decomposition worked by hand: model and x."""
    loadings = [[1.0, 0.5], [0.0, 1.0], [0.3, -0.2]]
    return exact.ProbabilisticPCA(loadings, np.sqrt(0.5), np.zeros(3)), np.array([[1.0, -1.0, 0.5]])


MODELS = {
    "ProbabilisticPCA": (
        exact.ProbabilisticPCA([[1.0, 0.5], [0.0, 1.0], [0.3, -0.2]], 0.7, [1.0, -1.0, 0.0]),
        [[1.0, -1.0, 0.5], [0.0, 3.0, 2.0]],
    ),
    "FactorAnalysis": (
        exact.FactorAnalysis([[1.0], [-2.0]], [0.5, 1.5], [0.0, 3.0]),
        [[1.0, -1.0], [0.2, 5.0]],
    ),
    "GaussianMixture": (
        exact.GaussianMixture(
            [0.2, 0.5, 0.3], [[0.0, 1.0], [2.0, 2.0], [-1.0, 0.0]], [[1.0, 0.5], [2.0, 1.0], [0.3, 3.0]]
        ),
        [[0.0, 0.5], [4.0, -1.0]],
    ),
    "GammaPoisson": (exact.GammaPoisson(3.0, 2.0), [4.0, 0.0]),
    "GammaPoisson of vectors": (exact.GammaPoisson([3.0, 0.5], 2.0), [[4.0, 0.0], [1.0, 7.0]]),
    "BetaBernoulli": (exact.BetaBernoulli(2.0, 3.0), [1.0, 0.0]),
    "BetaBernoulli of vectors": (exact.BetaBernoulli(2.0, [3.0, 1.0]), [[1.0, 0.0], [0.0, 0.0]]),
}


@pytest.fixture(params=MODELS)
def model_and_data(request):
    model, x = MODELS[request.param]
    return model, np.array(x)
