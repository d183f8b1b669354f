"""The importance-weighted estimate of the evidence."""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count
from tfvae.evidence import _draws
from tfvae.evidence._graphs import of_model, traced
from tfvae.evidence._job import make_job, padded
from tfvae.evidence._means import mean_and_error
from tfvae.evidence._weights import RunningWeights

# Part of the prior in the defensive proposal.
PRIOR_PART = 0.1
# Above this shape the mean of the weights has no usable error (Vehtari et al. 2024); for fewer draws it is not judged.
LARGEST_K = 0.7
FEWEST_JUDGED = 500


class EvidenceWarning(UserWarning):
    """Says in words that an estimate of the evidence is not to be trusted, for how many examples, and what to do."""


class LogLikelihood(NamedTuple):
    """An estimate of ``log p(x)`` per example, each field ``[N]`` and float64.

    ``estimate`` in nats; ``standard_error`` of it in nats (delta method; infinite for a single sample);
    ``effective_sample_size`` between 1 and the number of samples: far below it, neither of the two is to be trusted.
    ``pareto_k`` is the shape of the weights' tail: above 0.7 it is so heavy that they are not to be trusted either, nor
    those of examples like it, whose draws may have missed the tail. It is NaN for fewer than 25 samples, ``-inf`` where
    the largest weights are all equal, and ``inf`` where hardly any is more than nothing beside the largest.

    Example:

    >>> import tensorflow as tf
    >>> from tfvae.evidence import LogLikelihood
    >>> field = tf.zeros([4], tf.float64)
    >>> LogLikelihood(field - 2.0, field + 0.1, field + 90.0, field).mean()
    {'estimate': -2.0, 'standard_error': 0.05}
    """

    estimate: tf.Tensor
    standard_error: tf.Tensor
    effective_sample_size: tf.Tensor
    pareto_k: tf.Tensor

    def mean(self) -> dict[str, float]:
        """Return the mean over the examples, ``estimate``, and its Monte Carlo ``standard_error``, in nats."""
        estimate, error = mean_and_error(self.estimate, self.standard_error)
        return {"estimate": estimate, "standard_error": error}


