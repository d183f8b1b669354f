"""The noise of the op: TensorFlow's own, whatever the seed, size, dtype or mode."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.ops import reparameterize_kl

EXTREME_SEEDS = [(0, 0), (-1, -1), (-(2**63), 2**63 - 1), (2**63 - 1, -(2**63)), (2**32, -(2**32)), (1, 2**31)]


def op_noise(shape, seed, dtype="float32"):
    """z of the standard normal is the noise itself."""
    zero = tf.zeros(shape, dtype)
    return reparameterize_kl(zero, zero, seed=seed)[0].numpy()


@pytest.mark.parametrize("seed", EXTREME_SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_int64_seeds_req_6(backend, seed, dtype, exact, tolerance):
    seed = tf.constant(seed, tf.int64)
    got = op_noise([3, 67], seed, dtype)
    np.testing.assert_allclose(got, exact.noise([3, 67], seed, tf.as_dtype(dtype)), rtol=0, atol=tolerance.noise[dtype])


@pytest.mark.parametrize("seed", [(0, 0), (-1, -1), (-(2**31), 2**31 - 1), (7, -9)])
def test_int32_seeds_req_6(backend, seed, exact):
    seed = tf.constant(seed, tf.int32)
    got = op_noise([201], seed)
    np.testing.assert_allclose(got, exact.noise([201], seed, tf.float32), rtol=0, atol=2e-6)
    np.testing.assert_array_equal(got, op_noise([201], tf.cast(seed, tf.int64)))


def test_a_million_draws_of_100_seeds_req_7(backend, exact):
    for number in range(100):
        seed = tf.constant([number * 7919, -number], tf.int64)
        assert np.abs(op_noise([10_007], seed) - exact.noise([10_007], seed, tf.float32)).max() <= 2e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_longer_draw_begins_with_the_shorter_req_7(backend, dtype):
    whole = op_noise([4099], [8, 9], dtype)
    for size in (1, 2, 3, 4, 5, 7, 63, 65, 2047, 2048, 2049, 4096, 4098):
        # TensorFlow's vectorised log and sin round differently in a remainder, so the reference is close, not equal.
        atol = 0 if backend == "native" else 2e-6
        np.testing.assert_allclose(op_noise([size], [8, 9], dtype), whole[:size], rtol=0, atol=atol)


def test_noise_depends_on_the_position_alone(backend):
    flat = op_noise([120], [8, 9])
    for shape in ([2, 60], [60, 2], [2, 3, 20], [5, 4, 3, 2], [1, 120, 1]):
        np.testing.assert_array_equal(op_noise(shape, [8, 9]).reshape(-1), flat)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_has_the_noise_of_float32(backend, dtype):
    wide = op_noise([3001], [8, 9])
    np.testing.assert_array_equal(op_noise([3001], [8, 9], dtype), tf.cast(wide, dtype).numpy())


def test_both_backends_and_every_mode_agree(backend, exact):
    """Eagerly, in a function, with a seed known only at run time, under XLA: one noise."""
    expected = exact.noise([7, 31], [8, 9], tf.float32)

    def op(seed):
        return reparameterize_kl(tf.zeros([7, 31]), tf.zeros([7, 31]), seed=seed)

    functions = [op, tf.function(op)]
    if backend == "reference" or tfvae.build_info()["problem_inside_xla"] is None:
        functions.append(tf.function(op, jit_compile=True))
    for function in functions:
        z, _ = function(tf.constant([8, 9], tf.int64))
        np.testing.assert_allclose(z, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 1001), (5, 2049)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backward_regenerates_exactly_the_noise_of_forward_req_10(backend, shape, dtype):
    """At log_var = 0 the gradient of z by it is eps / 2, and z of the standard normal is eps: a power of two apart."""
    zero, log_var = tf.zeros(shape, dtype), tf.zeros(shape, dtype)
    with tf.GradientTape() as tape:
        tape.watch(log_var)
        z, _ = reparameterize_kl(zero, log_var, seed=[-4, 4])
    np.testing.assert_array_equal(2 * tape.gradient(z, log_var).numpy(), z)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_backward_regenerates_the_noise_in_half_precision_req_10(backend, dtype):
    zero, log_var = tf.zeros([3001], dtype), tf.zeros([3001], dtype)
    with tf.GradientTape() as tape:
        tape.watch(log_var)
        z, _ = reparameterize_kl(zero, log_var, seed=[-4, 4])
    got, eps = tape.gradient(z, log_var).numpy().astype(np.float32), z.numpy().astype(np.float32)
    # Exact but where eps / 2 falls below the normal numbers of float16 and is rounded to a multiple of 2^-24.
    np.testing.assert_allclose(2 * got, eps, rtol=0, atol=2.0**-24 if dtype == "float16" else 0)
