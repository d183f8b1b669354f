"""Learned priors: the KL and its gradients against closed forms and TFP, on both backends."""

import numpy as np
import pytest
import tensorflow as tf

from tfvae.distributions._tfp import tfd
from tfvae.ops import reparameterize_kl

SEED = [3, -5]
SHAPES = [(1,), (17,), (0, 4), (7, 10), (5, 256), (3, 2, 17), (2, 2049), (1500, 3), (70, 1000)]
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def draw(rng, shape, dtype, shared):
    """mean, log_var, prior_mean, prior_log_var and the upstream gradients of z and of every row's KL."""
    prior_shape = shape[-1:] if shared else shape
    mean, dz = (tf.cast(rng.normal(size=shape), dtype) for _ in range(2))
    log_var = tf.cast(rng.uniform(-4, 2, size=shape), dtype)
    prior_mean = tf.cast(rng.normal(size=prior_shape), dtype)
    prior_log_var = tf.cast(rng.uniform(-2, 2, size=prior_shape), dtype)
    dkl = tf.cast(rng.normal(size=shape[:-1]), tf.float64 if dtype == "float64" else tf.float32)
    return [mean, log_var, prior_mean, prior_log_var], dz, dkl


def run(parameters, dz, dkl):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        mean, log_var, prior_mean, prior_log_var = parameters
        outputs = reparameterize_kl(mean, log_var, seed=SEED, prior_mean=prior_mean, prior_log_var=prior_log_var)
    return outputs, tape.gradient(outputs, parameters, output_gradients=[dz, dkl])


def wide(*tensors):
    return (np.asarray(tensor).astype(np.longdouble) for tensor in tensors)


