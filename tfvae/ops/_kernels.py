"""The compiled ops and their registered gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfvae import _native
from tfvae.ops import _reference
from tfvae.ops._reference import Prior

# Inputs of every op: mean, log_var, seed, then for a gradient op the two upstream gradients, then the prior, if any.
_SEED = 2
_FIRST_PRIOR, _FIRST_PRIOR_OF_GRAD = 3, 5


def reparameterize_kl(
    mean: tf.Tensor, log_var: tf.Tensor, prior: Prior, seed: tf.Tensor, per_dimension: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run the compiled forward op; arguments as checked by the public function."""
    sum_dtype = _reference.accumulation_dtype(mean.dtype)
    z, kl = _ops().tfvae_reparameterize_kl(
        mean, log_var, seed, list(prior), sum_dtype=sum_dtype, per_dimension=per_dimension
    )
    return z, kl


def reparameterize_log_ratio(
    mean: tf.Tensor,
    log_var: tf.Tensor,
    prior: Prior,
    seed: tf.Tensor,
    num_samples: int,
    stop_density_gradient: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run the compiled forward op; arguments as checked by the public function."""
    z, log_ratio = _ops().tfvae_reparameterize_log_ratio(
        mean,
        log_var,
        seed,
        list(prior),
        sum_dtype=_reference.accumulation_dtype(mean.dtype),
        num_samples=num_samples,
        stop_density_gradient=stop_density_gradient,
    )
    return z, log_ratio


def _ops() -> Any:
    ops = _native.load()
    if ops is None:
        raise RuntimeError(_native.problem())
    return ops


@tf.RegisterGradient("TfvaeReparameterizeKl")
def _reparameterize_kl_grad(op: tf.Operation, dz: tf.Tensor, dkl: tf.Tensor) -> list[tf.Tensor | None]:
    inputs = list(op.inputs)
    dmean, dlog_var, dprior = _ops().tfvae_reparameterize_kl_grad(
        *inputs[:_FIRST_PRIOR], dz, dkl, inputs[_FIRST_PRIOR:], per_dimension=op.get_attr("per_dimension")
    )
    return [dmean, dlog_var, None, *dprior]


@tf.RegisterGradient("TfvaeReparameterizeLogRatio")
def _reparameterize_log_ratio_grad(op: tf.Operation, dz: tf.Tensor, dlog_ratio: tf.Tensor) -> list[tf.Tensor | None]:
    inputs = list(op.inputs)
    dmean, dlog_var, dprior = _ops().tfvae_reparameterize_log_ratio_grad(
        *inputs[:_FIRST_PRIOR],
        dz,
        dlog_ratio,
        inputs[_FIRST_PRIOR:],
        num_samples=op.get_attr("num_samples"),
        stop_density_gradient=op.get_attr("stop_density_gradient"),
    )
    return [dmean, dlog_var, None, *dprior]


@tf.RegisterGradient("TfvaeReparameterizeKlGrad")
def _reparameterize_kl_second_order(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor | None]:
    per_dimension = op.get_attr("per_dimension")

    def forward(mean: tf.Tensor, log_var: tf.Tensor, *prior: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _reference.reparameterize_kl(mean, log_var, prior, op.inputs[_SEED], per_dimension)

    return _second_order(op, forward, upstream)


@tf.RegisterGradient("TfvaeReparameterizeLogRatioGrad")
def _reparameterize_log_ratio_second_order(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor | None]:
    num_samples, stopped = op.get_attr("num_samples"), op.get_attr("stop_density_gradient")

    def forward(mean: tf.Tensor, log_var: tf.Tensor, *prior: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _reference.reparameterize_log_ratio(mean, log_var, prior, op.inputs[_SEED], num_samples, stopped)

    return _second_order(op, forward, upstream)


def _second_order(
    op: tf.Operation, forward: Callable[..., tuple[tf.Tensor, tf.Tensor]], upstream: tuple[tf.Tensor, ...]
) -> list[tf.Tensor | None]:
    """Differentiate a gradient op, by having TensorFlow differentiate the reference of its forward op twice.

    By its inputs as they stand in the op, where one tensor may be several of them: a tape would give each the sum.
    """
    inputs = [tf.identity(tensor) for tensor in op.inputs]
    outer = inputs[_SEED + 1 : _FIRST_PRIOR_OF_GRAD]
    parameters = [*inputs[:_SEED], *inputs[_FIRST_PRIOR_OF_GRAD:]]
    with tf.GradientTape() as second:
        second.watch([*parameters, *outer])
        with tf.GradientTape() as first:
            first.watch(parameters)
            outputs = forward(*parameters)
        gradients = first.gradient(
            outputs, parameters, output_gradients=outer, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    to_parameters, to_outer = second.gradient(
        gradients,
        [parameters, outer],
        output_gradients=list(upstream),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [*to_parameters[:_SEED], None, *to_outer, *to_parameters[_SEED:]]
