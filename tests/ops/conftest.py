"""Answers for the op that owe nothing to it: formulas in the widest NumPy float, noise from TensorFlow's own op."""

import types

import numpy as np
import pytest
import tensorflow as tf

import tfvae

_BUILT = tfvae.build_info()["built"] is not None

# These are about the compiled libraries themselves.
collect_ignore = (
    []
    if _BUILT
    else ["test_elementary.py", "test_fuzz.py", "test_in_place.py", "test_kernels_module.py", "test_philox.py"]
)


def pytest_generate_tests(metafunc):
    if "isa" in metafunc.fixturenames:
        from tfvae._lib import tfvae_kernels

        metafunc.parametrize("isa", tfvae_kernels.isas())


@pytest.fixture(scope="session")
def kernels():
    """The module of kernels on NumPy arrays."""
    from tfvae._lib import tfvae_kernels

    return tfvae_kernels


def _noise(shape, seed, dtype):
    """TensorFlow's own noise, run eagerly, for inputs of this dtype."""
    dtype = tf.float64 if dtype == tf.float64 else tf.float32
    return tf.random.stateless_normal(shape, seed, dtype=dtype, alg="philox").numpy()


def _forward(mean, log_var, eps):
    """z and the KL of every dimension, in the widest float NumPy has (of 64 bits of mantissa on x86)."""
    mean, log_var, eps = (np.asarray(x).astype(np.longdouble) for x in (mean, log_var, eps))
    sigma = np.exp(log_var / 2)
    return mean + sigma * eps, (mean**2 + np.expm1(log_var) - log_var) / 2


def _backward(mean, log_var, eps, dz, dkl):
    """The gradients by mean and log_var; dkl of every dimension."""
    mean, log_var, eps, dz, dkl = (np.asarray(x).astype(np.longdouble) for x in (mean, log_var, eps, dz, dkl))
    return dz + dkl * mean, (dz * np.exp(log_var / 2) * eps + dkl * np.expm1(log_var)) / 2


@pytest.fixture(scope="session")
def exact():
    return types.SimpleNamespace(noise=_noise, forward=_forward, backward=_backward)


# How far a normal may be from TensorFlow's. float32: the bound in docs/numerics.md. float64: TensorFlow rounds an angle
# below 2 pi to 4.4e-16 and the largest radius is 5.68; the rest is rounding.
_NOISE = {"float16": 2e-6, "bfloat16": 2e-6, "float32": 2e-6, "float64": 1e-14}
_ROUNDING = {"float16": 2.0**-24, "bfloat16": 2.0**-24, "float32": 2.0**-24, "float64": 2.0**-53}
_STORED = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 0.0, "float64": 0.0}
_SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}


@pytest.fixture(scope="session")
def tolerance():
    """Bounds on errors, by the name of the inputs' dtype: of a normal, of arithmetic, and of the last rounding."""

    def stored(dtype, magnitude, noise_scale, roundings=8):
        """For an output of terms of this magnitude that hold normals times ``noise_scale``.

        Eight roundings cover the handful of operations, exp within 1 ulp among them.
        """
        error = _NOISE[dtype] * noise_scale + roundings * _ROUNDING[dtype] * magnitude
        return error + _STORED[dtype] * (magnitude + error) + _SMALLEST[dtype]

    return types.SimpleNamespace(noise=_NOISE, rounding=_ROUNDING, stored=stored)
