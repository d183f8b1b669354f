"""Gradients of both backends: closed forms, TensorFlow's autodiff of the textbook formula, finite differences."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.ops import reparameterize_kl

SEED = [3, -5]
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def draw(rng, shape, dtype):
    """mean, log_var and the upstream gradients of z and of every dimension's KL."""
    mean, dz = (tf.cast(rng.normal(size=shape), dtype) for _ in range(2))
    log_var = tf.cast(rng.uniform(-4, 2, size=shape), dtype)
    dkl = tf.cast(rng.normal(size=shape), tf.float64 if dtype == "float64" else tf.float32)
    return mean, log_var, dz, dkl


def gradients(mean, log_var, dz, dkl, per_dimension):
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        outputs = reparameterize_kl(mean, log_var, seed=SEED, per_dimension=per_dimension)
    return tape.gradient(outputs, [mean, log_var], output_gradients=[dz, dkl])


@pytest.mark.parametrize(
    "shape", [(1,), (3,), (17,), (0, 4), (7, 10), (5, 256), (2, 2049), (1, 5000), (3, 2, 17), (2, 1, 3, 4)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_the_closed_form(backend, dtype, shape, rng, exact, tolerance):
    mean, log_var, dz, dkl = draw(rng, shape, dtype)
    eps = exact.noise(shape, SEED, mean.dtype)
    for per_dimension in (True, False):
        upstream = dkl if per_dimension else dkl[..., 0]
        each = dkl.numpy() if per_dimension else np.broadcast_to(upstream.numpy()[..., None], shape)
        expected = exact.backward(mean, log_var, eps, dz, each)
        got = gradients(mean, log_var, dz, upstream, per_dimension)
        m, lv, up = (x.numpy().astype(np.float64) for x in (mean, log_var, dz))
        sigma = np.exp(lv / 2)
        # (size of the terms, factor of the noise) of each gradient.
        scales = [
            (np.abs(up) + np.abs(each * m), 0 * sigma),
            ((np.abs(up) * sigma * np.abs(eps) + np.abs(each) * np.maximum(1, sigma**2)) / 2, np.abs(up) * sigma / 2),
        ]
        for gradient, want, (magnitude, noise_scale) in zip(got, expected, scales, strict=True):
            assert gradient.dtype == mean.dtype
            error = np.abs(gradient.numpy().astype(np.longdouble) - want)
            assert (error <= tolerance.stored(dtype, magnitude, noise_scale)).all()


@pytest.mark.parametrize("per_dimension", [False, True])
def test_against_autodiff_of_the_textbook_formula(backend, per_dimension, rng, exact):
    """1/2 (m^2 + e^l - 1 - l) and m + e^(l/2) eps in float64, by TensorFlow, under a loss that mixes both."""
    mean, log_var, *_ = draw(rng, (6, 11), "float64")
    eps = exact.noise([6, 11], SEED, tf.float64)

    def loss(z, kl):
        return tf.reduce_sum(tf.sin(z)) + tf.reduce_sum(kl**2)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch([mean, log_var])
        value = loss(*reparameterize_kl(mean, log_var, seed=SEED, per_dimension=per_dimension))
        kl = (mean**2 + tf.exp(log_var) - 1 - log_var) / 2
        expected = loss(mean + tf.exp(log_var / 2) * eps, kl if per_dimension else tf.reduce_sum(kl, -1))
    for source in (mean, log_var):
        got, want = tape.gradient(value, source), tape.gradient(expected, source)
        # Sums of ten terms of order one, each within the 1e-14 of the noise.
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("per_dimension", [False, True])
def test_native_against_the_reference_backend(backend, per_dimension, rng):
    """The same float64 numbers from TensorFlow's autodiff of the reference, whatever the backend under test."""
    arguments = draw(rng, (4, 9), "float64")
    upstream = arguments[3] if per_dimension else arguments[3][..., 0]
    got = gradients(*arguments[:3], upstream, per_dimension)
    with tfvae.use_backend("reference"):
        expected = gradients(*arguments[:3], upstream, per_dimension)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("used", ["z", "kl"])
def test_only_one_output_used(backend, used, rng, exact):
    mean, log_var, *_ = draw(rng, (3, 4), "float64")
    eps = exact.noise([3, 4], SEED, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        z, kl = reparameterize_kl(mean, log_var, seed=SEED)
        loss = tf.reduce_sum(z if used == "z" else kl)
    got = tape.gradient(loss, [mean, log_var])
    ones = np.ones([3, 4])
    expected = exact.backward(mean, log_var, eps, ones * (used == "z"), ones * (used == "kl"))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b.astype(np.float64), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("dtype", "delta", "bound"), [("float32", 1 / 1024, 1e-3), ("float64", 1e-5, 1e-7)])
@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize("per_dimension", [False, True])
def test_finite_differences_req_13(backend, dtype, delta, bound, output, per_dimension, rng):
    mean = tf.constant(rng.uniform(-0.5, 0.5, size=(2, 3)), dtype)
    log_var = tf.constant(rng.uniform(-0.5, 0.5, size=(2, 3)), dtype)

    @tf.function
    def function(mean, log_var):
        return reparameterize_kl(mean, log_var, seed=SEED, per_dimension=per_dimension)[output]

    theoretical, numeric = tf.test.compute_gradient(function, [mean, log_var], delta=delta)
    for a, b in zip(theoretical, numeric, strict=True):
        assert np.abs(a - b).max() <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_gradient_at_the_prior_is_exactly_zero_req_13(backend, dtype):
    zero = tf.zeros([4, 5], dtype)
    log_var = tf.zeros([4, 5], dtype)
    with tf.GradientTape() as tape:
        tape.watch([zero, log_var])
        _, kl = reparameterize_kl(zero, log_var, seed=SEED)
    for gradient in tape.gradient(kl, [zero, log_var]):
        assert not gradient.numpy().any()


def test_extremes_req_12(backend):
    """The gradient of the KL by log_var is expm1(log_var)/2: inf where that overflows."""
    log_var = tf.constant([88.0, 89.0, -200.0, np.inf, -np.inf, np.nan])
    mean = tf.zeros_like(log_var)
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        z, kl = reparameterize_kl(mean, log_var, seed=SEED, per_dimension=True)
    dmean, dlog_var = tape.gradient([z, kl], [mean, log_var], output_gradients=[tf.fill([6], 1e-30), tf.ones([6])])
    # z adds sigma eps 1e-30 / 2, nothing beside e^88; at inf it adds inf of the sign of eps.
    np.testing.assert_allclose(dlog_var[:3], [np.expm1(88.0) / 2, np.inf, -0.5], rtol=2e-6)
    assert not np.isfinite(dlog_var[3])
    assert dlog_var[4] == -0.5
    assert np.isnan(dlog_var[5])
    np.testing.assert_allclose(dmean, np.full(6, 1e-30), rtol=1e-6)


def _second_derivatives(mean, log_var, eps):
    """Of sum(z^2) + sum(kl), by hand: the diagonals of its four blocks (elements do not mix)."""
    sigma = np.exp(log_var / 2)
    z = mean + sigma * eps
    by_log_var = (sigma * eps) ** 2 / 2 + z * sigma * eps / 2 + sigma**2 / 2
    return {"mm": np.full_like(mean, 3.0), "ml": sigma * eps, "ll": by_log_var}


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("per_dimension", [False, True])
def test_second_order_req_13(backend, dtype, rtol, per_dimension, rng, exact):
    mean, log_var, *_ = draw(rng, (4, 5), dtype)
    expected = _second_derivatives(mean.numpy(), log_var.numpy(), exact.noise([4, 5], SEED, mean.dtype))
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([mean, log_var])
        with tf.GradientTape() as inner:
            inner.watch([mean, log_var])
            z, kl = reparameterize_kl(mean, log_var, seed=SEED, per_dimension=per_dimension)
            loss = tf.reduce_sum(z**2) + tf.reduce_sum(kl)
        by_mean, by_log_var = inner.gradient(loss, [mean, log_var])
    # Terms of either sign: float32 loses a few digits where they cancel, hence the absolute part.
    atol = rtol * 10
    np.testing.assert_allclose(outer.gradient(by_mean, mean), expected["mm"], rtol=rtol, atol=atol)
    np.testing.assert_allclose(outer.gradient(by_mean, log_var), expected["ml"], rtol=rtol, atol=atol)
    np.testing.assert_allclose(outer.gradient(by_log_var, mean), expected["ml"], rtol=rtol, atol=atol)
    np.testing.assert_allclose(outer.gradient(by_log_var, log_var), expected["ll"], rtol=rtol, atol=atol)


@pytest.mark.parametrize("per_dimension", [False, True])
def test_second_order_by_the_upstream_gradients_req_13(backend, per_dimension, rng):
    """Finite differences of the whole gradient, as a function of the inputs and of both upstream gradients."""
    mean, log_var, dz, dkl = draw(rng, (2, 3), "float64")
    dkl = dkl if per_dimension else dkl[..., 0]

    @tf.function
    def function(*arguments):
        by_mean, by_log_var = gradients(*arguments, per_dimension)
        return by_mean * 0.7 + tf.sin(by_log_var)

    theoretical, numeric = tf.test.compute_gradient(function, [mean, log_var, dz, dkl], delta=1e-5)
    for a, b in zip(theoretical, numeric, strict=True):
        assert np.abs(a - b).max() <= 1e-7


def test_third_order(backend):
    """Every derivative of the KL by log_var from the second on is e^l / 2."""
    log_var = tf.constant([[-1.0, 0.0, 0.3, 2.0]], tf.float64)
    with tf.GradientTape() as third, tf.GradientTape() as second, tf.GradientTape() as first:
        for tape in (first, second, third):
            tape.watch(log_var)
        _, kl = reparameterize_kl(tf.zeros_like(log_var), log_var, seed=SEED)
        by_first = first.gradient(kl, log_var)
        by_second = second.gradient(by_first, log_var)
    by_third = third.gradient(by_second, log_var)
    np.testing.assert_allclose(by_second, np.exp(log_var) / 2, rtol=1e-12)
    np.testing.assert_allclose(by_third, np.exp(log_var) / 2, rtol=1e-12)


def test_jacobian_req_13(backend, rng, exact):
    mean, log_var, *_ = draw(rng, (2, 3), "float64")
    eps = exact.noise([2, 3], SEED, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([mean, log_var])
        z, kl = reparameterize_kl(mean, log_var, seed=SEED)
    identity = np.eye(6).reshape(2, 3, 2, 3)
    np.testing.assert_array_equal(tape.jacobian(z, mean), identity)
    by_log_var = identity * (np.exp(log_var / 2) * eps / 2)
    np.testing.assert_allclose(tape.jacobian(z, log_var), by_log_var, rtol=1e-12, atol=1e-13)
    rows = np.eye(2)[:, :, None]
    np.testing.assert_allclose(tape.jacobian(kl, mean), rows * mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(tape.jacobian(kl, log_var), rows * np.expm1(log_var) / 2, rtol=1e-12)


def test_forward_mode(backend, rng, exact):
    mean, log_var, *_ = draw(rng, (2, 3), "float64")
    eps = exact.noise([2, 3], SEED, tf.float64)
    tangent = rng.normal(size=(2, 2, 3))
    with tf.autodiff.ForwardAccumulator([mean, log_var], list(tf.constant(tangent))) as accumulator:
        z, kl = reparameterize_kl(mean, log_var, seed=SEED)
    m, lv = mean.numpy(), log_var.numpy()
    np.testing.assert_allclose(accumulator.jvp(z), tangent[0] + np.exp(lv / 2) * eps / 2 * tangent[1], rtol=1e-11)
    expected = (m * tangent[0] + np.expm1(lv) / 2 * tangent[1]).sum(-1)
    np.testing.assert_allclose(accumulator.jvp(kl), expected, rtol=1e-11)


def test_recompute_grad_req_13(backend, rng):
    """The pass that TensorFlow runs again for the gradient draws the same noise."""
    mean, log_var, *_ = draw(rng, (3, 7), "float64")

    def loss(mean, log_var):
        z, kl = reparameterize_kl(mean, log_var, seed=SEED)
        return tf.reduce_sum(z**3) + tf.reduce_sum(kl)

    results = []
    for function in (loss, tf.recompute_grad(loss)):
        with tf.GradientTape() as tape:
            tape.watch([mean, log_var])
            value = function(mean, log_var)
        results.append([value, *tape.gradient(value, [mean, log_var])])
    for plain, recomputed in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, recomputed)


def test_vectorized_map_req_13(backend, rng, exact):
    """Each slice is a call of its own, so each draws the noise of its own shape."""
    mean, log_var, *_ = draw(rng, (5, 2, 3), "float64")
    z, kl = tf.vectorized_map(lambda slices: reparameterize_kl(*slices, seed=SEED), (mean, log_var))
    expected_z, expected_kl = exact.forward(mean, log_var, exact.noise([2, 3], SEED, tf.float64))
    np.testing.assert_allclose(z, expected_z.astype(np.float64), rtol=1e-11)
    np.testing.assert_allclose(kl, expected_kl.sum(-1).astype(np.float64), rtol=1e-13)


def twice(function, v):
    """The second derivative of a function of each element by itself."""
    with tf.GradientTape() as outer:
        outer.watch(v)
        with tf.GradientTape() as inner:
            inner.watch(v)
            value = function(v)
        first = inner.gradient(value, v)
    return outer.gradient(first, v)


@pytest.mark.parametrize("traced", [False, True])
def test_second_order_where_one_tensor_is_several_arguments(backend, rng, traced, exact):
    m, v, p = (tf.constant(rng.normal(size=(2, 3))) for _ in range(3))
    eps = exact.noise([2, 3], SEED, tf.float64)
    second = tf.function(twice, autograph=False) if traced else twice

    got = second(lambda v: reparameterize_kl(m, v, seed=SEED, prior_mean=p, prior_log_var=v)[1], v)
    np.testing.assert_allclose(got, (m - p) ** 2 * np.exp(-v) / 2, rtol=1e-11)
    got = second(lambda v: reparameterize_kl(v, v, seed=SEED)[0], v)
    np.testing.assert_allclose(got, np.exp(v / 2) * eps / 4, rtol=1e-11)
    got = second(lambda v: reparameterize_kl(v, v, seed=SEED)[1], v)
    np.testing.assert_allclose(got, (2 + np.exp(v)) / 2, rtol=1e-11)

    def log_ratio(v):
        return tfvae.ops.reparameterize_log_ratio(m, v, seed=SEED, num_samples=1, prior_mean=p, prior_log_var=v)[1]

    # With d = m - p it is d^2 exp(-v) / 2 + d eps exp(-v / 2).
    eps = exact.noise([1, 2, 3], SEED, tf.float64)[0]
    expected = (m - p) ** 2 * np.exp(-v) / 2 + (m - p) * eps * np.exp(-v / 2) / 4
    np.testing.assert_allclose(second(log_ratio, v), expected, rtol=1e-10, atol=1e-12)


def test_second_order_where_an_argument_is_the_upstream_gradient_too(backend, rng, exact):
    m, v = (tf.constant(rng.normal(size=(2, 3))) for _ in range(2))
    eps = exact.noise([2, 3], SEED, tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(v)
        with tf.GradientTape() as inner:
            inner.watch(v)
            z, _ = reparameterize_kl(m, v, seed=SEED)
        first = inner.gradient(z, v, output_gradients=v)
    np.testing.assert_allclose(outer.gradient(first, v), np.exp(v / 2) * eps / 2 * (1 + v / 2), rtol=1e-11)


def test_in_a_branch_within_a_loop(backend):
    """By a tensor from outside of both: 1.5 sum(mean^2 + exp(log_var) - 1 - log_var) in all."""

    @tf.function(autograph=False)
    def gradients(mean, log_var):
        def step(i, total):
            loss = tf.cond(i > 0, lambda: tf.reduce_sum(reparameterize_kl(mean, log_var, seed=SEED)[1]), lambda: 0.0)
            return i + 1, total + loss

        with tf.GradientTape() as tape:
            tape.watch([mean, log_var])
            _, total = tf.while_loop(lambda i, total: i < 4, step, (0, 0.0))
        return tape.gradient(total, [mean, log_var])

    by_mean, by_log_var = gradients(tf.fill([5, 4], 0.5), tf.fill([5, 4], 0.25))
    np.testing.assert_allclose(by_mean, np.full([5, 4], 1.5), rtol=1e-6)  # float32, three terms
    np.testing.assert_allclose(by_log_var, np.full([5, 4], 1.5 * np.expm1(0.25)), rtol=1e-6)
