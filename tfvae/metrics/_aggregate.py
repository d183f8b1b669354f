"""The aggregate posterior: the mixture of all examples' posteriors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count, check_finite
from tfvae.metrics._codes import as_mean_and_log_var
from tfvae.ops import _checks

# Log densities that are held at once: 16 MiB of float64.
_HELD = 2**21
# Of ln N: from where on the number of examples, rather than the encoder, sets the mutual information.
_NEAR = 0.95
_LOG_TWO_PI = math.log(2.0 * math.pi)


class AggregatePosterior(NamedTuple):
    """How the rate divides over the aggregate posterior; all but the flag in nats.

    ``rate = mutual_information + total_correlation + dimension_wise_kl``, each with the standard error of its draws
    (not of the choice of examples; infinite for a single draw). ``ceiling`` is ``ln N``, the most that the mutual
    information of ``N`` examples can be; ``at_ceiling`` says that it is within a twentieth of that, so that more
    examples would raise it.
    """

    rate: float
    mutual_information: float
    total_correlation: float
    dimension_wise_kl: float
    rate_error: float
    mutual_information_error: float
    total_correlation_error: float
    dimension_wise_kl_error: float
    ceiling: float
    at_ceiling: bool


def aggregate_posterior(mean: Any, log_var: Any, *, num_samples: int = 1, seed: Any) -> AggregatePosterior:
    r"""Divide the rate of a data set into what the aggregate posterior ``q(z) = 1/N sum_n q(z|x_n)`` makes of it.

    For diagonal Gaussians ``q(z|x_n)`` and the standard normal prior,

        E_n KL(q(z|x_n) || p(z)) = MI + TC + DW,
        MI = E log q(z|x_n) / q(z),    TC = E log q(z) / prod_j q(z_j),    DW = sum_j E log q(z_j) / p(z_j),

    with expectations over ``n`` and ``z ~ q(z|x_n)``: the mutual information of ``x`` and ``z``, the total correlation
    of the dimensions of ``z``, and the dimension-wise KL to the prior. All four are means over the same ``num_samples``
    draws per example, so the identity holds for the estimates too (to rounding); ``q(z)`` and ``q(z_j)`` are the whole
    mixtures, in log-space. The work is ``num_samples N^2 D``, the memory bounded.

    Args:
        mean: posterior means over a data set, ``[N, D]`` with ``N >= 1``.
        log_var: logarithms of the posterior variances, ``[N, D]``.
        num_samples: number of draws per example; two at least for standard errors.
        seed: two integers, shape ``[2]``.

    Returns:
        ``AggregatePosterior``.

    Raises:
        ValueError: for another rank, no examples, differing shapes, values that are not finite, or no samples.

    Source: Hoffman & Johnson, "ELBO surgery" (2016); Chen et al., "Isolating Sources of Disentanglement in Variational
    Autoencoders" (2018), equation 2.

    Example:

    >>> import tfvae
    >>> far_apart = tfvae.metrics.aggregate_posterior([[-9.0], [9.0]], [[0.0], [0.0]], num_samples=10, seed=[1, 2])
    >>> print(f"{far_apart.mutual_information:.4f} of at most {far_apart.ceiling:.4f} nats: {far_apart.at_ceiling}")
    0.6931 of at most 0.6931 nats: True
    """
    arrays = as_mean_and_log_var(mean, log_var)
    for array, name in zip(arrays, ("mean", "log_var"), strict=True):
        check_finite(array, name)
    m, lv = map(tf.constant, arrays)
    samples, seed = as_count(num_samples, "num_samples"), _checks.as_seed(seed)
    at_once = max(1, _HELD // max(1, np.size(mean)))
    parts = np.concatenate([_parts(m, lv, seed, range(samples)[i : i + at_once]) for i in range(0, samples, at_once)])
    information, correlation, dimension_wise = parts.mean(axis=(0, 2)).tolist()
    errors = _standard_errors(parts)
    ceiling = math.log(len(m))
    return AggregatePosterior(
        rate=information + correlation + dimension_wise,
        mutual_information=information,
        total_correlation=correlation,
        dimension_wise_kl=dimension_wise,
        rate_error=errors[0],
        mutual_information_error=errors[1],
        total_correlation_error=errors[2],
        dimension_wise_kl_error=errors[3],
        ceiling=ceiling,
        at_ceiling=information >= _NEAR * ceiling,
    )


def _parts(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor, draws: range) -> np.ndarray:
    """Return the terms of MI, TC and DW at these draws, ``[len(draws), 3, N]``."""
    z = mean + tf.exp(0.5 * log_var) * _noise(mean, seed, tf.constant(draws))
    # Of the rounded z, as the mixtures are: of eps, the information of narrow posteriors could be above its ceiling.
    own = tf.reduce_sum(_log_density((z - mean) * tf.exp(-0.5 * log_var), log_var), axis=-1)
    prior = tf.reduce_sum(_log_density(z, tf.zeros_like(mean)), axis=-1)
    joint, marginals = _log_mixtures(tf.reshape(z, [-1, z.shape[-1]]), mean, log_var)
    joint, product = (tf.reshape(log_q, own.shape) for log_q in (joint, tf.reduce_sum(marginals, axis=-1)))
    return tf.stack([own - joint, joint - product, product - prior], axis=1).numpy()


@tf.function(reduce_retracing=True, autograph=False)
def _noise(mean: tf.Tensor, seed: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Return normals ``[len(draws), N, D]``; those of a draw depend on its number alone."""

    def normals(draw: tf.Tensor) -> tf.Tensor:
        own = tf.random.experimental.stateless_fold_in(seed, draw, alg="philox")
        return tf.random.stateless_normal(tf.shape(mean), own, dtype=tf.float64, alg="philox")

    return tf.map_fn(normals, draws, fn_output_signature=tf.float64)


