"""sample_and_kl: the fused op where it applies, TFP's formula or an estimate elsewhere, and which."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.distributions import DiagonalNormal, StandardNormal

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow_probability as tfp

    tfd = tfp.distributions

SEED = [3, 4]
MEAN = np.array([[0.5, -1.0], [2.0, 0.1], [0.0, 0.0]])
LOG_VAR = np.array([[0.3, -2.0], [1e-4, 1.0], [0.0, 0.0]])
PRIOR_MEAN = np.array([0.2, -0.3])
PRIOR_SCALE = np.array([1.5, 0.4])


def gaussians():
    scale = np.exp(0.5 * LOG_VAR)
    return {
        "family": DiagonalNormal(2)(np.concatenate([MEAN, LOG_VAR], axis=-1)),
        "mvn": tfd.MultivariateNormalDiag(MEAN, scale),
        "negative_scale": tfd.MultivariateNormalDiag(MEAN, -scale),
        "independent": tfd.Independent(tfd.Normal(MEAN, scale), reinterpreted_batch_ndims=1),
    }


@pytest.mark.parametrize("kind", list(gaussians()))
def test_gaussian_pair_takes_the_fused_op(kind):
    q = gaussians()[kind]
    sample = tfvae.sample_and_kl(q, StandardNormal(2)(tf.zeros([0], tf.float64)), seed=SEED)
    z, kl = tfvae.ops.reparameterize_kl(MEAN, LOG_VAR, seed=SEED)
    assert sample.method == "fused"
    np.testing.assert_allclose(sample.z, z, rtol=0, atol=1e-14)  # float64: log(exp()) of the scales
    np.testing.assert_allclose(sample.kl, kl, rtol=0, atol=1e-14)
    assert kl[2] == 0.0


@pytest.mark.parametrize("prior_batch", [(), (3,), (1,)])
def test_general_diagonal_prior_is_fused_and_agrees_with_tfp(prior_batch):
    shape = [*prior_batch, 2]
    q = gaussians()["family"]
    p = tfd.MultivariateNormalDiag(np.broadcast_to(PRIOR_MEAN, shape), np.broadcast_to(PRIOR_SCALE, shape))
    sample = tfvae.sample_and_kl(q, p, seed=SEED)
    z, _ = tfvae.ops.reparameterize_kl(MEAN, LOG_VAR, seed=SEED)
    assert sample.method == "fused"
    np.testing.assert_allclose(sample.z, z, rtol=1e-13, atol=1e-14)  # float64: one change of coordinates
    np.testing.assert_allclose(sample.kl, q.kl_divergence(p), rtol=1e-12)


ARRAYS = {
    "family": lambda mean, log_var: DiagonalNormal((2, 4, 3))(tf.concat([mean, log_var], axis=-1)),
    "independent": lambda mean, log_var: tfd.Independent(tfd.Normal(mean, tf.exp(log_var / 2)), 3),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("prior", ["standard", "other"])
def test_events_of_several_axes_are_fused_too(kind, prior):
    generator = np.random.default_rng(3)
    mean, log_var = (tf.constant(generator.normal(size=[5, 2, 4, 3])) for _ in range(2))
    others = [tf.constant(generator.normal(size=[2, 4, 3])) for _ in range(2)]
    standard = tfd.Independent(tfd.Normal(tf.zeros_like(mean[0]), tf.ones_like(mean[0])), 3)
    p = {
        "standard": StandardNormal((2, 4, 3))(tf.zeros([0], tf.float64)),
        "other": ARRAYS[kind](*others),
    }[prior]
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        q = ARRAYS[kind](mean, log_var)
        sample = tfvae.sample_and_kl(q, p, seed=SEED)
    assert sample.method == "fused"
    eps = tf.random.stateless_normal([5, 2, 4, 3], SEED, dtype=tf.float64, alg="philox")
    np.testing.assert_allclose(sample.z, mean + tf.exp(log_var / 2) * eps, rtol=0, atol=1e-6)  # TensorFlow's angle
    with tf.GradientTape() as check:
        check.watch([mean, log_var])
        inner = tfd.Independent(tfd.Normal(mean, tf.exp(log_var / 2)), 3)
        expected = inner.kl_divergence(standard if prior == "standard" else ARRAYS["independent"](*others))
    np.testing.assert_allclose(sample.kl, expected, rtol=1e-12)  # float64 sums of 24 terms
    for got, want in zip(
        tape.gradient(sample.kl, [mean, log_var]), check.gradient(expected, [mean, log_var]), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


def test_gradients_through_a_learned_prior_agree_with_tfp():
    params = [tf.constant(value) for value in (MEAN, LOG_VAR, PRIOR_MEAN, 2 * np.log(PRIOR_SCALE))]

    def gradients(kl_of):
        with tf.GradientTape() as tape:
            tape.watch(params)
            q = DiagonalNormal(2)(tf.concat(params[:2], axis=-1))
            p = DiagonalNormal(2)(tf.concat(params[2:], axis=-1))
            kl = kl_of(q, p)
        return tape.gradient(kl, params)

    ours = gradients(lambda q, p: tfvae.sample_and_kl(q, p, seed=SEED).kl)
    theirs = gradients(lambda q, p: q.kl_divergence(p))
    for got, want in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)  # float64 rounding of sums of a few terms


def test_prior_of_larger_batch_keeps_the_shape_of_the_sample():
    q = DiagonalNormal(2)(tf.zeros([4]))
    sample = tfvae.sample_and_kl(q, tfd.MultivariateNormalDiag(tf.zeros([5, 2]), tf.ones([5, 2])), seed=SEED)
    assert sample.method == "analytic"
    assert sample.z.shape == [2]
    np.testing.assert_allclose(sample.kl, np.zeros(5), atol=1e-6)  # float32 rounding


def test_fully_unknown_batch_shapes_in_a_function():
    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def run(params):
        sample = tfvae.sample_and_kl(DiagonalNormal(2)(params), StandardNormal(2)(), seed=SEED)
        assert sample.method == "fused"
        return sample.z, sample.kl

    z, kl = run(tf.zeros([3, 4]))
    assert z.shape == [3, 2]
    np.testing.assert_array_equal(kl, np.zeros(3))


def test_registered_kl_of_tfp_is_exact():
    q, p = tfd.Gamma(tf.constant([2.0, 3.0]), 1.5), tfd.Gamma(1.0, 1.0)
    sample = tfvae.sample_and_kl(q, p, seed=SEED)
    assert sample.method == "analytic"
    np.testing.assert_array_equal(sample.kl, q.kl_divergence(p))
    np.testing.assert_array_equal(sample.z, q.sample(seed=tf.constant(SEED)))


def test_full_covariance_prior_is_analytic():
    q = gaussians()["family"]
    p = tfd.MultivariateNormalTriL(tf.zeros([2], tf.float64), tf.eye(2, dtype=tf.float64))
    sample = tfvae.sample_and_kl(q, p, seed=SEED)
    assert sample.method == "analytic"
    np.testing.assert_allclose(sample.kl, q.kl_divergence(StandardNormal(2)(tf.zeros([0], tf.float64))), rtol=1e-12)


def test_monte_carlo_is_unbiased():
    # KL(N(0.5, 1) || mixture) has no formula; the reference is numerical integration. 20000 draws: the test fails by
    # chance once in 10^6 runs (5 standard errors), and the seed is fixed.
    q = tfd.MultivariateNormalDiag(tf.fill([20000, 1], 0.5), tf.ones([20000, 1]))
    mixture = tfd.MixtureSameFamily(tfd.Categorical(probs=[0.3, 0.7]), tfd.Normal([-1.0, 1.0], [0.5, 1.0]))
    p = tfd.Independent(tfd.BatchBroadcast(mixture, [1]), 1)
    sample = tfvae.sample_and_kl(q, p, seed=SEED)
    assert sample.method == "monte_carlo"
    grid = np.linspace(-8.0, 9.0, 20001)
    density = np.exp(-0.5 * (grid - 0.5) ** 2) / np.sqrt(2 * np.pi)
    expected = np.sum(density * (np.log(density) - mixture.log_prob(grid.astype("float32")))) * (grid[1] - grid[0])
    error = np.std(sample.kl) / np.sqrt(20000)
    assert abs(np.mean(sample.kl) - expected) < 5 * error


@pytest.mark.parametrize("seed", [[2**40, -(2**35)], np.array([1, 2], np.int32)])
def test_seeds_of_both_widths_work_off_the_fused_path(seed):
    q = tfd.Gamma(tf.ones([3]), 1.0)
    first, second = (tfvae.sample_and_kl(q, q, seed=seed).z for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_with_a_general_prior_is_rounded_once(dtype):
    q = tfd.Independent(tfd.Normal(tf.ones([2, 8], dtype), tf.ones([2, 8], dtype)), 1)
    p = tfd.Independent(tfd.Normal(tf.zeros([8], dtype), 2 * tf.ones([8], dtype)), 1)
    sample = tfvae.sample_and_kl(q, p, seed=SEED)
    assert sample.z.dtype == dtype
    expected = 8 * (np.log(2.0) + (1.0 + 1.0) / 8.0 - 0.5)
    np.testing.assert_allclose(sample.kl, [expected] * 2, rtol=0.02)  # log(scale^2) in half precision: 8 bits


def test_mismatches_are_refused():
    q, standard = gaussians()["family"], StandardNormal(2)
    with pytest.raises(TypeError, match="one dtype, not float64 and float32"):
        tfvae.sample_and_kl(q, standard(), seed=SEED)
    with pytest.raises(ValueError, match="same events"):
        tfvae.sample_and_kl(q, StandardNormal(3)(tf.zeros([0], tf.float64)), seed=SEED)
    with pytest.raises(ValueError, match=r"seed must have shape \[2\], not \[3\]"):
        tfvae.sample_and_kl(q, standard(tf.zeros([0], tf.float64)), seed=[1, 2, 3])
    with pytest.raises(ValueError, match=r"seed must have shape \[2\], not \[1\]"):
        tfvae.sample_and_kl(tfd.Gamma(1.0, 1.0), tfd.Gamma(1.0, 1.0), seed=[1])


@pytest.mark.parametrize("change", [{"loc": [5.0, 5.0]}, {"scale_diag": [3.0, 3.0]}], ids=str)
def test_a_changed_copy_of_the_standard_normal_is_another_prior(change):
    q = DiagonalNormal(2)([[1.0, 2.0, 0.0, -1.0]])
    p = StandardNormal(2)().copy(**{name: tf.constant(value) for name, value in change.items()})
    got = tfvae.sample_and_kl(q, p, seed=SEED).kl
    np.testing.assert_allclose(got, q.kl_divergence(p), rtol=1e-6)  # float32: a handful of roundings


def test_a_copy_of_a_posterior_may_have_parameters_that_broadcast():
    q = DiagonalNormal(2)([0.5, -1.0, 0.0, 0.0]).copy(scale_diag=tf.constant([[1.0, 2.0], [0.5, 1.0], [2.0, 0.1]]))
    got = tfvae.sample_and_kl(q, StandardNormal(2)(), seed=SEED)
    assert got.z.shape == [3, 2]
    np.testing.assert_allclose(got.kl, q.kl_divergence(StandardNormal(2)()), rtol=1e-6)  # float32, as above
