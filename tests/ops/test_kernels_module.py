"""The kernels on NumPy arrays, without TensorFlow in between."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

SEED = (20, 24)
DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}


def draw(rng, shape, dtype):
    kl_dtype = np.float64 if dtype == "float64" else np.float32
    mean, dz = (rng.normal(size=shape).astype(DTYPES[dtype]) for _ in range(2))
    log_var = rng.uniform(-4, 2, size=shape).astype(DTYPES[dtype])
    return mean, log_var, dz, rng.normal(size=shape).astype(kl_dtype)


def wide(x):
    return np.asarray(x).astype(np.longdouble)


@pytest.mark.parametrize("shape", [(1,), (17,), (0, 4), (4, 0), (0, 0), (7, 10), (300, 33), (3, 2049), (2, 3, 5, 4)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(kernels, isa, dtype, shape, rng, exact, tolerance):
    mean, log_var, dz, dkl = draw(rng, shape, dtype)
    eps = exact.noise(shape, SEED, tf.as_dtype(dtype))
    sigma = np.exp(log_var.astype(np.float64) / 2)
    want_z, want_kl = exact.forward(mean, log_var, eps)
    for per_dimension in (False, True):
        common = {"seed": SEED, "per_dimension": per_dimension, "isa": isa, "threads": 2}
        z, kl = kernels.reparameterize_kl(mean, log_var, **common)
        assert z.dtype == mean.dtype
        assert kl.dtype == dkl.dtype
        bound = tolerance.stored(dtype, np.abs(wide(mean)) + sigma * np.abs(eps), sigma)
        assert (np.abs(wide(z) - want_z) <= bound).all()
        # As for the op: 20 roundings of expm1(x) - x and those of a sum of positive terms.
        expected = want_kl if per_dimension else want_kl.sum(axis=-1)
        np.testing.assert_allclose(wide(kl), expected, rtol=32 * tolerance.rounding[dtype], atol=0)

        upstream = dkl if per_dimension else np.asarray(dkl.sum(axis=-1))
        each = dkl if per_dimension else np.broadcast_to(upstream[..., None], shape)
        got = kernels.reparameterize_kl_grad(mean, log_var, dz=dz, dkl=upstream, **common)
        by_mean, by_log_var = exact.backward(mean, log_var, eps, dz, each)
        up = np.abs(wide(dz))
        bound = tolerance.stored(dtype, up + np.abs(wide(each) * wide(mean)), 0)
        assert (np.abs(wide(got[0]) - by_mean) <= bound).all()
        magnitude = (up * sigma * np.abs(eps) + np.abs(wide(each)) * np.maximum(1, sigma**2)) / 2
        assert (np.abs(wide(got[1]) - by_log_var) <= tolerance.stored(dtype, magnitude, up * sigma / 2)).all()


def test_arrays_in_any_layout(kernels, rng):
    mean, log_var = rng.normal(size=(6, 8)), rng.normal(size=(6, 8))
    expected = kernels.reparameterize_kl(mean, log_var, seed=SEED)
    strided = np.repeat(np.repeat(mean, 2, axis=0), 3, axis=1)[::2, ::3]
    misaligned = np.frombuffer(b"x" + log_var.tobytes(), offset=1).reshape(6, 8)
    got = kernels.reparameterize_kl(strided, misaligned, seed=SEED)
    reversed_rows = kernels.reparameterize_kl(np.asfortranarray(mean), log_var[::-1].copy()[::-1], seed=SEED)
    for a, b, c in zip(expected, got, reversed_rows, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


def test_inputs_are_left_alone(kernels, rng):
    mean, log_var, dz, dkl = draw(rng, (5, 7), "float32")
    before = [x.copy() for x in (mean, log_var, dz, dkl)]
    for x in (mean, log_var, dz, dkl):
        x.flags.writeable = False
    kernels.reparameterize_kl(mean, log_var, seed=SEED)
    kernels.reparameterize_kl_grad(mean, log_var, seed=SEED, dz=dz, dkl=dkl, per_dimension=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, (mean, log_var, dz, dkl), strict=True))


M = np.zeros((2, 3), np.float32)
ROW = np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((M, M[:, :2], {}), ValueError, r"log_var must have shape \(2, 3\), not \(2, 2\)"),
        ((M, M.T, {}), ValueError, r"log_var must have shape \(2, 3\), not \(3, 2\)"),
        ((M, M[0], {}), ValueError, r"log_var must have shape \(2, 3\), not \(3,\)"),
        ((M, M.astype(np.float64), {}), TypeError, "log_var must be float32, not float64"),
        (
            (M.astype(int), M.astype(int), {}),
            TypeError,
            "mean must be float16, bfloat16, float32 or float64, not int64",
        ),
        ((M.astype(">f4"), M.astype(">f4"), {}), TypeError, "mean must be of this machine's byte order"),
        ((M.astype(complex), M, {}), TypeError, "mean must be .* not complex128"),
        ((M.astype(str), M, {}), TypeError, "mean must be .* not str"),
        ((M.astype(object), M, {}), TypeError, "mean must be .* not object"),
        ((np.zeros((), np.float32), M, {}), ValueError, r"mean must have rank 1 or more, not shape \(\)"),
        ((M, M, {"threads": 0}), ValueError, "threads must be 1 or more, not 0"),
        ((M, M, {"threads": -3}), ValueError, "threads must be 1 or more, not -3"),
        ((M, M, {"isa": "mmx"}), ValueError, "isa must be one of .*baseline.* not 'mmx'|isa must be one of neon"),
        ((M, M, {"seed": (1,)}), TypeError, "incompatible function arguments"),
        ((M, M, {"seed": (1, 2, 3)}), TypeError, "incompatible function arguments"),
        ((M, M, {"seed": (1.5, 2)}), TypeError, "incompatible function arguments"),
        ((M, M, {"seed": (2**63, 0)}), TypeError, "incompatible function arguments"),
        ((M, M, {"seed": None}), TypeError, "incompatible function arguments"),
    ],
)
def test_bad_arguments(kernels, arguments, error, message):
    mean, log_var, options = arguments
    with pytest.raises(error, match=message):
        kernels.reparameterize_kl(mean, log_var, **{"seed": SEED, **options})


@pytest.mark.parametrize(
    ("dz", "dkl", "per_dimension", "error", "message"),
    [
        (M[:1], ROW, False, ValueError, r"dz must have shape \(2, 3\), not \(1, 3\)"),
        (M.astype(np.float64), ROW, False, TypeError, "dz must be float32, not float64"),
        (M, M, False, ValueError, r"dkl must have shape \(2,\), not \(2, 3\)"),
        (M, ROW, True, ValueError, r"dkl must have shape \(2, 3\), not \(2,\)"),
        (M, ROW.astype(np.float64), False, TypeError, "dkl must be float32, not float64"),
        (M, ROW[:0], False, ValueError, r"dkl must have shape \(2,\), not \(0,\)"),
    ],
)
def test_bad_upstream_gradients(kernels, dz, dkl, per_dimension, error, message):
    with pytest.raises(error, match=message):
        kernels.reparameterize_kl_grad(M, M, seed=SEED, dz=dz, dkl=dkl, per_dimension=per_dimension)


def test_bad_arguments_of_the_other_functions(kernels):
    with pytest.raises(TypeError, match="dtype must be float32 or float64, not float16"):
        kernels.standard_normal(3, seed=SEED, dtype="float16")
    with pytest.raises(ValueError, match="must not be negative"):
        kernels.standard_normal(-1, seed=SEED)
    with pytest.raises(ValueError, match="must not be negative"):
        kernels.standard_normal(1, seed=SEED, begin=-1)
    with pytest.raises(ValueError, match=r"begin \+ count must be below 2\*\*63"):
        kernels.standard_normal(1000, seed=SEED, begin=2**63 - 1000)
    assert np.isfinite(kernels.standard_normal(1000, seed=SEED, begin=2**63 - 1001)).all()
    with pytest.raises(ValueError, match="count must not be negative"):
        kernels.philox_words(-1, seed=SEED)
    with pytest.raises(ValueError, match="function must be one of"):
        kernels.elementary("q", ROW)
    with pytest.raises((MemoryError, ValueError)):
        kernels.standard_normal(2**62, seed=SEED)
    with pytest.raises(ValueError, match="whole words of 8 bytes, and the arrays have 12"):
        kernels.stream([np.zeros(3, np.float32)], [np.zeros(3, np.float32)], threads=1, around_caches=False)
    kernels.stream([np.empty(0)], [np.empty(0)], threads=1, around_caches=False)


def test_the_cause_is_told_of_arrays_that_cannot_be_had(kernels):
    for prior in ({"prior_mean": M}, {"prior_log_var": M}):
        with pytest.raises(TypeError, match=r"^prior_mean and prior_log_var must be given together\.$"):
            kernels.reparameterize_kl(M, M, seed=SEED, **prior)
    huge = np.broadcast_to(np.float32(0), (2**40, 2**10))  # A view of one number, and 4 PiB as an array.
    with pytest.raises(MemoryError, match="allocate"):
        kernels.reparameterize_kl(huge, huge, seed=SEED)


def test_an_unknown_instruction_set_in_the_environment_is_named(run_python):
    code = "from tfvae._lib import tfvae_kernels as k\ntry:\n    k.standard_normal(3, seed=(1, 2))\n"
    done = run_python(f"{code}except ValueError as error:\n    print(error)", env={"TFVAE_ISA": "sse9"})
    assert done.stdout.startswith("The environment variable TFVAE_ISA must be one of "), done.stdout + done.stderr


def test_instruction_sets(kernels):
    isas = kernels.isas()
    assert isas
    assert set(isas) <= {"avx512_bf16", "avx512", "avx2", "baseline", "neon"}
    assert isas[-1] in ("baseline", "neon")
    default = kernels.standard_normal(100, seed=SEED)
    assert np.array_equal(default, kernels.standard_normal(100, seed=SEED, isa=isas[0]))