def _log_mixtures(z: tf.Tensor, mean: tf.Tensor, log_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return ``log q(z)`` ``[n]`` and ``log q(z_j)`` ``[n, D]``, by blocks of the ``n`` rows and of the components."""
    examples, dimensions = mean.shape
    components = max(1, min(examples, _HELD // dimensions))
    rows = max(1, _HELD // (components * dimensions))
    blocks = []
    for first in range(0, len(z), rows):
        block = z[first : first + rows]
        running = (tf.fill([len(block)], _nothing()), tf.fill([len(block), dimensions], _nothing()))
        for start in range(0, examples, components):
            part = slice(start, start + components)
            running = _add_components(block, mean[part], log_var[part], *running)
        blocks.append(running)
    joint, marginals = (tf.concat(parts, axis=0) for parts in zip(*blocks, strict=True))
    return joint - math.log(examples), marginals - math.log(examples)


@tf.function(reduce_retracing=True, autograph=False)
def _add_components(
    z: tf.Tensor, mean: tf.Tensor, log_var: tf.Tensor, joint: tf.Tensor, marginals: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    log_density = _log_density((z[:, None] - mean) * tf.exp(-0.5 * log_var), log_var)
    return (
        _log_add(joint, tf.reduce_logsumexp(tf.reduce_sum(log_density, axis=-1), axis=1)),
        _log_add(marginals, tf.reduce_logsumexp(log_density, axis=1)),
    )


def _log_density(standardised: tf.Tensor, log_var: tf.Tensor) -> tf.Tensor:
    return -0.5 * (tf.square(standardised) + log_var + _LOG_TWO_PI)


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_logsumexp(tf.stack([a, b]), axis=0)


def _nothing() -> tf.Tensor:
    return tf.constant(float("-inf"), tf.float64)


def _standard_errors(parts: np.ndarray) -> list[float]:
    """Of the means of the rate and its three parts, from ``[samples, 3, N]``: every example is a stratum of its own."""
    samples, _, examples = parts.shape
    if samples == 1:
        return [math.inf] * 4
    with_rate = np.concatenate([parts.sum(axis=1, keepdims=True), parts], axis=1)
    variances = with_rate.var(axis=0, ddof=1).sum(axis=-1) / samples
    return [float(value) for value in np.sqrt(variances) / examples]
