"""Draws with their log density ratios, against closed forms and TFP, on both backends."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae import _native
from tfvae.distributions._tfp import tfd
from tfvae.ops import reparameterize_log_ratio

SEED = [11, 4]
SHAPES = [(1,), (17,), (0, 4), (7, 10), (3, 2, 17), (2, 513), (1, 3000), (600, 3)]
DTYPES = ["float16", "bfloat16", "float32", "float64"]
SAMPLES = [1, 3, 17]
PRIORS = ["standard", "full", "shared"]


def draw(rng, shape, dtype, prior):
    parameters = [tf.cast(rng.normal(size=shape), dtype), tf.cast(rng.uniform(-3, 1, size=shape), dtype)]
    if prior != "standard":
        prior_shape = shape[-1:] if prior == "shared" else shape
        parameters.append(tf.cast(rng.normal(size=prior_shape), dtype))
        parameters.append(tf.cast(rng.uniform(-1, 1, size=prior_shape), dtype))
    return parameters


def call(parameters, num_samples, **options):
    names = ("mean", "log_var", "prior_mean", "prior_log_var")
    return reparameterize_log_ratio(
        **dict(zip(names, parameters, strict=False)), seed=SEED, num_samples=num_samples, **options
    )


def wide_parameters(parameters):
    m, lv, *prior = (np.asarray(tensor).astype(np.longdouble) for tensor in parameters)
    pm, plv = prior or (np.zeros_like(m), np.zeros_like(m))
    return m, lv, pm, plv


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_against_the_closed_form(backend, dtype, shape, prior, rng, exact, tolerance):
    parameters = draw(rng, shape, dtype, prior)
    m, lv, pm, plv = wide_parameters(parameters)
    sigma = np.exp(lv / 2)
    for num_samples in SAMPLES:
        z, log_ratio = (np.asarray(output).astype(np.longdouble) for output in call(parameters, num_samples))
        eps = exact.noise([num_samples, *shape], SEED, parameters[0].dtype).astype(np.longdouble)
        want = m + sigma * eps
        assert z.shape == want.shape
        assert log_ratio.shape == want.shape[:-1]
        assert (abs(z - want) <= tolerance.stored(dtype, abs(m) + sigma * abs(eps), sigma)).all()
        quadratic = (want - pm) ** 2 * np.exp(-plv)
        terms = (quadratic - eps**2 + plv - lv) / 2
        # A normal's error moves both squares; every term rounds a few times; then comes the row's sum.
        noise = tolerance.noise[dtype] * (abs(eps) + abs(want - pm) * np.exp(-plv) * sigma).sum(-1)
        size = (quadratic + eps**2 + abs(plv) + abs(lv) + 1).sum(-1)
        bound = noise + (16 + 4 * np.log2(shape[-1] + 1)) * tolerance.rounding[dtype] * size
        assert (abs(log_ratio - terms.sum(-1)) <= bound).all()


@pytest.mark.parametrize("prior", PRIORS)
def test_log_ratio_against_tfp(backend, prior, rng):
    parameters = draw(rng, (5, 6), "float64", prior)
    z, log_ratio = call(parameters, 40)
    m, lv, *p = parameters
    q = tfd.MultivariateNormalDiag(m, tf.exp(lv / 2))
    pm, plv = p or (tf.zeros_like(m), tf.zeros_like(m))
    p = tfd.MultivariateNormalDiag(pm, tf.exp(plv / 2))
    # float64 rounding of sums of six squares of up to a few dozen.
    np.testing.assert_allclose(log_ratio, q.log_prob(z) - p.log_prob(z), rtol=1e-10, atol=1e-11)


def tfp_log_ratio(parameters, eps, stop_density_gradient):
    """The same written with TFP's densities, differentiated by TensorFlow: z by the same noise."""
    m, lv, *p = parameters
    z = m + tf.exp(lv / 2) * eps
    fixed = [tf.stop_gradient(m), tf.stop_gradient(lv)] if stop_density_gradient else [m, lv]
    q = tfd.MultivariateNormalDiag(fixed[0], tf.exp(fixed[1] / 2))
    pm, plv = p or (tf.zeros_like(m), tf.zeros_like(m))
    return z, q.log_prob(z) - tfd.MultivariateNormalDiag(pm, tf.exp(plv / 2)).log_prob(z)


