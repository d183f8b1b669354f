"""The forward op: values, shapes and dtypes on both backends, against formulas evaluated in NumPy."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfvae
from tfvae.ops import reparameterize_kl

DTYPES = ["float16", "bfloat16", "float32", "float64"]
SEED = [20, 24]


@functools.cache
def compiled(backend, dtype, per_dimension):
    """The op in a function that knows neither shape nor rank, traced once on this backend."""

    @tf.function(
        input_signature=[tf.TensorSpec(None, dtype), tf.TensorSpec(None, dtype), tf.TensorSpec(None, tf.int64)]
    )
    def function(mean, log_var, seed):
        return reparameterize_kl(mean, log_var, seed=seed, per_dimension=per_dimension)

    with tfvae.use_backend(backend):
        function.get_concrete_function()
    return function


def both_modes(backend, mean, log_var, per_dimension=False):
    seed = tf.constant(SEED, tf.int64)
    yield reparameterize_kl(mean, log_var, seed=seed, per_dimension=per_dimension)
    yield compiled(backend, mean.dtype.name, per_dimension)(mean, log_var, seed)


def shapes_for(size):
    """Ranks 1 to 4; 0, 1, 7 and (fewer where a row is long, to save time) 1024 rows."""
    many = 1024 if size <= 1000 else 3
    return [(size,), (0, size), (1, size), (7, size), (many, size), (3, 2, size), (2, 1, 3, size)]


# The kernel cuts work into units of 2048 elements: rows that fill a unit, exceed it by one, and need several.
@pytest.mark.parametrize("size", [1, 2, 3, 10, 17, 256, 1000, 2048, 2049, 5000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(backend, dtype, size, rng, exact, tolerance):
    for shape in shapes_for(size):
        mean = tf.cast(rng.normal(size=shape), dtype)
        log_var = tf.cast(rng.uniform(-6, 3, size=shape), dtype)
        eps = exact.noise(shape, SEED, mean.dtype)
        z, kl = exact.forward(mean, log_var, eps)
        sigma = np.exp(log_var.numpy().astype(np.float64) / 2)
        magnitude = np.abs(mean.numpy().astype(np.float64)) + sigma * np.abs(eps)
        for per_dimension in (False, True):
            expected_kl = kl if per_dimension else kl.sum(axis=-1)
            for got_z, got_kl in both_modes(backend, mean, log_var, per_dimension):
                assert got_z.dtype == mean.dtype
                assert got_kl.dtype == (tf.float64 if dtype == "float64" else tf.float32)
                assert got_z.shape == shape
                assert got_kl.shape == expected_kl.shape
                assert (
                    np.abs(got_z.numpy().astype(np.longdouble) - z) <= tolerance.stored(dtype, magnitude, sigma)
                ).all()
                # expm1(x) - x loses up to 20 roundings where it leaves its series (test_elementary.py); a sum of
                # positive terms adds a few more.
                np.testing.assert_allclose(
                    got_kl.numpy().astype(np.longdouble), expected_kl, rtol=32 * tolerance.rounding[dtype], atol=0
                )


def test_sum_is_the_sum_over_the_last_axis_only(backend, rng):
    mean, log_var = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3, 4, 5))
    _, summed = reparameterize_kl(mean, log_var, seed=SEED)
    _, each = reparameterize_kl(mean, log_var, seed=SEED, per_dimension=True)
    assert each.shape == (2, 3, 4, 5)
    # Twenty roundings of float64 in a sum of five positive terms.
    np.testing.assert_allclose(summed, each.numpy().sum(axis=-1), rtol=20 * 2.0**-53)


def test_against_tensorflow_probability(backend, rng):
    """TFP's own KL of two normals, and the numbers of ORACLES.md: KL(N(1,1)) and KL(N(0,e)) to the standard normal."""
    mean, log_var = rng.normal(size=(50, 4)), rng.uniform(-4, 4, size=(50, 4))
    _, kl = reparameterize_kl(mean, log_var, seed=SEED, per_dimension=True)
    tfd = tfp.distributions
    expected = tfd.kl_divergence(tfd.Normal(mean, np.exp(log_var / 2)), tfd.Normal(np.float64(0), 1))
    np.testing.assert_allclose(kl, expected, rtol=1e-13)  # TFP's own rounding, by exp and log and back.
    _, kl = reparameterize_kl(tf.constant([1.0, 0.0]), tf.constant([0.0, 1.0]), seed=SEED, per_dimension=True)
    np.testing.assert_allclose(kl, [0.5, 0.3591409142], rtol=3e-7)  # Five float32 roundings.


