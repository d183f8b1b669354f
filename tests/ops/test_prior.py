"""reparameterize_kl to a prior of one's own: a full one, of the shape of mean, or one for all rows."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfvae
from tfvae.ops import reparameterize_kl

SEED = [4, 2]
DTYPES = ["float16", "bfloat16", "float32", "float64"]
# Rows that share a unit of 2048 elements, that fill several, and none; the rank of mean.
SHAPES = [(7,), (0, 4), (6, 10), (300, 33), (3, 2049), (2, 3, 5)]


def draw(rng, shape, dtype, shared):
    prior_shape = shape[-1:] if shared else shape
    mean, prior_mean = (tf.cast(rng.normal(size=size), dtype) for size in (shape, prior_shape))
    log_var, prior_log_var = (tf.cast(rng.uniform(-3, 2, size=size), dtype) for size in (shape, prior_shape))
    return mean, log_var, prior_mean, prior_log_var


def wide(*tensors):
    return [np.asarray(tensor).astype(np.longdouble) for tensor in tensors]


def textbook(mean, log_var, prior_mean, prior_log_var):
    """(s2 - s1) - 1/2 + (s1^2 + (m1 - m2)^2) / (2 s2^2), as ORACLES.md has it, of any array library."""
    ratio = log_var - prior_log_var
    return (-ratio - 1 + np.e**ratio + (mean - prior_mean) ** 2 * np.e ** (-prior_log_var)) / 2


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(backend, dtype, shared, rng, exact, tolerance):
    for shape in SHAPES:
        tensors = draw(rng, shape, dtype, shared)
        mean, log_var, prior_mean, prior_log_var = wide(*tensors)
        difference = log_var - prior_log_var
        expected = ((mean - prior_mean) ** 2 * np.exp(-prior_log_var) + np.expm1(difference) - difference) / 2
        # The rounding of log_var - prior_log_var, 3 roundings at most, moves expm1(l) - l by its slope.
        slope = np.abs(np.expm1(difference)) * (np.abs(log_var) + np.abs(prior_log_var)) / 2
        bound = tolerance.rounding[dtype] * (40 * expected + 3 * slope)
        options = {"seed": SEED, "prior_mean": tensors[2], "prior_log_var": tensors[3]}
        z, each = reparameterize_kl(*tensors[:2], **options, per_dimension=True)
        _, summed = reparameterize_kl(*tensors[:2], **options)
        assert (np.abs(wide(each)[0] - expected) <= bound).all()
        assert (np.abs(wide(summed)[0] - expected.sum(-1)) <= bound.sum(-1) * 2).all()
        # The draw is q's alone, but for the roundings of mean + sigma eps, which two compiled loops may fuse or not.
        alone = wide(reparameterize_kl(*tensors[:2], seed=SEED)[0])[0]
        atol = tolerance.stored(dtype, np.abs(alone).max(initial=0), 0, roundings=4)
        np.testing.assert_allclose(wide(z)[0], alone, rtol=0, atol=float(atol))
        assert each.dtype == summed.dtype == (tf.float64 if dtype == "float64" else tf.float32)


@pytest.mark.parametrize("shared", [False, True])
def test_against_tensorflow_probability(backend, shared, rng):
    mean, log_var, prior_mean, prior_log_var = draw(rng, (50, 4), "float64", shared)
    _, kl = reparameterize_kl(
        mean, log_var, seed=SEED, prior_mean=prior_mean, prior_log_var=prior_log_var, per_dimension=True
    )
    normal = tfp.distributions.Normal
    expected = tfp.distributions.kl_divergence(
        normal(mean, tf.exp(log_var / 2)), normal(prior_mean, tf.exp(prior_log_var / 2))
    )
    np.testing.assert_allclose(kl, expected, rtol=1e-12, atol=1e-14)  # TFP's own rounding, by exp and log and back.


def test_the_standard_normal_as_a_prior_is_no_prior(backend, rng):
    mean, log_var, *_ = draw(rng, (5, 6), "float64", True)
    _, expected = reparameterize_kl(mean, log_var, seed=SEED)
    _, got = reparameterize_kl(mean, log_var, seed=SEED, prior_mean=np.zeros(6), prior_log_var=np.zeros(6))
    np.testing.assert_allclose(got, expected, rtol=1e-15)


def test_kl_of_the_prior_to_itself_is_exactly_0(backend, rng):
    for dtype in DTYPES:
        mean, log_var, *_ = draw(rng, (5, 6), dtype, False)
        _, kl = reparameterize_kl(mean, log_var, seed=SEED, prior_mean=mean, prior_log_var=log_var, per_dimension=True)
        assert not kl.numpy().any()


@pytest.mark.parametrize("per_dimension", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-12)])
def test_gradients(backend, dtype, rtol, shared, per_dimension, rng, exact):
    """TensorFlow's autodiff of the textbook formula in float64, with float32's noise where that is drawn."""
    for shape in SHAPES:
        tensors = draw(rng, shape, dtype, shared)
        eps = exact.noise(shape, SEED, tf.as_dtype(dtype)).astype(np.float64)
        dz = rng.normal(size=shape)
        dkl = rng.normal(size=shape if per_dimension else shape[:-1])
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = reparameterize_kl(
                *tensors[:2], seed=SEED, prior_mean=tensors[2], prior_log_var=tensors[3], per_dimension=per_dimension
            )
        got = tape.gradient(outputs, tensors, output_gradients=[tf.cast(dz, dtype), tf.cast(dkl, dtype)])
        exact_inputs = [tf.cast(tensor, tf.float64) for tensor in tensors]
        with tf.GradientTape() as tape:
            tape.watch(exact_inputs)
            z = exact_inputs[0] + tf.exp(exact_inputs[1] / 2) * eps
            kl = textbook(*exact_inputs)
            kl = kl if per_dimension else tf.reduce_sum(kl, axis=-1)
        expected = tape.gradient([z, kl], exact_inputs, output_gradients=[tf.constant(dz), tf.constant(dkl)])
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == dtype
            # Sums over as many as 300 rows of terms of order 10, of either sign.
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 100)


def test_half_precision_gradients_are_those_of_float32_rounded_once(backend, rng):
    """Also of a prior for all rows, whose 500 terms float16 or bfloat16 could not sum."""
    for dtype in ("float16", "bfloat16"):
        tensors = draw(rng, (500, 9), dtype, True)
        results = []
        for inputs in (tensors, [tf.cast(tensor, tf.float32) for tensor in tensors]):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                _, kl = reparameterize_kl(*inputs[:2], seed=SEED, prior_mean=inputs[2], prior_log_var=inputs[3])
            results.append(tape.gradient(kl, inputs))
        for half, single in zip(*results, strict=True):
            unit = 2.0**-11 if dtype == "float16" else 2.0**-8
            # One rounding; the reference sums over rows in its own order, hence the absolute part.
            np.testing.assert_allclose(half.numpy().astype(np.float32), single, rtol=1.01 * unit, atol=1e-3)


@pytest.mark.parametrize(("shared", "per_dimension"), [(True, False), (False, True)])
def test_second_order_by_finite_differences_req_13(backend, shared, per_dimension, rng):
    tensors = draw(rng, (2, 3), "float64", shared)

    @tf.function
    def function(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            z, kl = reparameterize_kl(
                *tensors[:2], seed=SEED, prior_mean=tensors[2], prior_log_var=tensors[3], per_dimension=per_dimension
            )
            loss = tf.reduce_sum(tf.sin(z)) + tf.reduce_sum(kl**2)
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in tape.gradient(loss, tensors)], axis=0)

    theoretical, numeric = tf.test.compute_gradient(function, list(tensors), delta=1e-5)
    for a, b in zip(theoretical, numeric, strict=True):
        # Of a loss of fourth powers: second derivatives of order 100 and third ones that the difference sees.
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


M = tf.zeros([2, 3])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prior_mean": M}, ValueError, r"must be given together, or neither; prior_log_var is None"),
        ({"prior_log_var": M}, ValueError, r"must be given together, or neither; prior_mean is None"),
        ({"prior_mean": M, "prior_log_var": M[0]}, ValueError, r"prior_log_var must have the shape of prior_mean"),
        ({"prior_mean": M[:1], "prior_log_var": M[:1]}, ValueError, r"prior_mean must .*\[2, 3\], .*not \[1, 3\]"),
        ({"prior_mean": M[:, 0], "prior_log_var": M[:, 0]}, ValueError, r"prior_mean must .*\[2, 3\], .*not \[2\]"),
        ({"prior_mean": 0.0, "prior_log_var": 0.0}, ValueError, r"prior_mean must .*\[2, 3\], .*not \[\]"),
        (
            {"prior_mean": tf.cast(M, tf.float64), "prior_log_var": M},
            TypeError,
            "prior_mean must have the dtype of mean",
        ),
        ({"prior_mean": M, "prior_log_var": tf.cast(M, tf.float16)}, TypeError, "prior_log_var must have the dtype"),
    ],
)
def test_bad_priors(backend, options, error, message):
    with pytest.raises(error, match=message):
        reparameterize_kl(M, M, seed=SEED, **options)


@pytest.mark.parametrize(
    ("first", "second"), [((1, 3), (1, 3)), ((2,), (2,)), ((), ()), ((2, 3), (3,)), ((3,), (4,)), ((1,), (1,))]
)
def test_bad_priors_at_run_time(backend, first, second):
    @tf.function(input_signature=[tf.TensorSpec(None)] * 3)
    def function(mean, prior_mean, prior_log_var):
        return reparameterize_kl(mean, mean, seed=SEED, prior_mean=prior_mean, prior_log_var=prior_log_var)

    for good in ([2, 3], [3]):
        assert function(M, tf.zeros(good), tf.zeros(good))[1].shape == [2]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"prior_(mean|log_var) must have the shape of"):
        function(M, tf.zeros(first), tf.zeros(second))


if tfvae.build_info()["built"] is not None:

    @pytest.mark.parametrize("shared", [False, True])
    @pytest.mark.parametrize("shape", [(1024, 17), (7, 2049), (3, 5000), (1, 100_003), (4097, 1)])
    def test_any_number_of_threads_req_9(kernels, isa, shape, shared, rng):
        """A prior for all rows sums its gradient over them, in an order that the threads must not change."""
        mean, log_var, prior_mean, prior_log_var = (t.numpy() for t in draw(rng, shape, "float32", shared))
        options = {"seed": (1, 2), "prior_mean": prior_mean, "prior_log_var": prior_log_var, "isa": isa}
        upstream = {"dz": mean, "dkl": rng.normal(size=shape[:-1]).astype(np.float32)}
        results = []
        for threads in (1, 2, 8):
            forward = kernels.reparameterize_kl(mean, log_var, threads=threads, **options)
            backward = kernels.reparameterize_kl_grad(mean, log_var, threads=threads, **options, **upstream)
            results.append([array.tobytes() for array in (*forward, *backward)])
        assert results[0] == results[1] == results[2]