@pytest.mark.parametrize("shared", [False, True], ids=["full", "shared"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_against_the_closed_form(backend, dtype, shape, shared, rng, exact, tolerance):
    parameters, dz, dkl = draw(rng, shape, dtype, shared)
    (z, kl), gradients = run(parameters, dz, dkl)
    eps = exact.noise(shape, SEED, parameters[0].dtype)
    m, lv, pm, plv, up, upkl, e = wide(*parameters, dz, dkl, eps)
    sigma, precision, log_ratio = np.exp(lv / 2), np.exp(-plv), lv - plv
    distance = m - pm
    assert (abs(z - (m + sigma * e)) <= tolerance.stored(dtype, abs(m) + sigma * abs(e), sigma)).all()
    terms = (distance**2 * precision + np.expm1(log_ratio) - log_ratio) / 2
    # Each term's few roundings (exp of up to 6 in magnitude among them), then a row's sum, all terms positive.
    row_error = (16 + 8 * np.log2(shape[-1] + 1)) * tolerance.rounding[dtype]
    np.testing.assert_array_less(abs(kl - terms.sum(-1)), row_error * (terms.sum(-1) + 1))

    each = np.broadcast_to(upkl[..., None], shape)
    pull = distance * precision
    by_mean = up + each * pull
    by_log_var = (up * sigma * e + each * np.expm1(log_ratio)) / 2
    by_prior_mean = -each * pull
    by_prior_log_var = -each * (np.expm1(log_ratio) + distance * pull) / 2
    size = abs(each) * (abs(distance) * precision * (1 + abs(distance)) + np.exp(log_ratio) + 1)
    bound = tolerance.stored(dtype, abs(up) * (1 + sigma * abs(e)) + size, abs(up) * sigma / 2, roundings=16)
    for gradient, want in zip(gradients[:2], (by_mean, by_log_var), strict=True):
        assert (abs(gradient - want) <= bound).all()
    for gradient, want in zip(gradients[2:], (by_prior_mean, by_prior_log_var), strict=True):
        if shared:
            axes = tuple(range(len(shape) - 1))
            # A sum over rows: the rounding of every term, and that of the sum in blocks.
            rows = max(1, int(np.prod(shape[:-1])))
            column_bound = tolerance.stored(dtype, size.sum(axes), 0, roundings=16 + 4 * np.log2(rows + 1))
            assert (abs(gradient - want.sum(axes)) <= column_bound).all()
        else:
            assert (abs(gradient - want) <= bound).all()


def test_kl_against_tfp(backend, rng):
    parameters, *_ = draw(rng, (50, 8), "float64", shared=False)
    mean, log_var, prior_mean, prior_log_var = parameters
    q = tfd.MultivariateNormalDiag(mean, tf.exp(log_var / 2))
    p = tfd.MultivariateNormalDiag(prior_mean, tf.exp(prior_log_var / 2))
    _, kl = reparameterize_kl(mean, log_var, seed=SEED, prior_mean=prior_mean, prior_log_var=prior_log_var)
    np.testing.assert_allclose(kl, tfd.kl_divergence(q, p), rtol=1e-12)  # float64 rounding of a sum of eight.


def test_per_dimension_terms_sum_to_the_kl(backend, rng):
    parameters, *_ = draw(rng, (4, 6), "float64", shared=True)
    mean, log_var, prior_mean, prior_log_var = parameters
    options = {"seed": SEED, "prior_mean": prior_mean, "prior_log_var": prior_log_var}
    _, kl = reparameterize_kl(mean, log_var, **options)
    _, terms = reparameterize_kl(mean, log_var, per_dimension=True, **options)
    np.testing.assert_allclose(tf.reduce_sum(terms, -1), kl, rtol=1e-14)


def test_prior_equal_to_the_posterior_has_kl_and_gradients_exactly_zero_req_13(backend, rng):
    parameters, _, dkl = draw(rng, (9, 5), "float32", shared=False)
    mean, log_var = parameters[:2]
    (_, kl), gradients = run([mean, log_var, tf.identity(mean), tf.identity(log_var)], tf.zeros_like(mean), dkl)
    assert not np.any(kl)
    assert all(not np.any(gradient) for gradient in gradients)


def test_a_standard_normal_prior_spelled_out_changes_nothing(backend, rng):
    parameters, *_ = draw(rng, (20, 7), "float32", shared=True)
    mean, log_var = parameters[:2]
    zeros = tf.zeros([7])
    z, kl = reparameterize_kl(mean, log_var, seed=SEED, prior_mean=zeros, prior_log_var=zeros)
    plain_z, plain_kl = reparameterize_kl(mean, log_var, seed=SEED)
    np.testing.assert_array_equal(z, plain_z)
    np.testing.assert_allclose(kl, plain_kl, rtol=1e-6)  # The same terms, contracted into FMAs elsewhere.


def test_shapes_known_only_at_run_time(backend, rng):
    spec = tf.TensorSpec(None)

    @tf.function(input_signature=[spec] * 4, autograph=False)
    def late(mean, log_var, prior_mean, prior_log_var):
        return reparameterize_kl(mean, log_var, seed=SEED, prior_mean=prior_mean, prior_log_var=prior_log_var)

    for shared in (False, True):
        parameters, *_ = draw(rng, (6, 3), "float32", shared)
        z, _ = late(*parameters)
        assert z.shape == (6, 3)
    wrong = tf.zeros([6])
    with pytest.raises(tf.errors.InvalidArgumentError, match="prior_mean must have the shape of mean"):
        late(*parameters[:2], wrong, wrong)
    with pytest.raises(tf.errors.InvalidArgumentError, match="prior_log_var must have the shape of prior_mean"):
        late(*parameters[:3], wrong)


def test_bad_priors_are_refused_by_name(backend):
    mean = tf.zeros([2, 3])
    with pytest.raises(ValueError, match=r"given together, or neither; prior_log_var is None"):
        reparameterize_kl(mean, mean, seed=SEED, prior_mean=mean)
    with pytest.raises(ValueError, match=r"prior_mean must have the shape of mean, \[2, 3\], .* not \[2\]"):
        reparameterize_kl(mean, mean, seed=SEED, prior_mean=[0.0, 0.0], prior_log_var=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"prior_log_var must have the shape of prior_mean, \[3\], not \[2, 3\]"):
        reparameterize_kl(mean, mean, seed=SEED, prior_mean=[0.0, 0.0, 0.0], prior_log_var=mean)
    with pytest.raises(TypeError, match="prior_mean must have the dtype of mean, float32, not float64"):
        reparameterize_kl(mean, mean, seed=SEED, prior_mean=tf.cast(mean, tf.float64), prior_log_var=mean)


@pytest.mark.parametrize("shared", [False, True], ids=["full", "shared"])
def test_finite_differences_and_second_order_req_13(backend, shared, rng):
    parameters, dz, dkl = draw(rng, (3, 4), "float64", shared)

    def loss(*inputs):
        (z, kl), _ = run(list(inputs), dz, dkl)
        return tf.reduce_sum(z * z * dz) + tf.reduce_sum(kl * kl * dkl)

    def gradient(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(*inputs)
        return tape.gradient(value, inputs)

    for function in (loss, lambda *inputs: tf.add_n([tf.reduce_sum(tf.sin(g)) for g in gradient(*inputs)])):
        theory, numeric = tf.test.compute_gradient(function, parameters, delta=1e-6)
        for a, b in zip(theory, numeric, strict=True):
            # The error of a central difference: third derivatives of order 100 times delta^2, and rounding / delta.
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