def test_half_precision_z_is_rounded_once(backend, rng):
    """Requirement 14: z is the float32 result rounded by NumPy, denormals and overflow to infinity among them."""
    mean = np.concatenate([rng.normal(size=1000), rng.normal(size=1000) * 1e-6, rng.normal(size=1000) * 6e4])
    for dtype in ("float16", "bfloat16"):
        mean_half = tf.cast(mean, dtype)
        log_var = tf.cast(rng.uniform(-30, 2, size=3000), dtype)
        z, kl = reparameterize_kl(mean_half, log_var, seed=SEED)
        wide = [tf.cast(tensor, tf.float32) for tensor in (mean_half, log_var)]
        wide_z, wide_kl = reparameterize_kl(*wide, seed=SEED)
        with np.errstate(over="ignore"):
            assert np.array_equal(z.numpy(), wide_z.numpy().astype(z.numpy().dtype))
        # A GPU's kernels may contract other products for another type, and with AVX-512 those of bfloat16 add their
        # terms in another order.
        same = dtype == "float16" and "GPU" not in kl.device
        np.testing.assert_allclose(kl, wide_kl, rtol=0 if same else 2.0**-22)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_half_precision_number_passes_unchanged(backend, dtype):
    """With sigma = 0, z is the mean: all 65536 bit patterns survive widening and rounding, whatever stands beside."""
    patterns = np.arange(2**16) * 257 % 2**16  # Denormal numbers beside normal ones.
    mean = tf.bitcast(tf.constant(patterns.astype(np.uint16)), dtype)
    z, _ = reparameterize_kl(mean, tf.fill(mean.shape, tf.constant(-np.inf, dtype)), seed=SEED, per_dimension=True)
    expected = mean.numpy().astype(np.float32)
    if backend == "reference":  # TensorFlow's ops flush float32 denormals, which those of bfloat16 are.
        expected = np.where(np.abs(expected) < 2.0**-126, 0, expected)
    np.testing.assert_array_equal(z.numpy().astype(np.float32), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_sums_are_float32_req_14(backend, dtype):
    """4096 terms of 4.5 are exact in float32 and far from it in either half precision."""
    mean = tf.fill([4, 4096], tf.constant(3, dtype))
    _, kl = reparameterize_kl(mean, tf.zeros_like(mean), seed=SEED)
    assert kl.numpy().tolist() == [18432.0] * 4


def _kl_by_series(log_var):
    """KL(N(0, exp(l)) || N(0, 1)) = (l^2/2 + l^3/6 + ...) / 2, which does not cancel for small l."""
    term, total = log_var**2 / 2, np.zeros_like(log_var)
    for n in range(3, 20):
        total, term = total + term, term * log_var / n
    return total / 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kl_near_the_prior_req_11(backend, dtype):
    powers = 10.0 ** -np.arange(1, 7)
    log_var = np.concatenate([powers, -powers]).astype(dtype)
    _, kl = reparameterize_kl(np.zeros_like(log_var), log_var, seed=SEED, per_dimension=True)
    # The requirement asks for 1e-6; in float64 as many roundings are allowed.
    rtol = 1e-6 if dtype == "float32" else 1e-6 * 2.0**-29
    np.testing.assert_allclose(kl.numpy().astype(np.float64), _kl_by_series(log_var.astype(np.float64)), rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_is_zero_at_the_prior_and_never_negative_req_11(backend, dtype, rng):
    zero = tf.zeros([3, 5], dtype)
    _, kl = reparameterize_kl(zero, zero, seed=SEED, per_dimension=True)
    assert not kl.numpy().any()
    # From far away to within a rounding of the prior.
    scale = 10.0 ** rng.uniform(-20, 1, size=100_000)
    log_var = tf.cast(rng.normal(size=100_000) * scale, dtype)
    _, kl = reparameterize_kl(tf.zeros_like(log_var), log_var, seed=SEED, per_dimension=True)
    assert (kl.numpy() >= 0).all()


# mean, log_var, and what IEEE arithmetic of the float32 formula gives: inf where exp overflows, NaN for inf - inf.
EXTREMES = [
    (0.0, 88.0, "finite", "finite"),
    (0.0, 89.0, "finite", "inf"),
    (0.0, 200.0, "inf", "inf"),
    (1.0, -200.0, "finite", "finite"),
    (1.0, np.inf, "inf", "nan"),
    (1.0, -np.inf, "finite", "inf"),
    (1.0, np.nan, "nan", "nan"),
    (np.nan, 0.0, "nan", "nan"),
    (np.inf, 0.0, "inf", "inf"),
    (-np.inf, -1.0, "inf", "inf"),
    (np.nan, np.inf, "nan", "nan"),
    (1e30, 0.0, "finite", "inf"),
]


def _kind(x):
    return "nan" if np.isnan(x) else "inf" if np.isinf(x) else "finite"


@pytest.mark.parametrize(("mean", "log_var", "z_kind", "kl_kind"), EXTREMES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_extremes_req_12(backend, dtype, mean, log_var, z_kind, kl_kind, exact):
    shape = [37]  # Whole vectors and a remainder.
    means, log_vars = tf.fill(shape, tf.constant(mean, dtype)), tf.fill(shape, tf.constant(log_var, dtype))
    eps = exact.noise(shape, SEED, tf.float32)
    m, lv = (x.numpy().astype(np.float32) for x in (means, log_vars))
    with np.errstate(all="ignore"):
        expected_z = m + np.exp(lv / 2) * eps
        expected_kl = (m * m + (np.expm1(lv) - lv)) / 2
    z, kl = reparameterize_kl(means, log_vars, seed=SEED, per_dimension=True)
    assert {_kind(x) for x in z.numpy().astype(np.float32)} == {z_kind}
    assert {_kind(x) for x in kl.numpy()} == {kl_kind}
    # bfloat16 keeps 8 bits. float32: the argument of exp, up to 100, is itself only good to 6e-6 / 2.
    rtol = 2.0**-8 if dtype == "bfloat16" else 5e-6
    np.testing.assert_allclose(
        z.numpy().astype(np.float32), expected_z, rtol=rtol, atol=1e-4 if z_kind == "finite" else 0
    )
    np.testing.assert_allclose(kl, expected_kl, rtol=5e-6)
    total = reparameterize_kl(means, log_vars, seed=SEED)[1].numpy()
    with np.errstate(all="ignore"):
        assert _kind(total) == _kind(expected_kl.sum())


def test_one_nan_spoils_its_own_row_only_req_12(backend):
    mean = np.zeros((5, 3000), np.float32)
    mean[2, 2100] = np.nan
    z, kl = reparameterize_kl(mean, np.zeros_like(mean), seed=SEED)
    assert np.isnan(kl).tolist() == [False, False, True, False, False]
    assert np.argwhere(np.isnan(z)).tolist() == [[2, 2100]]


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0), (0,), (2, 0, 3), (2, 3, 0), (0, 2**40), (0, 3, 2**31)])
@pytest.mark.parametrize("per_dimension", [False, True])
def test_empty_shapes_req_3(backend, shape, per_dimension):
    empty = tf.zeros(shape)
    for z, kl in both_modes(backend, empty, empty, per_dimension):
        assert z.shape == shape
        assert kl.shape == (shape if per_dimension else shape[:-1])
        assert not kl.numpy().any()  # A sum of no terms is 0.
    if max(shape) >= 2**31:
        return  # Past what TensorFlow's gradient tape, with its 32-bit shapes, makes zeros for.
    with tf.GradientTape() as tape:
        tape.watch(empty)
        z, kl = reparameterize_kl(empty, empty + 0.0, seed=SEED, per_dimension=per_dimension)
    gradient = tape.gradient([z, kl], empty)
    assert gradient.shape == shape