def importance_weighted(
    model: Any,
    x: Any,
    *,
    num_samples: int = 1000,
    seed: Any = None,
    proposal: str = "posterior",
    save_to: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> LogLikelihood:
    r"""Estimate ``log p(x) = log E_r[w]`` with ``w = p(x|z) p(z) / r(z)`` by importance sampling.

    The estimate is ``log(1/K sum_k w_k)`` over ``K = num_samples`` draws ``z_k ~ r``: in expectation a lower bound of
    ``log p(x)`` that never falls as ``K`` grows. The proposal ``r`` is one of

    - ``"posterior"``: ``r = q(z|x)``. By ``tfvae.ops.reparameterize_log_ratio`` where ``q`` and ``p`` are diagonal
      Gaussians;
    - ``"defensive"``: ``r = 0.9 q(z|x) + 0.1 p(z)``, each draw from the prior with probability 0.1. The density of the
      mixture is in the weight, so no weight exceeds ``10 p(x|z)``, however narrow ``q`` is.

    The log-weights ``log p(x|z) + log p(z) - log r(z)`` are summed in float64 and log-space. Examples and samples are
    worked off in blocks, so memory grows with neither. The noise of a sample is fixed by the seed, the row of ``x`` and
    the number of the sample, so the answer does not depend on the blocks beyond rounding.

    For bits per dimension see ``tfvae.metrics.bits_per_dimension``.

    Args:
        model: a ``tfvae.VAE``, or anything with ``posterior(x)``, ``prior()`` and ``likelihood(z)`` that return TFP
            distributions, of batch shape ``[N]``, ``[]`` and ``[N]``.
        x: data ``[N, *event]``, of any size.
        num_samples: number of importance samples ``K`` per example.
        seed: an integer or two; None takes the model's own noise, or Python's ``random`` where it has none.
        proposal: ``"posterior"`` or ``"defensive"``.
        save_to: name of an ``.npz`` file for finished blocks of examples. Called again in the same way, the estimate
            goes on from there, to the same bits; with ``seed=None`` it takes the file's seed.
        verbose: 1 for a progress bar.

    Returns:
        ``LogLikelihood(estimate, standard_error, effective_sample_size, pareto_k)``. With ``ESS = (sum w)^2 / sum w^2``
        the standard error is ``sqrt((K / ESS - 1) / (K - 1))``, the delta method's for the log of a mean.
        ``pareto_k`` is fitted to the ``min(K / 5, 3 sqrt(K))`` largest weights.

    Raises:
        TypeError: if the model lacks a method.
        ValueError: for a bad argument, or a file that is damaged or of another request.

    Warns:
        EvidenceWarning: if ``pareto_k`` is above 0.7 for some examples (of 500 samples or more): once for all.

    Source: Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders" (2015), equation 8; Hesterberg, "Weighted
    Average Importance Sampling and Defensive Mixture Distributions" (1995); Owen & Zhou, "Safe and Effective Importance
    Sampling" (2000); Vehtari et al., "Pareto Smoothed Importance Sampling" (2024).

    Example:

    >>> import numpy as np, tensorflow as tf, tfvae
    >>> from tfvae.distributions import DiagonalNormal, Normal, StandardNormal
    >>> class Model:  # z ~ N(0, 1), x|z ~ N(z, 1), so that x ~ N(0, 2)
    ...     def posterior(self, x):
    ...         return DiagonalNormal(1)(tf.concat([x / 2, 0 * x], axis=-1))
    ...     def prior(self):
    ...         return StandardNormal(1)()
    ...     def likelihood(self, z):
    ...         return Normal(1)(z)
    >>> result = tfvae.evidence.importance_weighted(Model(), np.zeros([3, 1], "float32"), seed=1)
    >>> bool(np.all(abs(result.estimate + 1.2655) < 4 * result.standard_error))
    True
    """
    samples = as_count(num_samples, "num_samples")
    if proposal not in ("posterior", "defensive"):
        raise ValueError(f'proposal must be "posterior" or "defensive", not {proposal!r}.')
    settings = {"num_samples": samples, "proposal": proposal}
    job = make_job("importance_weighted", LogLikelihood._fields, model, x, seed, settings, save_to, verbose)
    log_weights = functools.cache(lambda: log_weights_of(model, job.x, proposal))
    schedule = _draws.passes(samples)

    def work(rows: np.ndarray, block_seed: tf.Tensor, advance: Callable[[], None]) -> list[np.ndarray]:
        running, whole = RunningWeights(samples, len(rows)), padded(rows)
        for first, draws in schedule:
            running.add(log_weights()(whole, tf.constant(len(rows)), block_seed, first, draws).numpy())
            advance()
        return [running.log_mean(), running.standard_error(), running.effective_sample_size(), running.pareto_k()]

    result = LogLikelihood(*job.run(work, len(schedule)))
    warn_of_heavy_tails(result.pareto_k, samples, 'Take more samples, or proposal="defensive", or')
    return result


def log_weights_of(model: Any, x: np.ndarray, proposal: str = "posterior") -> Callable[..., tf.Tensor]:
    """Return a traced function of ``padded`` rows, how many count, a seed, the first block and the number of draws.

    It gives their log-weights, ``[draws, B]`` in float64.
    """
    signature = _draws.signature(tf.convert_to_tensor(x[:0]))
    key = ("log_weights", x.dtype, x.shape[1:], proposal)
    return of_model(model, key, lambda model: traced(_log_weights(model, proposal), signature))


def _log_weights(model: Any, proposal: str) -> Callable[..., tf.Tensor]:
    def log_weights(
        rows: tf.Tensor, count: tf.Tensor, seed: tf.Tensor, first: tf.Tensor, draws: tf.Tensor
    ) -> tf.Tensor:
        q, p, shown = model.posterior(rows), model.prior(), rows[:count]

        def of_chunk(z: tf.Tensor, log_ratio: tf.Tensor) -> tf.Tensor:
            return (_draws.log_likelihood(model, shown, z) - tf.cast(log_ratio, tf.float64))[..., tf.newaxis]

        def of_block(block_seed: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
            draw = _defensive_draw if proposal == "defensive" else _draws.draw
            z, log_ratio = draw(q, p, block_seed, _draws.BLOCK)
            return _draws.in_chunks(of_chunk, shown, *(_draws.counted(part, wanted, count) for part in (z, log_ratio)))

        return tf.squeeze(_draws.of_draws(of_block, seed, first, draws, 1), axis=-1)

    return log_weights


def _defensive_draw(q: Any, p: Any, seed: tf.Tensor, num_samples: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw from ``(1 - a) q + a p`` and return the draws with the log of that density less ``log p``."""
    seeds = tf.random.experimental.stateless_split(seed, 3, alg="philox")
    z, log_ratio = _draws.draw(q, p, seeds[0], num_samples)
    of_prior = p.sample([num_samples, *q.batch_shape], seed=tf.cast(seeds[1], tf.int32))
    chosen = tf.random.stateless_uniform(tf.shape(log_ratio), seeds[2], alg="philox") < PRIOR_PART
    log_ratio = tf.where(chosen, _draws.log_ratio(q, p, of_prior), log_ratio)
    dimensions = tf.ones([tf.rank(z) - 2], tf.int32)
    z = tf.where(tf.reshape(chosen, tf.concat([tf.shape(chosen), dimensions], axis=0)), of_prior, z)
    log_part = tf.constant(math.log(PRIOR_PART), log_ratio.dtype)
    return z, tf.math.reduce_logsumexp(
        [math.log1p(-PRIOR_PART) + log_ratio, tf.fill(tf.shape(log_ratio), log_part)], axis=0
    )


def warn_of_heavy_tails(pareto_k: Any, samples: int, advice: str) -> None:
    """Warn once for all examples whose weights have too heavy a tail."""
    k = np.asarray(pareto_k)
    bad = int(np.sum(k > LARGEST_K))
    if bad and samples >= FEWEST_JUDGED:
        warnings.warn(
            f"log p(x) and its standard error are not to be trusted for {bad} of {len(k)} examples: a few of their "
            f"{samples} importance weights outweigh the rest (Pareto k up to {np.nanmax(k):.2f}, above {LARGEST_K}). "
            f"{advice} tfvae.evidence.annealed_importance_sampling.",
            EvidenceWarning,
            stacklevel=3,
        )
