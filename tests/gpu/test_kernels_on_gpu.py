"""The CUDA kernels on a GPU against float64 NumPy on the noise of the CPU kernels, and against themselves."""

import ctypes
import secrets

import numpy as np
import pytest

from benchmarks._gpu import DeviceArray, bits_of_values, values_of_bits

DTYPES = ("float32", "float64", "float16", "bfloat16")
PRIORS = ("none", "full", "shared")
SHAPES = (
    (1, 1), (7, 1), (3, 2), (5, 3), (4, 10), (128, 32), (33, 129), (2, 4096), (3, 4097), (1, 100_003),
    (2049, 1), (70_000, 3), (1000, 257), (40, 5000), (3000, 64),
)  # fmt: skip
# Of one rounding to the type, and what float32 sums and normals (2e-6) leave.
TOLERANCES = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 3e-5, "float64": 1e-12}
SEED = (11, -12)


class Problem:
    """Fresh random inputs, on the device and as float64."""

    def __init__(self, shape, dtype, prior, samples=0, per_dimension=False, offset=0):
        seed = secrets.randbits(32)
        print("inputs from seed", seed)  # Shown where a test fails.
        rng = np.random.default_rng(seed)
        self.shape, self.dtype, self.prior, self.offset = shape, dtype, prior, offset
        self.sum_dtype = "float64" if dtype == "float64" else "float32"
        self.z_shape = (samples, *shape) if samples else shape
        self.sum_shape = self.z_shape if per_dimension else self.z_shape[:-1]
        self.prior_shape = shape if prior == "full" else shape[-1:]
        self.values, self.arrays = {}, {}
        for name, size in (("mean", shape), ("log_var", shape), ("dz", self.z_shape)):
            self._add(name, size, dtype, rng)
        self._add("drows", self.sum_shape, self.sum_dtype, rng)
        for name in ("prior_mean", "prior_log_var") if prior != "none" else ():
            self._add(name, self.prior_shape, dtype, rng)
        self.seed = DeviceArray.of(np.array(SEED, np.int64))

    def _add(self, name, shape, dtype, rng):
        bits = bits_of_values(rng.uniform(-2, 2, shape), dtype)
        self.arrays[name] = DeviceArray.of(bits, dtype, self.offset)
        self.values[name] = values_of_bits(bits, dtype).astype(np.float64)

    def output(self, shape, dtype=""):
        return DeviceArray(shape, dtype or self.dtype, self.offset)

    def prior_arguments(self):
        return {name: self.arrays[name] for name in ("prior_mean", "prior_log_var") if name in self.arrays}

    def inputs(self):
        return self.arrays["mean"], self.arrays["log_var"], self.seed


def noise(module, problem):
    dtype = problem.sum_dtype
    count = int(np.prod(problem.z_shape))
    return module.standard_normal(count, seed=SEED, dtype=dtype).astype(np.float64).reshape(problem.z_shape)


def expect(array, expected, tolerance):
    found = array.numpy().astype(np.float64)
    assert found.shape == expected.shape
    assert not np.isnan(found).any()
    scale = np.maximum(1, np.abs(expected))
    worst = np.max(np.abs(found - expected) / scale, initial=0)
    assert worst <= tolerance, f"off by {worst} of its size"


def forward(module, p, per_dimension=False, stream=0):
    z, kl = p.output(p.shape), p.output(p.sum_shape, p.sum_dtype)
    module.cuda.reparameterize_kl(
        *p.inputs(), z=z, kl=kl, per_dimension=per_dimension, stream=stream, **p.prior_arguments()
    )
    return z, kl


def backward(module, p, per_dimension=False, stream=0):
    outputs = [p.output(p.shape), p.output(p.shape)]
    more = {}
    if p.prior != "none":
        outputs += [p.output(p.prior_shape), p.output(p.prior_shape)]
        more = {"dprior_mean": outputs[2], "dprior_log_var": outputs[3]}
    module.cuda.reparameterize_kl_grad(
        *p.inputs(), dz=p.arrays["dz"], dkl=p.arrays["drows"], dmean=outputs[0], dlog_var=outputs[1],
        per_dimension=per_dimension, stream=stream, **p.prior_arguments(), **more,
    )  # fmt: skip
    return outputs