@pytest.mark.parametrize("stop_density_gradient", [False, True])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("shape", [(4,), (5, 6), (1, 700), (300, 2)], ids=str)
def test_gradients_against_autodiff_of_tfp(backend, shape, prior, stop_density_gradient, rng, exact):
    parameters = draw(rng, shape, "float64", prior)
    num_samples = 18
    eps = exact.noise([num_samples, *shape], SEED, tf.float64)
    dz = rng.normal(size=[num_samples, *shape])
    dratio = rng.normal(size=[num_samples, *shape[:-1]])
    gradients = []
    for function in (lambda: call(parameters, num_samples, stop_density_gradient=stop_density_gradient),
                     lambda: tfp_log_ratio(parameters, eps, stop_density_gradient)):  # fmt: skip
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            outputs = function()
        gradients.append(tape.gradient(outputs, parameters, output_gradients=[dz, dratio]))
    for got, want in zip(*gradients, strict=True):
        # float64 rounding of sums of some thousand terms of up to a hundred.
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("prior", PRIORS)
def test_gradients_in_lower_precision(backend, prior, dtype, rng):
    """The float64 gradients at the same rounded parameters, within the precision of sums and of the last rounding."""
    shape, num_samples = (30, 5), 20
    parameters = draw(rng, shape, dtype, prior)
    dz = tf.cast(rng.normal(size=[num_samples, *shape]), dtype)
    dratio = tf.cast(rng.normal(size=[num_samples, shape[0]]), tf.float32)
    results = []
    for kind in (dtype, "float64"):
        cast = [tf.cast(tensor, kind) for tensor in parameters]
        # float64 draws other noise, so the float32 noise goes in by hand there.
        with tf.GradientTape() as tape:
            tape.watch(cast)
            if kind == "float64":
                eps = tf.random.stateless_normal([num_samples, *shape], SEED, alg="philox")
                outputs = tfp_log_ratio(cast, tf.cast(eps, tf.float64), False)
            else:
                outputs = call(cast, num_samples)
        upstream = [tf.cast(dz, kind), tf.cast(dratio, tf.float64 if kind == "float64" else tf.float32)]
        results.append(tape.gradient(outputs, cast, output_gradients=upstream))
    for got, want in zip(*results, strict=True):
        # Up to 600 terms of up to about 50 each, float32 arithmetic; then one rounding to the input's dtype.
        bound = 600 * 50 * 2.0**-24 + abs(want) * {"float32": 1e-6}.get(dtype, 2**-8)
        assert np.all(abs(tf.cast(got, tf.float64) - want) <= bound)


def test_sticking_the_landing_gradient_vanishes_at_the_exact_posterior(backend, rng):
    """With q = p every weight is one, and so is the path gradient of the log ratio zero (Roeder et al. 2017)."""
    mean, log_var = draw(rng, (6, 4), "float64", "standard")
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        _, log_ratio = reparameterize_log_ratio(
            mean, log_var, seed=SEED, num_samples=9, prior_mean=tf.stop_gradient(mean),
            prior_log_var=tf.stop_gradient(log_var), stop_density_gradient=True,
        )  # fmt: skip
    for gradient in tape.gradient(log_ratio, [mean, log_var]):
        np.testing.assert_allclose(gradient, tf.zeros_like(mean), atol=1e-13)  # float64 rounding of nine samples.


def test_mean_of_the_log_ratio_is_the_kl(backend):
    """E_q[log q - log p] = KL: z-test on 200000 draws, false-alarm rate 6e-5 (4 standard errors), seeded."""
    mean, log_var = tf.constant([[0.7, -0.2]]), tf.constant([[-1.0, 0.3]])
    _, log_ratio = reparameterize_log_ratio(mean, log_var, seed=SEED, num_samples=200_000)
    kl = 0.5 * float(np.sum(np.square(mean) + np.expm1(log_var) - log_var))
    draws = log_ratio.numpy()[:, 0].astype(np.float64)
    assert abs(draws.mean() - kl) < 4 * draws.std() / np.sqrt(len(draws))


