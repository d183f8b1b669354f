"""The public op: argument checks, then the backend in use."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfvae.ops import _backend, _checks, _kernels, _reference


def reparameterize_kl(
    mean: Any,
    log_var: Any,
    *,
    seed: Any,
    prior_mean: Any = None,
    prior_log_var: Any = None,
    per_dimension: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Draw ``z ~ N(mean, exp(log_var))`` by reparameterization and return it with its exact KL to the prior.

    Computes, in one pass over the parameters,

        z  = mean + exp(log_var / 2) * eps
        kl = sum_D 1/2 (mean^2 + expm1(log_var) - log_var)          (nats; to N(0, 1))
        kl = sum_D 1/2 ((mean - prior_mean)^2 / exp(prior_log_var) + expm1(l) - l),  l = log_var - prior_log_var

    where ``eps`` equals ``tf.random.stateless_normal(tf.shape(mean), seed, alg="philox")``: the same noise on every
    backend, device and thread count, eager, in a ``tf.function`` and under XLA. Gradients flow to ``mean``,
    ``log_var`` and the prior; the backward pass draws the noise again instead of storing it.

    Args:
        mean: means of ``q(z|x)``, shape ``[..., D]`` (rank 1 or more); float16, bfloat16, float32 or float64.
        log_var: logarithms of the variances, of the same shape and dtype.
        seed: two integers (int32 or int64, shape ``[2]``), as for ``tf.random.stateless_normal``.
        prior_mean: means of the prior, of the shape of ``mean`` or ``[D]``; None for ``N(0, 1)``.
        prior_log_var: logarithms of the prior's variances, given if and only if ``prior_mean`` is, of its shape.
        per_dimension: return the KL of every dimension, ``[..., D]``, instead of its sum over the last axis.

    Returns:
        ``z`` in the shape and dtype of ``mean``, and ``kl`` of shape ``[...]`` (float64 for float64 inputs, else
        float32). Half-precision inputs are computed in float32 and ``z`` is rounded once.

    Raises:
        TypeError: for an unsupported or differing dtype, a seed that is not of integers, a flag that is not a bool.
        ValueError: for shapes that do not fit, where they are known before running.
        tf.errors.InvalidArgumentError: for shapes that turn out not to fit.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013), section 2.4 and appendix B.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> z, kl = tfvae.ops.reparameterize_kl(tf.ones([2, 3]), tf.zeros([2, 3]), seed=[1, 2])
    >>> z.shape.as_list(), kl.numpy().tolist()
    ([2, 3], [1.5, 1.5])
    """
    mean, log_var = _checks.as_parameters(mean, log_var)
    prior = _checks.as_prior(prior_mean, prior_log_var, mean)
    seed = _checks.as_seed(seed)
    per_dimension = _checks.as_flag("per_dimension", per_dimension)
    if _backend.in_use() == "native":
        return _kernels.reparameterize_kl(mean, log_var, prior, seed, per_dimension)
    with tf.control_dependencies(_checks.at_run_time(mean, log_var, prior, seed)):
        # Reshaped, because TensorFlow's optimiser takes the shape that a random op needs for the one that the seed has,
        # and with that folds the check away.
        return _reference.reparameterize_kl(mean, log_var, prior, tf.reshape(seed, [2]), per_dimension)