def prior_of(p):
    zero = np.zeros(p.shape)
    return p.values.get("prior_mean", zero), p.values.get("prior_log_var", zero)


def reduce_to_prior(p, gradient):
    return gradient.reshape(-1, p.shape[-1]).sum(0) if p.prior == "shared" else gradient


def row_scale(p):
    """Sums of rounded terms are off by more than one of them."""
    return TOLERANCES[p.dtype] * max(1, np.sqrt(np.prod(p.shape)) / 30)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_dimension", [False, True])
def test_forward_and_backward_against_float64(gpu, dtype, prior, per_dimension):
    _, module = gpu
    for number, shape in enumerate(SHAPES):
        p = Problem(shape, dtype, prior, per_dimension=per_dimension, offset=number % 5 == 4)
        eps, (m, v) = noise(module, p), (p.values["mean"], p.values["log_var"])
        pm, pl = prior_of(p)
        z, kl = forward(module, p, per_dimension)
        expect(z, m + np.exp(v / 2) * eps, TOLERANCES[dtype])
        terms = 0.5 * ((m - pm) ** 2 * np.exp(-pl) + np.expm1(v - pl) - (v - pl))
        expect(kl, terms if per_dimension else terms.sum(-1), 1e-5 if dtype != "float64" else 1e-12)
        dz, dkl = p.values["dz"], p.values["drows"]
        dkl = dkl if per_dimension else dkl[..., None]
        pull, ratio = (m - pm) * np.exp(-pl), np.expm1(v - pl)
        expected = [dz + dkl * pull, 0.5 * (dz * np.exp(v / 2) * eps + dkl * ratio)]
        expected += [reduce_to_prior(p, -dkl * pull), reduce_to_prior(p, -0.5 * dkl * (ratio + (m - pm) * pull))]
        for array, values in zip(backward(module, p, per_dimension), expected, strict=False):
            expect(array, values, row_scale(p))


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_log_ratio_against_float64(gpu, dtype, prior, stop):
    _, module = gpu
    for samples, shape in ((1, (5, 3)), (7, (33, 129)), (50, (128, 32)), (3, (1, 20_001)), (500, (4, 10))):
        p = Problem(shape, dtype, prior, samples=samples)
        z, ratio = p.output(p.z_shape), p.output(p.sum_shape, p.sum_dtype)
        module.cuda.reparameterize_log_ratio(
            *p.inputs(), num_samples=samples, z=z, log_ratio=ratio, **p.prior_arguments()
        )
        eps, (m, v) = noise(module, p), (p.values["mean"], p.values["log_var"])
        pm, pl = prior_of(p)
        sigma = np.exp(v / 2)
        expected = m + sigma * eps
        expect(z, expected, TOLERANCES[dtype])
        distance = expected - pm
        terms = 0.5 * (distance**2 * np.exp(-pl) - eps**2 + pl - v)
        expect(ratio, terms.sum(-1), 3e-5 if dtype != "float64" else 1e-11)
        _check_ratio_gradients(module, p, samples, stop, (eps, sigma, distance * np.exp(-pl), distance))


def _check_ratio_gradients(module, p, samples, stop, shared):
    eps, sigma, pull, distance = shared
    dz, dr = p.values["dz"], p.values["drows"][..., None]
    path = dz + dr * pull
    dmean = path - dr * eps / sigma if stop else path
    dlog_var = 0.5 * (path * sigma * eps - dr * (eps**2 if stop else 1))
    expected = [dmean.sum(0), dlog_var.sum(0)]
    expected += [reduce_to_prior(p, g.sum(0)) for g in (-dr * pull, 0.5 * dr * (1 - distance * pull))]
    outputs = [p.output(p.shape), p.output(p.shape)]
    more = {}
    if p.prior != "none":
        outputs += [p.output(p.prior_shape), p.output(p.prior_shape)]
        more = {"dprior_mean": outputs[2], "dprior_log_var": outputs[3]}
    module.cuda.reparameterize_log_ratio_grad(
        *p.inputs(), num_samples=samples, dz=p.arrays["dz"], dlog_ratio=p.arrays["drows"], dmean=outputs[0],
        dlog_var=outputs[1], stop_density_gradient=stop, **p.prior_arguments(), **more,
    )  # fmt: skip
    for array, values in zip(outputs, expected, strict=False):
        expect(array, values, row_scale(p) * max(1, np.sqrt(samples)) * 10)