def test_second_order_and_finite_differences(backend, rng):
    parameters = draw(rng, (2, 3), "float64", "full")

    def loss(*inputs):
        z, log_ratio = call(inputs, 4)
        return tf.reduce_sum(z * z) + tf.reduce_sum(tf.exp(-0.1 * log_ratio))

    def gradient_size(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(*inputs)
        return tf.add_n([tf.reduce_sum(tf.sin(g)) for g in tape.gradient(value, inputs)])

    for function in (loss, gradient_size):
        theory, numeric = tf.test.compute_gradient(function, parameters, delta=1e-6)
        for a, b in zip(theory, numeric, strict=True):
            # The error of a central difference, delta^2 times third derivatives, and rounding / delta.
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


if tfvae.build_info()["built"]:

    def test_a_mean_of_more_axes_than_a_sample_could_have_is_refused_before_the_graph_runs():
        """TensorFlow's own optimiser of graphs aborts the process where a shape has more axes than there may be."""

        @tf.function
        def draw(mean):
            return reparameterize_log_ratio(mean, mean, seed=SEED, num_samples=2)

        assert [tensor.shape.rank for tensor in draw(tf.zeros([1] * 253))] == [254, 253]
        with pytest.raises(ValueError, match="mean must have rank 253 or less, because z has one axis more, not 254"):
            draw(tf.zeros([1] * 254))
        of_any_rank = tf.function(draw.python_function, input_signature=[tf.TensorSpec(None)])
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"mean must have rank 253 or less, .* not 254"):
            of_any_rank(tf.zeros([1] * 254))


@pytest.mark.parametrize("stop_density_gradient", [False, True])
def test_extreme_variances_do_not_depend_on_what_is_differentiated(backend, stop_density_gradient):
    """With z = sigma eps near 0, 1/2 (-eps^2 - log_var); above 89, where z^2 overflows, inf."""
    log_var = tf.constant([[-176.0], [-200.0], [200.0]])
    _, log_ratio = call([tf.zeros([3, 1]), log_var], 2, stop_density_gradient=stop_density_gradient)
    eps = tf.random.stateless_normal([2, 3, 1], SEED, alg="philox").numpy()[..., 0]
    expected = np.where([False, False, True], np.inf, 0.5 * (-(eps**2) - log_var[:, 0]))
    np.testing.assert_allclose(log_ratio, expected, rtol=1e-6)  # float32


def test_bad_arguments_are_refused_by_name(backend):
    mean = tf.zeros([2, 3])
    for wrong in (0, -1, 1.5, True, None):
        with pytest.raises(ValueError, match="num_samples must be a positive integer"):
            reparameterize_log_ratio(mean, mean, seed=SEED, num_samples=wrong)
    with pytest.raises(ValueError, match=r"num_samples must be below 2\*\*63"):
        reparameterize_log_ratio(mean, mean, seed=SEED, num_samples=2**70)
    for wide, draws in ((mean, 2**59), (mean[:0], 2**61), (mean[:, :0], 2**62)):
        with pytest.raises(ValueError, match=r"num_samples is \d+, too many for a mean of shape .* below 2\*\*60"):
            reparameterize_log_ratio(wide, wide, seed=SEED, num_samples=draws)
    with pytest.raises(TypeError, match="stop_density_gradient must be True or False"):
        reparameterize_log_ratio(mean, mean, seed=SEED, num_samples=1, stop_density_gradient="yes")
    with pytest.raises(ValueError, match=r"seed must have shape \[2\], not \[3\]"):
        reparameterize_log_ratio(mean, mean, seed=[1, 2, 3], num_samples=1)
    with pytest.raises(ValueError, match="log_var must have the shape of mean"):
        reparameterize_log_ratio(mean, mean[:, :2], seed=SEED, num_samples=1)


@pytest.mark.skipif(
    not (_native.metadata() or {}).get("xla"), reason="asks the kernel inside XLA, which this build does not have"
)
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("rows", [1, 0])
def test_more_draws_than_memory_has_addresses(jit_compile, rows):
    """Known too late for Python; XLA would end the process."""

    @tf.function(input_signature=[tf.TensorSpec([None, None])], jit_compile=jit_compile, autograph=False)
    def many(mean):
        return reparameterize_log_ratio(mean, mean, seed=SEED, num_samples=2**59)

    error = pytest.raises(tf.errors.InvalidArgumentError, match="z would be too large")
    with tfvae.use_backend("native"), error:
        many(tf.ones([rows, 4]))


def test_unknown_shapes_in_a_function(backend, rng):
    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec(None)], autograph=False)
    def late(mean, log_var):
        return reparameterize_log_ratio(mean, log_var, seed=SEED, num_samples=2)

    mean, log_var = draw(rng, (4, 3), "float32", "standard")
    for got, want in zip(late(mean, log_var), call([mean, log_var], 2), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="log_var must have the shape of mean"):
        late(mean, log_var[:, :2])
