"""Numbers of single examples and dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfvae._checks import as_count, check_finite


def active_units(posterior_means: Any, threshold: float = 0.01) -> int:
    r"""Count the latent dimensions the encoder uses: those with ``Var_x E_q(z|x)[z_j] > threshold``.

    Args:
        posterior_means: posterior means over a data set, ``[N, D]`` with ``N >= 1``.
        threshold: smallest variance (of the population, divided by ``N``) that counts as active.

    Returns:
        The number of active dimensions, from 0 to ``D``.

    Raises:
        ValueError: for another rank, no examples, or means that are not finite.

    Source: Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders" (2015), section 5.2.

    Example:

    >>> import tfvae
    >>> tfvae.metrics.active_units([[1.0, 0.0], [-1.0, 0.0]])
    1
    """
    means = _rows(posterior_means, "posterior_means")
    check_finite(means, "posterior_means")
    return int(np.sum(np.var(means, axis=0) > threshold))


def active_units_by_kl(kl: Any, threshold: float = 0.01) -> int:
    r"""Count the latent dimensions that carry information: those with ``E_x KL(q(z_j|x) || p(z_j)) > threshold`` nats.

    A dimension is inactive by its variance but active by its KL if all examples have the same posterior, other than the
    prior.

    Args:
        kl: mean KL of each dimension in nats, ``[D]``, as ``kl_per_dimension`` gives it, or of every example,
            ``[N, D]``.
        threshold: nats.

    Returns:
        The number of active dimensions, from 0 to ``D``.

    Raises:
        ValueError: for another rank, no values, or values that are not finite.

    Source: Bowman et al., "Generating Sentences from a Continuous Space" (2016), section 3.1, on a KL that collapses.

    Example:

    >>> import tfvae
    >>> tfvae.metrics.active_units_by_kl([1.5, 0.0, 0.3])
    2
    """
    values = np.asarray(kl, np.float64)
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"kl must have shape [D] or [N, D] with at least one value, not {list(values.shape)}.")
    check_finite(values, "kl")
    return int(np.sum(values.mean(axis=0) > threshold if values.ndim == 2 else values > threshold))


def rate(terms: Any) -> float:
    r"""Return the rate ``E_x KL(q(z|x) || p(z))`` in nats per example: what the code costs.

    Args:
        terms: ``tfvae.objectives.ElboTerms``, of which ``kl`` ``[N]`` is used.

    Raises:
        ValueError: if there are no examples.

    Source: Alemi et al., "Fixing a Broken ELBO" (2018), equation 4.

    Example:

    >>> import tfvae
    >>> terms = tfvae.objectives.ElboTerms(reconstruction=[-3.0, -5.0], kl=[2.0, 1.0], z=None)
    >>> tfvae.metrics.rate(terms), tfvae.metrics.distortion(terms)
    (1.5, 4.0)
    """
    return _mean(terms.kl, "kl")


def distortion(terms: Any) -> float:
    r"""Return the distortion ``-E_x E_q[log p(x|z)]`` in nats per example: what the code leaves out.

    Minus the ELBO is ``rate + distortion``.

    Args:
        terms: ``tfvae.objectives.ElboTerms``, of which ``reconstruction`` ``[N]`` is used.

    Raises:
        ValueError: if there are no examples.

    Source: Alemi et al., "Fixing a Broken ELBO" (2018), equation 3.

    Example:

    >>> import tfvae
    >>> terms = tfvae.objectives.ElboTerms(reconstruction=[-3.0, -5.0], kl=[2.0, 1.0], z=None)
    >>> tfvae.metrics.distortion(terms)
    4.0
    """
    return -_mean(terms.reconstruction, "reconstruction")


def kl_per_dimension(mean: Any, log_var: Any) -> np.ndarray:
    r"""Return ``KL(q(z_j|x) || N(0, 1))`` of every dimension, in nats, averaged over the examples.

    Computes ``1/2 (mean^2 + expm1(log_var) - log_var)``.

    Args:
        mean: posterior means over a data set, ``[N, D]`` with ``N >= 1``.
        log_var: logarithms of the posterior variances, ``[N, D]``.

    Returns:
        Float64 array ``[D]``; its sum is the mean KL.

    Raises:
        ValueError: for another rank, no examples or differing shapes.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013), appendix B.

    Example:

    >>> import tfvae
    >>> tfvae.metrics.kl_per_dimension([[1.0, 0.0]], [[0.0, 0.0]]).tolist()
    [0.5, 0.0]
    """
    m, lv = as_mean_and_log_var(mean, log_var)
    with np.errstate(over="ignore"):
        return np.mean(0.5 * (m**2 + np.expm1(lv) - lv), axis=0)


def bits_per_dimension(log_likelihood: Any, dimensions: int) -> np.ndarray:
    r"""Return ``-log_likelihood / (dimensions ln 2)``: the cost of one element of ``x`` in bits.

    Args:
        log_likelihood: ``log p(x)`` or a bound of it, in nats per example, any shape.
        dimensions: number of elements of one example.

    Returns:
        Float64 array of the shape of ``log_likelihood``.

    Raises:
        ValueError: if ``dimensions`` is no positive integer.

    Source: van den Oord et al., "Pixel Recurrent Neural Networks" (2016), section 5.

    Example:

    >>> import math, tfvae
    >>> tfvae.metrics.bits_per_dimension(-128 * math.log(2), 64).item()
    2.0
    """
    return -np.asarray(log_likelihood, np.float64) / (as_count(dimensions, "dimensions") * math.log(2.0))


def as_mean_and_log_var(mean: Any, log_var: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both in float64, their shapes checked."""
    m, lv = _rows(mean, "mean"), _rows(log_var, "log_var")
    if m.shape != lv.shape:
        raise ValueError(f"log_var must have the shape of mean, {list(m.shape)}, not {list(lv.shape)}.")
    return m, lv


def _mean(values: Any, name: str) -> float:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} must have shape [N] with at least one example, not {list(array.shape)}.")
    return float(array.mean())


def _rows(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} must have shape [N, D], both at least 1, not {list(array.shape)}.")
    return array