def test_bits_are_the_same_at_every_run(gpu):
    _, module = gpu
    for shape in ((3000, 64), (1, 1_000_003), (70_000, 3)):
        p = Problem(shape, "float32", "shared")
        first = [array.bits() for array in (*forward(module, p), *backward(module, p))]
        for _ in range(20):
            again = [array.bits() for array in (*forward(module, p), *backward(module, p))]
            for one, other in zip(first, again, strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_stream_of_the_callers(gpu):
    driver, module = gpu
    stream = ctypes.c_void_p()
    driver.call("cuStreamCreate", ctypes.byref(stream), 1)
    p = Problem((128, 32), "float32", "shared")
    expected = [array.bits() for array in (*forward(module, p), *backward(module, p))]
    found = [*forward(module, p, stream=stream.value), *backward(module, p, stream=stream.value)]
    for array, bits in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array.bits(), bits)
    driver.call("cuStreamDestroy_v2", stream)


def test_more_than_2_to_the_31_elements_req_18(gpu):
    driver, module = gpu
    count, tail = 2**31 + 4099, 1000
    if driver.free_bytes() < 5 * 2 * count + 2**28:
        pytest.skip("no GPU to run on: 22 GB of free device memory are needed")
    mean, log_var, z = (DeviceArray((1, count), "bfloat16") for _ in range(3))
    for array in (mean, log_var):
        driver.call("cuMemsetD8_v2", ctypes.c_uint64(array.address), ctypes.c_ubyte(0), ctypes.c_size_t(array.nbytes))
    kl, seed = DeviceArray((1,), "float32"), DeviceArray.of(np.array(SEED, np.int32))
    module.cuda.reparameterize_kl(mean, log_var, seed, z=z, kl=kl)
    for begin in (0, 2**31 - 500, count - tail):
        eps = module.standard_normal(tail, seed=SEED, begin=begin)
        found = values_of_bits(z.bits(begin, tail), "bfloat16")
        np.testing.assert_allclose(found, eps, rtol=8e-3, atol=1e-6)
    assert kl.numpy()[0] == 0


def test_what_does_not_fit_raises(gpu):
    _, module = gpu
    p = Problem((4, 8), "float32", "none")
    with pytest.raises(ValueError, match=r"kl must have shape \(4,\), not \(4, 8\)"):
        module.cuda.reparameterize_kl(*p.inputs(), z=p.output((4, 8)), kl=p.output((4, 8)))
    with pytest.raises(TypeError, match="z must be float32, not float16"):
        module.cuda.reparameterize_kl(*p.inputs(), z=p.output((4, 8), "float16"), kl=p.output((4,)))


class OnHost:
    """An array of the host that says it is one of the device."""

    def __init__(self, array):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "version": 3,
        }


def test_addresses_that_are_no_device_memory_are_refused(gpu):
    _, module = gpu
    p = Problem((3, 4), "float32", "none")
    z, kl = p.output(p.shape), p.output(p.sum_shape, p.sum_dtype)
    mean, log_var, seed = p.inputs()
    with pytest.raises(ValueError, match="log_var must lie in the memory of the current CUDA device"):
        module.cuda.reparameterize_kl(mean, OnHost(np.zeros((3, 4), np.float32)), seed, z=z, kl=kl)
    module.cuda.reparameterize_kl(mean, log_var, seed, z=z, kl=kl)