def test_rank_0_raises_req_4(backend):
    with pytest.raises(ValueError, match=r"mean must have rank 1 or more .*not shape \[\]"):
        reparameterize_kl(tf.constant(1.0), tf.constant(1.0), seed=SEED)


def test_static_shapes(backend):
    @tf.function(input_signature=[tf.TensorSpec([None, 5]), tf.TensorSpec([None, 5])])
    def function(mean, log_var):
        z, kl = reparameterize_kl(mean, log_var, seed=SEED)
        _, each = reparameterize_kl(mean, log_var, seed=SEED, per_dimension=True)
        assert z.shape.as_list() == [None, 5]
        assert kl.shape.as_list() == [None]
        assert each.shape.as_list() == [None, 5]
        return z, kl

    z, kl = function(tf.zeros([3, 5]), tf.zeros([3, 5]))
    assert (z.shape, kl.shape) == ((3, 5), (3,))


def test_what_may_stand_for_a_tensor(backend):
    """Lists, arrays, variables; the second argument takes the dtype of the first where it has none of its own."""
    expected = reparameterize_kl(tf.constant([1.0, 2.0]), tf.constant([0.0, 1.0]), seed=tf.constant(SEED, tf.int64))
    for mean, log_var in (
        ([1.0, 2.0], [0.0, 1.0]),
        (np.array([1, 2], np.float32), [0, 1]),
        (tf.Variable([1.0, 2.0]), tf.Variable([0.0, 1.0])),
    ):
        for got, want in zip(reparameterize_kl(mean, log_var, seed=tuple(SEED)), expected, strict=True):
            assert np.array_equal(got, want)
    assert reparameterize_kl(np.array([1.0]), [0], seed=SEED)[0].dtype == tf.float64


def test_the_outputs_are_a_plain_tuple_for_those_who_nest_them(backend):
    """A named tuple, as compiled ops return, is another structure to TensorFlow than the pair written here."""

    def both(mean):
        z, log_ratio = tfvae.ops.reparameterize_log_ratio(mean, mean, seed=SEED, num_samples=2)
        return reparameterize_kl(mean, mean, seed=SEED), (z, log_ratio)

    tf.nest.assert_same_structure(both(tf.zeros([2, 3])), ((0, 0), (0, 0)))
    z, kl = tf.map_fn(lambda mean: both(mean)[0], tf.zeros([4, 2, 3]), fn_output_signature=(tf.float32, tf.float32))
    assert (z.shape, kl.shape) == ((4, 2, 3), (4, 2))
