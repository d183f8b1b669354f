"""JAX on the CPU, jit-compiled; only where it is installed (``pip install ".[bench]"``)."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks._cases import Inputs, Unavailable
from benchmarks._timing import Call


def build(inputs: Inputs, which: str, ops: int) -> Call:
    """Return a call of one jitted pass of the textbook code, with JAX's default random numbers.

    Backward alone is a jitted call of the function that ``jax.vjp`` returns, whose residuals are its inputs.
    """
    if ops > 1:
        raise Unavailable("only TensorFlow's ops are chained.")
    jax = _load()
    jnp = importlib.import_module("jax.numpy")
    arrays = inputs.once("jax", lambda: [jnp.asarray(array) for array in (inputs.mean, inputs.log_var, inputs.dz)])
    mean, log_var, dz = arrays
    dkl = jnp.asarray(inputs.dkl, mean.dtype)
    key = jax.random.key(2013)

    def forward(mean: Any, log_var: Any, key: Any) -> tuple[Any, Any]:
        eps = jax.random.normal(key, mean.shape, mean.dtype)
        z = mean + jnp.exp(0.5 * log_var) * eps
        kl = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_var) - log_var - 1.0, axis=-1)
        return z, kl

    def differentiable(mean: Any, log_var: Any, key: Any) -> tuple[Any, Any]:
        return jax.vjp(lambda mean, log_var: forward(mean, log_var, key), mean, log_var)

    def both(mean: Any, log_var: Any, key: Any, dz: Any, dkl: Any) -> tuple[Any, Any]:
        outputs, pull_back = differentiable(mean, log_var, key)
        return outputs, pull_back((dz, dkl))

    if which == "forward":
        return _waiting(jax, jax.jit(forward), mean, log_var, key)
    if which == "both":
        return _waiting(jax, jax.jit(both), mean, log_var, key, dz, dkl)
    _, pull_back = jax.jit(differentiable)(mean, log_var, key)
    return _waiting(jax, jax.jit(lambda pull_back, dz, dkl: pull_back((dz, dkl))), pull_back, dz, dkl)


def _waiting(jax: Any, function: Any, *arguments: Any) -> Call:
    """Return a call that ends when the results are there, not when they are under way."""
    return lambda: jax.block_until_ready(function(*arguments))


def _load() -> Any:
    try:
        jax: Any = importlib.import_module("jax")
    except ImportError:
        raise Unavailable("JAX is not installed (pip install '.[bench]').") from None
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    return jax
