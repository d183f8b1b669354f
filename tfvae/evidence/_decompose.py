"""The decomposition of the evidence: the bound, the gap, and where the gap comes from."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count
from tfvae.evidence import _draws
from tfvae.evidence._free_posterior import FreePosterior, analytic_kl
from tfvae.evidence._graphs import of_model, traced
from tfvae.evidence._importance import warn_of_heavy_tails
from tfvae.evidence._job import make_job, padded, seeds_of
from tfvae.evidence._joint import Joint
from tfvae.evidence._means import mean_and_error
from tfvae.evidence._moments import RunningMoments
from tfvae.evidence._quadrature import Quadrature
from tfvae.evidence._weights import RunningWeights

# The values of a draw: log p(x|z) and log q(z) - log p(z), of the encoder's q and of the one found.
_VALUES = 4
# Fewer draws do not tell how the two values of a draw vary together.
_FEWEST_TO_REGRESS = 30


class Decomposition(NamedTuple):
    """``log p(x) = ELBO + gap`` and the two parts of the gap per example, in nats; each field ``[N]`` and float64.

    ``gap = log_evidence - elbo = amortisation_gap + approximation_gap``. The errors are standard errors of the
    estimates, those of differences from paired draws; that of ``log_evidence`` by quadrature is the change on half the
    grid.

    Example:

    >>> import tensorflow as tf
    >>> from tfvae.evidence import Decomposition
    >>> field = tf.zeros([4], tf.float64)
    >>> means = Decomposition(field - 2.0, field, field - 3.0, *[field + 0.1] * 7).mean()
    >>> means["log_evidence"], means["elbo"], means["elbo_error"]
    (-2.0, -3.0, 0.05)
    """

    log_evidence: tf.Tensor
    log_evidence_error: tf.Tensor
    elbo: tf.Tensor
    elbo_error: tf.Tensor
    gap: tf.Tensor
    gap_error: tf.Tensor
    amortisation_gap: tf.Tensor
    amortisation_gap_error: tf.Tensor
    approximation_gap: tf.Tensor
    approximation_gap_error: tf.Tensor

    def mean(self) -> dict[str, float]:
        """Return the means over the examples and their Monte Carlo standard errors, by the names of the fields."""
        means: dict[str, float] = {}
        for name, values, errors in zip(self._fields[::2], self[::2], self[1::2], strict=True):
            means[name], means[f"{name}_error"] = mean_and_error(values, errors)
        return means


def decompose(
    model: Any,
    x: Any,
    *,
    num_samples: int = 1000,
    seed: Any = None,
    save_to: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> Decomposition:
    r"""Split ``log p(x)`` of every example into the ELBO and the parts of its gap.

        log p(x) = ELBO(q) + KL(q(z|x) || p(z|x)),        q* = the q of the encoder's family with the largest ELBO
        gap = [ELBO(q*) - ELBO(q)]  +  [log p(x) - ELBO(q*)] = amortisation gap + approximation gap

    The first part is what one encoder for all examples costs, the second what the family of ``q`` costs.

    - ``q*`` is found for every example by itself by Adam, from the encoder's ``q``. The family is that of a VAE's
      ``posterior_family``; of another model's ``posterior(x)``, that of the TFP distribution with all its parameters.
    - The ELBOs are means over ``num_samples`` reparameterized draws, ``q`` and ``q*`` from the same noise, with the KL
      of ``q`` to the prior in closed form where TFP knows it; ``log q(z) - log p(z)``, whose mean that is, then serves
      as a control variate.
    - ``log p(x)`` is by quadrature where ``z`` has one or two dimensions; modes away from ``q*`` that are much narrower
      than the prior may be missed, and its error does not tell, nor of jumps of ``p(x, z)`` in ``z``; of mass where
      ``z`` is rounded to a bound it does. Else it is importance-weighted over the same draws of both, with the density
      of their even mixture as proposal: at worst as good as half the draws from the better one.

    For bits per dimension see ``tfvae.metrics.bits_per_dimension``.

    Args:
        model: a ``tfvae.VAE``, or anything with ``posterior(x)``, ``prior()`` and ``likelihood(z)`` that return TFP
            distributions, samples of the posterior differentiable in its parameters.
        x: data ``[N, *event]``, of any size.
        num_samples: number of draws of ``q`` and of ``q*`` per example.
        seed: an integer or two; None takes the model's own noise, or Python's ``random`` where it has none.
        save_to: as for ``importance_weighted``.
        verbose: 1 for a progress bar.

    Returns:
        ``Decomposition``, with a method ``mean()`` for the data set.

    Raises:
        TypeError: if the model lacks a method.
        ValueError: for a bad argument, a discrete ``z``, a posterior whose parameters are not tensors of a range that
            TFP knows, or a file that is damaged or of another request.

    Warns:
        EvidenceWarning: as ``importance_weighted``, where it is not quadrature.

    Source: Cremer, Li & Duvenaud, "Inference Suboptimality in Variational Autoencoders" (2018); the mixture: Owen &
    Zhou, "Safe and Effective Importance Sampling" (2000).

    Example:

    >>> import keras, numpy as np, tfvae
    >>> networks = [keras.Sequential([keras.Input([n]), keras.layers.Dense(4)]) for n in (4, 2)]
    >>> normal = tfvae.distributions.Normal(4)
    >>> vae = tfvae.VAE(*networks, posterior=tfvae.distributions.DiagonalNormal(2), likelihood=normal)
    >>> parts = tfvae.evidence.decompose(vae, np.zeros([3, 4], "float32"), seed=1)
    >>> bool(np.allclose(parts.gap, parts.amortisation_gap + parts.approximation_gap))
    True
    """
    samples = as_count(num_samples, "num_samples")
    fields = (*Decomposition._fields, "pareto_k")
    job = make_job("decompose", fields, model, x, seed, {"num_samples": samples}, save_to=save_to, verbose=verbose)
    joint = Joint(model, "decompose")
    parts = functools.cache(lambda: _Parts(model, job.x, samples))
    quadrature = functools.cache(lambda: Quadrature(joint, tf.TensorSpec([None, *job.x.shape[1:]], job.x.dtype)))

    def work(rows: np.ndarray, block_seed: tf.Tensor, advance: Callable[[], None]) -> list[np.ndarray]:
        seeds = seeds_of(block_seed, 3)
        whole, count = padded(rows), tf.constant(len(rows))
        free = parts().best(whole, count, seeds[0])
        advance()
        moments, kls, pareto_k = parts().sample(whole, count, free, seeds[1], advance)
        evidence = None
        if joint.size in (1, 2):
            evidence = quadrature().log_evidence(tf.convert_to_tensor(rows), parts().make(whole, free), seeds[2])
            pareto_k = np.full(len(rows), np.nan)  # its weights are not used
        advance()
        return [*_decomposition(moments, kls, samples, evidence), pareto_k]

    *parts_of_gap, pareto_k = job.run(work, 2 + len(_draws.passes(samples)))
    warn_of_heavy_tails(pareto_k, 2 * samples, "Take more samples, or")
    return Decomposition(*parts_of_gap)


class _Parts:
    """The traced functions of a model: the best ``q`` of every example, and draws of it and of the encoder's."""

    def __init__(self, model: Any, x: np.ndarray, samples: int) -> None:
        self._model, self._samples, self._free = model, samples, FreePosterior(model)
        signature = _draws.signature(tf.convert_to_tensor(x[:0]))
        key = ("decompose", x.dtype, x.shape[1:])
        self.best, self._terms = of_model(model, key, lambda model: _functions(model, signature))

    def make(self, x: tf.Tensor, free: list[tf.Tensor]) -> Any:
        """Return the ``q`` of parameters that ``best`` found."""
        return self._free.start(x)[1](free)

    def sample(
        self, x: tf.Tensor, count: tf.Tensor, free: list[tf.Tensor], seed: tf.Tensor, advance: Callable[[], None]
    ) -> tuple[RunningMoments, list[np.ndarray | None], np.ndarray]:
        """Return the moments of all draws, the KLs of both ``q`` where known, and the shape of the weights' tail."""
        examples = int(count)
        moments, running = RunningMoments(_VALUES, examples), RunningWeights(2 * self._samples, examples)
        for first, draws in _draws.passes(self._samples):
            values = self._terms(x, count, free, seed, first, draws).numpy()
            log_weights = values[..., _VALUES:]
            running.add(np.concatenate([log_weights[..., 0], log_weights[..., 1]]))
            with np.errstate(invalid="ignore"):
                even = np.logaddexp(log_weights[..., 0], log_weights[..., 1]) - np.log(2.0)
            moments.add(values[..., :_VALUES], even)
            advance()
        p = self._model.prior()
        kls = [analytic_kl(q, p) for q in (self._model.posterior(x), self.make(x, free))]
        known = [None if kl is None else np.broadcast_to(np.asarray(kl, np.float64), [len(x)])[:examples] for kl in kls]
        return moments, known, running.pareto_k()


