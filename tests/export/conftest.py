from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.distributions import Bernoulli, Categorical, DiagonalNormal, Family, Normal
from tfvae.distributions._tfp import tfd


class Exported(NamedTuple):
    vae: tfvae.VAE
    x: np.ndarray
    folder: Path
    loaded: Any


def reals(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def dense(**kwargs: Any) -> tuple[tfvae.VAE, np.ndarray]:
    vae = tfvae.VAE(
        keras.Sequential([keras.Input([8]), keras.layers.Dense(6, "tanh"), keras.layers.Dense(4)]),
        keras.Sequential([keras.Input([2]), keras.layers.Dense(6, "tanh"), keras.layers.Dense(8)]),
        posterior=DiagonalNormal(2),
        likelihood=Normal(8, scale=0.5),
        **kwargs,
    )
    return vae, reals(5, 8)


def images() -> tuple[tfvae.VAE, np.ndarray]:
    x = keras.Input([8, 8, 1])
    h = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2, padding="same")(x))
    # Pooling over the whole image: it would take an image of any size.
    encoder = keras.Model(x, keras.layers.Dense(6)(keras.layers.GlobalAveragePooling2D()(h)))
    z = keras.Input([3])
    h = keras.layers.Reshape([4, 4, 2])(keras.layers.Dense(32, "relu")(z))
    decoder = keras.Model(z, keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(h))
    vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(3), likelihood=Bernoulli([8, 8, 1]))
    return vae, (reals(5, 8, 8, 1) > 0).astype("float32")


class Subclassed(keras.Model):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(6, "relu")
        self.dropout = keras.layers.Dropout(0.5)
        self.last = keras.layers.Dense(units)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.last(self.dropout(self.hidden(inputs), training=training))


def subclassed() -> tuple[tfvae.VAE, np.ndarray]:
    vae = tfvae.VAE(Subclassed(4), Subclassed(16), posterior=DiagonalNormal(2), likelihood=Normal(8, scale="learned"))
    x = reals(5, 8)
    vae(x)
    return vae, x


def learned_prior() -> tuple[tfvae.VAE, np.ndarray]:
    vae, x = dense(prior=DiagonalNormal(2))
    vae.prior_params.assign([0.5, -0.5, 0.3, -0.3])
    return vae, x


def normalized() -> tuple[tfvae.VAE, np.ndarray]:
    vae, x = dense()
    normalization = keras.layers.Normalization()
    normalization.adapt(x)
    vae = tfvae.VAE(
        keras.Sequential([keras.Input([8]), normalization, keras.layers.Dense(4)]),
        vae.decoder,
        posterior=DiagonalNormal(2),
        likelihood=Normal(8),
    )
    return vae, x


class Laplace(Family):
    """A posterior that is no Gaussian: no log_var of its own, no fused op, no exact KL."""

    parameters_per_element = 2

    def make(self, *parameters: tf.Tensor) -> Any:
        loc, log_scale = parameters
        return tfd.Independent(tfd.Laplace(loc, tf.exp(log_scale)), 1)


def laplace() -> tuple[tfvae.VAE, np.ndarray]:
    vae, x = dense()
    return tfvae.VAE(vae.encoder, vae.decoder, posterior=Laplace(2), likelihood=Normal(8)), x


def integers() -> tuple[tfvae.VAE, np.ndarray]:
    x = keras.Input([4], dtype="int32")
    encoder = keras.Model(x, keras.layers.Dense(4)(keras.layers.Flatten()(keras.layers.Embedding(3, 2)(x))))
    decoder = keras.Sequential([keras.Input([2]), keras.layers.Dense(12)])
    vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=Categorical(4, num_classes=3))
    return vae, np.random.default_rng(3).integers(0, 3, [5, 4]).astype("int32")


def with_policy(policy: str) -> Callable[[], tuple[tfvae.VAE, np.ndarray]]:
    def make() -> tuple[tfvae.VAE, np.ndarray]:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            vae, x = dense()
        finally:
            keras.config.set_dtype_policy(before)
        return vae, x.astype("float64") if policy == "float64" else x

    return make


MODELS: dict[str, Callable[[], tuple[tfvae.VAE, np.ndarray]]] = {
    "dense": dense,
    "images": images,
    "subclassed": subclassed,
    "learned_prior": learned_prior,
    "normalized": normalized,
    "integers": integers,
    "laplace": laplace,
    **{policy: with_policy(policy) for policy in ("float64", "mixed_float16", "mixed_bfloat16")},
}


@pytest.fixture(scope="session", params=sorted(MODELS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A model of every kind, exported with the compiled op in use where there is one, and loaded again."""
    vae, x = MODELS[request.param]()
    folder = tmp_path_factory.mktemp("exported") / request.param
    vae.export(folder)
    return Exported(vae, x, folder, tf.saved_model.load(str(folder)))


@pytest.fixture(scope="session")
def dense_vae() -> tfvae.VAE:
    return dense()[0]


@pytest.fixture(scope="session")
def native_library() -> None:
    problem = tfvae.build_info()["problem"]
    if problem is not None:
        pytest.skip(f"no compiled op: {problem}")


@pytest.fixture(scope="session")
def run_without_tfvae(
    run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Run a script where neither tfvae nor TensorFlow Probability can be imported, and return what it printed."""

    def run(script: str) -> str:
        # A folder without tfvae on the path, and None in sys.modules where it is installed.
        missing = 'import sys\nsys.modules["tfvae"] = sys.modules["tensorflow_probability"] = None\n'
        done = run_python(missing + script, path=tmp_path_factory.mktemp("elsewhere"))
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
        return done.stdout

    return run
