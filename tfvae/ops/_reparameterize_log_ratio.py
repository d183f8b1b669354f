"""Several draws and their log density ratios: argument checks, then the backend in use."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfvae.ops import _backend, _checks, _kernels, _reference


def reparameterize_log_ratio(
    mean: Any,
    log_var: Any,
    *,
    seed: Any,
    num_samples: int,
    prior_mean: Any = None,
    prior_log_var: Any = None,
    stop_density_gradient: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Draw ``num_samples`` times ``z ~ q = N(mean, exp(log_var))`` and return the draws with ``log q(z) - log p(z)``.

    Computes, reading the parameters once,

        z         = mean + exp(log_var / 2) * eps
        log_ratio = sum_D 1/2 ((z - prior_mean)^2 / exp(prior_log_var) + prior_log_var - eps^2 - log_var)    (nats)

    where ``eps`` equals ``tf.random.stateless_normal(tf.shape(z), seed, alg="philox")``. Importance weights are made of
    it: ``log w = log p(x|z) - log_ratio``. Gradients flow to the parameters and the prior, through ``z`` and through
    both densities.

    Args:
        mean: means of ``q(z|x)``, shape ``[..., D]`` (rank 1 or more); float16, bfloat16, float32 or float64.
        log_var: logarithms of the variances, of the same shape and dtype.
        seed: two integers (int32 or int64, shape ``[2]``), as for ``tf.random.stateless_normal``.
        num_samples: number of draws ``K``.
        prior_mean: means of the prior, of the shape of ``mean`` or ``[D]``; None for ``N(0, 1)``.
        prior_log_var: logarithms of the prior's variances, given if and only if ``prior_mean`` is, of its shape.
        stop_density_gradient: hold the parameters inside ``log q`` fixed, so that they are reached through ``z`` alone:
            the gradient of "sticking the landing" and of the doubly reparameterized estimators.

    Returns:
        ``z`` of shape ``[K, ..., D]`` in the dtype of ``mean``, and ``log_ratio`` of shape ``[K, ...]`` (float64 for
        float64 inputs, else float32).

    Raises:
        TypeError: for an unsupported or differing dtype, a seed that is not of integers, a flag that is not a bool.
        ValueError: for ``num_samples`` below 1, and for shapes that do not fit, where they are known before running.
        tf.errors.InvalidArgumentError: for shapes that turn out not to fit.

    Source: Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders" (2015); Roeder, Wu & Duvenaud, "Sticking
    the Landing" (2017).

    Example:

    >>> import tensorflow as tf, tfvae
    >>> zeros = tf.zeros([2, 3])
    >>> z, log_ratio = tfvae.ops.reparameterize_log_ratio(zeros, zeros, seed=[1, 2], num_samples=5)
    >>> z.shape.as_list(), log_ratio.shape.as_list(), float(tf.reduce_max(abs(log_ratio))) < 1e-6
    ([5, 2, 3], [5, 2], True)
    """
    mean, log_var = _checks.as_parameters(mean, log_var)
    prior = _checks.as_prior(prior_mean, prior_log_var, mean)
    seed = _checks.as_seed(seed)
    num_samples = _checks.as_num_samples(num_samples, mean)
    stop_density_gradient = _checks.as_flag("stop_density_gradient", stop_density_gradient)
    if _backend.in_use() == "native":
        return _kernels.reparameterize_log_ratio(mean, log_var, prior, seed, num_samples, stop_density_gradient)
    with tf.control_dependencies(_checks.at_run_time(mean, log_var, prior, seed)):
        # As in reparameterize_kl.
        seed = tf.reshape(seed, [2])
        return _reference.reparameterize_log_ratio(mean, log_var, prior, seed, num_samples, stop_density_gradient)
