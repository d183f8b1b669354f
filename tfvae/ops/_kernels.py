"""The compiled ops and their registered gradients."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfvae import _native
from tfvae.ops import _reference


def reparameterize_kl(
    mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor, per_dimension: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run the compiled forward op; arguments as checked by the public function."""
    return _ops().tfvae_reparameterize_kl(
        mean, log_var, seed, kl_dtype=_reference.accumulation_dtype(mean.dtype), per_dimension=per_dimension
    )


def _ops() -> Any:
    ops = _native.load()
    if ops is None:
        raise RuntimeError(_native.problem())
    return ops


@tf.RegisterGradient("TfvaeReparameterizeKl")
def _reparameterize_kl_grad(op: tf.Operation, dz: tf.Tensor, dkl: tf.Tensor) -> list[tf.Tensor | None]:
    mean, log_var, seed = op.inputs
    dmean, dlog_var = _ops().tfvae_reparameterize_kl_grad(
        mean, log_var, seed, dz, dkl, per_dimension=op.get_attr("per_dimension")
    )
    return [dmean, dlog_var, None]


@tf.RegisterGradient("TfvaeReparameterizeKlGrad")
def _reparameterize_kl_grad_grad(op: tf.Operation, ddmean: tf.Tensor, ddlog_var: tf.Tensor) -> list[tf.Tensor | None]:
    """Second order, by differentiating the formula of the backward op in stock ops."""
    mean, log_var, seed, dz, dkl = op.inputs
    inputs = [mean, log_var, dz, dkl]
    dtype = _reference.accumulation_dtype(mean.dtype)
    m, lv, upstream_z, upstream_kl = (tf.cast(tensor, dtype) for tensor in inputs)
    if not op.get_attr("per_dimension"):
        upstream_kl = upstream_kl[..., tf.newaxis]
    eps = _reference.standard_normal(tf.shape(mean, out_type=tf.int64), seed, dtype)
    a, b = tf.cast(ddmean, dtype), tf.cast(ddlog_var, dtype)
    # dmean = dz + dkl mean and dlog_var = (dz sigma eps + dkl expm1(log_var)) / 2, contracted with a and b.
    sigma_eps = tf.exp(0.5 * lv) * eps
    to_mean = a * upstream_kl
    to_log_var = b * (0.25 * upstream_z * sigma_eps + 0.5 * upstream_kl * tf.exp(lv))
    to_dz = a + 0.5 * b * sigma_eps
    to_dkl = a * m + 0.5 * b * tf.math.expm1(lv)
    if not op.get_attr("per_dimension"):
        to_dkl = tf.reduce_sum(to_dkl, axis=-1)
    grads = zip(inputs, (to_mean, to_log_var, to_dz, to_dkl), strict=True)
    to_mean, to_log_var, to_dz, to_dkl = (tf.cast(grad, tensor.dtype) for tensor, grad in grads)
    return [to_mean, to_log_var, None, to_dz, to_dkl]
