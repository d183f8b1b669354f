"""Where an op is the last to need an input, its output takes over that memory, with the same bits in it."""

import numpy as np
import pytest
import tensorflow as tf

from tfvae import _native
from tfvae.ops import reparameterize_kl

SEED = [3, -5]
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def fresh(tensor):
    """The same values in memory that nobody else knows of."""
    return tf.math.subtract(tf.math.negative(tf.zeros_like(tensor)), tf.math.negative(tensor))


def run(tensors, prior, per_dimension, own):
    """Forward and gradient, each in a graph, on inputs of its own or on those given."""

    @tf.function(autograph=False)
    def graph(mean, log_var, dz, dkl, *prior):
        mean, log_var, dz = (fresh(x) if own else x for x in (mean, log_var, dz))
        given = dict(zip(("prior_mean", "prior_log_var"), prior, strict=False))
        return reparameterize_kl(mean, log_var, seed=SEED, per_dimension=per_dimension, **given)

    @tf.function(autograph=False)
    def gradient(mean, log_var, dz, dkl, *prior):
        mean, log_var, dz = (fresh(x) if own else x for x in (mean, log_var, dz))
        ops = _native.load()
        return tf.nest.flatten(
            ops.tfvae_reparameterize_kl_grad(mean, log_var, SEED, dz, dkl, list(prior), per_dimension=per_dimension)
        )

    return [*graph(*tensors, *prior), *gradient(*tensors, *prior)]


@pytest.mark.parametrize("kind", ["standard", "full", "shared"])
@pytest.mark.parametrize("per_dimension", [False, True])
@pytest.mark.parametrize("shape", [(7, 3), (5, 17), (3, 2049), (1, 5000)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits(dtype, shape, per_dimension, kind, rng):
    mean, log_var, dz, *prior = (tf.cast(rng.normal(size=shape), dtype) for _ in range(5))
    wide = tf.float64 if dtype == "float64" else tf.float32
    dkl = tf.cast(rng.normal(size=shape if per_dimension else shape[:-1]), wide)
    prior = {"standard": [], "full": prior, "shared": [part[0] for part in prior]}[kind]
    tensors = (mean, log_var, dz, dkl)
    before = [x.numpy().tobytes() for x in (*tensors, *prior)]
    for got, want in zip(
        run(tensors, prior, per_dimension, True), run(tensors, prior, per_dimension, False), strict=True
    ):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    assert [x.numpy().tobytes() for x in (*tensors, *prior)] == before


def test_inputs_that_others_need_are_left_alone():
    @tf.function(autograph=False)
    def graph(x):
        mean, log_var = x + 1.0, x * 0.5
        z, kl = reparameterize_kl(mean, log_var, seed=SEED)
        return z, kl, mean, log_var

    x = tf.constant(np.linspace(-1, 1, 4000, dtype=np.float32).reshape(40, 100))
    z, _, mean, log_var = graph(x)
    np.testing.assert_array_equal(mean, x + 1.0)
    np.testing.assert_array_equal(log_var, x * 0.5)
    assert np.abs(z - mean).max() > 0.1