def _functions(model: Any, signature: list[tf.TensorSpec]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return two traced functions: the best ``q``'s parameters; and of every draw ``_VALUES`` and both log-weights."""
    posterior = FreePosterior(model)

    def terms(
        x: tf.Tensor, count: tf.Tensor, free: list[tf.Tensor], seed: tf.Tensor, first: tf.Tensor, draws: tf.Tensor
    ) -> tf.Tensor:
        p, shown = model.prior(), x[:count]
        both = model.posterior(x), posterior.start(x)[1](free)

        def of_chunk(*of_both: tf.Tensor) -> tf.Tensor:
            values, log_weights = [], []
            for z, log_ratio, of_other in (of_both[:3], of_both[3:]):
                log_likelihood = _draws.log_likelihood(model, shown, z)
                ratios = [tf.cast(log_ratio, tf.float64), tf.cast(of_other, tf.float64)]
                values += [log_likelihood, ratios[0]]
                log_weights.append(log_likelihood - tf.reduce_logsumexp(ratios, axis=0) + np.log(2.0))
            return tf.stack(values + log_weights, axis=-1)

        def of_block(block_seed: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
            tensors = []
            for q, other in (both, both[::-1]):
                z, log_ratio = _draws.draw(q, p, block_seed, _draws.BLOCK)
                tensors += [z, log_ratio, _draws.log_ratio(other, p, z)]
            return _draws.in_chunks(of_chunk, shown, *(_draws.counted(tensor, wanted, count) for tensor in tensors))

        return _draws.of_draws(of_block, seed, first, draws, _VALUES + 2)

    rows, count, seed, *which = signature
    best = traced(posterior.best, [rows, count, seed])
    free = [tf.TensorSpec(value.shape, value.dtype) for value in best.structured_outputs]
    return best, traced(terms, [rows, count, free, seed, *which])


@np.errstate(over="ignore", invalid="ignore")  # Of values that are infinite there are no differences.
def _decomposition(
    moments: RunningMoments,
    kls: list[np.ndarray | None],
    samples: int,
    evidence: tuple[np.ndarray, np.ndarray] | None,
) -> list[np.ndarray]:
    """Return the fields. Every estimate is linear in a draw's values, and so its error follows from covariances."""
    means, covariances = moments.means(), moments.covariances()
    encoder, encoder_part = _elbo(0, means, covariances, kls[0], samples)
    best, best_part = _elbo(2, means, covariances, kls[1], samples)
    weight_part = np.zeros_like(encoder_part)
    if evidence is None:
        weight_part[_VALUES], evidence = 1.0, (moments.log_mean_weight(), np.zeros_like(encoder))
    log_evidence, error = evidence

    def error_of(part: np.ndarray) -> np.ndarray:
        if samples == 1:
            return np.where(np.any(part, axis=0), np.inf, 0.0)
        products = part[:, np.newaxis] * part
        # Values of a draw that the estimate has no part of may be infinite.
        variance = np.sum(products * np.where(products == 0.0, 0.0, covariances), axis=(0, 1))
        return np.sqrt(np.maximum(variance, 0.0) / samples)

    def with_evidence(part: np.ndarray) -> np.ndarray:
        return np.hypot(error_of(part), error)

    fields = [
        (log_evidence, with_evidence(weight_part)),
        (encoder, error_of(encoder_part)),
        (log_evidence - encoder, with_evidence(weight_part - encoder_part)),
        (best - encoder, error_of(best_part - encoder_part)),
        (log_evidence - best, with_evidence(weight_part - best_part)),
    ]
    # What is infinite has no variance, and is not known to within any number.
    return [part for value, error in fields for part in (value, np.where(np.isinf(value), np.inf, error))]


def _elbo(
    place: int, means: np.ndarray, covariances: np.ndarray, kl: np.ndarray | None, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of ``log p(x|z) - log q(z) / p(z)`` and the linear form of a draw's values that it averages."""
    slope = np.ones_like(means[0])
    if kl is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = covariances[place, place + 1] / covariances[place + 1, place + 1]
        slope = np.where(np.isfinite(slope) & (samples >= _FEWEST_TO_REGRESS), slope, 0.0)
    expected = 0.0 if kl is None else kl * (1.0 - slope)
    part = np.zeros([_VALUES + 1, len(slope)])
    part[place], part[place + 1] = 1.0, -slope
    return means[place] - slope * means[place + 1] - expected, part
