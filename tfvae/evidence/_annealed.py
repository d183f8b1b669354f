"""Annealed importance sampling, and with it both sides of the evidence."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count
from tfvae.evidence._annealing import Annealer, Schedule, StepSizes, groups_of, units_of
from tfvae.evidence._job import ROWS, as_seed, make_job, seeds_of
from tfvae.evidence._joint import Joint
from tfvae.evidence._means import mean_and_error
from tfvae.evidence._weights import RunningWeights


class AnnealedEvidence(NamedTuple):
    """An estimate of ``log p(x)`` per example, each field ``[N]`` and float64.

    ``estimate`` and ``standard_error`` in nats (the latter by the delta method, infinite for a single chain);
    ``effective_sample_size`` between 1 and the number of chains; ``acceptance_rate`` of the proposals.

    Example:

    >>> import tensorflow as tf
    >>> from tfvae.evidence import AnnealedEvidence
    >>> field = tf.zeros([4], tf.float64)
    >>> AnnealedEvidence(field - 2.0, field + 0.1, field + 15.0, field + 0.8).mean()
    {'estimate': -2.0, 'standard_error': 0.05}
    """

    estimate: tf.Tensor
    standard_error: tf.Tensor
    effective_sample_size: tf.Tensor
    acceptance_rate: tf.Tensor

    def mean(self) -> dict[str, float]:
        """Return the mean over the examples, ``estimate``, and its Monte Carlo ``standard_error``, in nats."""
        estimate, error = mean_and_error(self.estimate, self.standard_error)
        return {"estimate": estimate, "standard_error": error}


class Bracket(NamedTuple):
    """A stochastic lower and upper bound of ``log p(x)``, in nats, of data drawn from the model.

    ``lower``, ``upper`` and their standard errors are ``[N]`` and float64; ``x`` is ``[N, *event]``.
    """

    lower: tf.Tensor
    upper: tf.Tensor
    lower_standard_error: tf.Tensor
    upper_standard_error: tf.Tensor
    x: tf.Tensor


def annealed_importance_sampling(
    model: Any,
    x: Any,
    *,
    num_steps: int = 500,
    num_chains: int = 16,
    schedule: str = "sigmoidal",
    seed: Any = None,
    save_to: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> AnnealedEvidence:
    r"""Estimate ``log p(x)`` by annealing from the prior to the posterior; slow, and good where ``q(z|x)`` is not.

    Chains start at ``z ~ p(z)`` and pass the densities ``f_t(z) = p(z) p(x|z)^beta_t``, ``0 = beta_0 < ... < beta_T =
    1``, by one transition of Hamiltonian Monte Carlo each (``tfp.mcmc.HamiltonianMonteCarlo``, 5 leapfrog steps). A
    chain's weight is

        log w = sum_t (beta_t - beta_{t-1}) log p(x|z_{t-1})        E[w] = p(x)

    and the estimate is the log of the mean weight: in expectation a lower bound, which rises with steps and chains. No
    encoder takes part. Where ``z`` is bounded (a Gamma or Beta prior), the chains move through TFP's bijector.

    Schedules: ``"geometric"``, ``beta_t = t / T``; ``"sigmoidal"``, close-set at both ends: ``beta_t = (s_t - s_0) /
    (s_T - s_0)`` with ``s_t = sigmoid(4 (2 t / T - 1))``.

    Step sizes, one for every example, temperature and dimension, come from a preliminary run with a seed of its own (16
    chains, 50 temperatures). Then they are fixed: adapting them within the chain would bias the weights.

    Args:
        model: a ``tfvae.VAE``, or anything with ``posterior(x)``, ``prior()`` and ``likelihood(z)`` that return TFP
            distributions; here of continuous ``z``, and differentiable.
        x: data ``[N, *event]``, of any size.
        num_steps: number ``T`` of temperatures above 0.
        num_chains: number of chains per example.
        schedule: ``"sigmoidal"`` or ``"geometric"``.
        seed: an integer or two; None takes the model's own noise, or Python's ``random`` where it has none.
        save_to: as for ``importance_weighted``.
        verbose: 1 for a progress bar.

    Returns:
        ``AnnealedEvidence(estimate, standard_error, effective_sample_size, acceptance_rate)``. The acceptance rate is
        NaN for a single step, which has no transition.

    Raises:
        TypeError: if the model lacks a method.
        ValueError: for a bad argument, a discrete ``z``, or a file that is damaged or of another request.

    Source: Neal, "Annealed Importance Sampling" (2001); the schedule: Grosse, Ghahramani & Adams, "Sandwiching the
    marginal likelihood using bidirectional Monte Carlo" (2015); for VAEs: Wu, Burda, Salakhutdinov & Grosse, "On the
    Quantitative Analysis of Decoder-Based Generative Models" (2017).

    Example:

    >>> import keras, numpy as np, tfvae
    >>> networks = [keras.Sequential([keras.Input([n]), keras.layers.Dense(4)]) for n in (4, 2)]
    >>> normal = tfvae.distributions.Normal(4)
    >>> vae = tfvae.VAE(*networks, posterior=tfvae.distributions.DiagonalNormal(2), likelihood=normal)
    >>> result = tfvae.evidence.annealed_importance_sampling(vae, np.zeros([3, 4], "float32"), num_steps=5, seed=1)
    >>> result.estimate.shape.as_list()
    [3]
    """
    path, chains = Schedule(schedule, num_steps), as_count(num_chains, "num_chains")
    settings = {"num_steps": path.num_steps, "num_chains": chains, "schedule": schedule}
    name = "annealed_importance_sampling"
    job = make_job(name, AnnealedEvidence._fields, model, x, seed, settings, save_to, verbose)
    joint = Joint(model, name)
    annealer = functools.cache(lambda: _annealer(joint, job.x, path))

    def work(rows: np.ndarray, block_seed: tf.Tensor, advance: Callable[[], None]) -> list[np.ndarray]:
        data, seeds = tf.convert_to_tensor(rows), seeds_of(block_seed, 2)
        steps = annealer().find_steps(data, seeds[0], advance)
        return _forward(annealer(), data, chains, steps, seeds[1], advance)

    return AnnealedEvidence(*job.run(work, units_of(path.betas, chains)))


def bidirectional_monte_carlo(
    model: Any,
    *,
    num_examples: int = 16,
    num_steps: int = 500,
    num_chains: int = 16,
    seed: Any = None,
    verbose: int = 0,
) -> Bracket:
    r"""Draw ``z ~ p(z)``, ``x ~ p(x|z)`` from the model, and bracket ``log p(x)`` from below and from above.

    The lower bound is ``annealed_importance_sampling``. As ``z`` is an exact draw of the posterior of ``x``, chains can
    also start there and go back to the prior; their weights have the mean ``1 / p(x)``, so that ``-log`` of their mean
    is in expectation an upper bound. The width of the bracket says how good annealing with so many steps is for this
    model, and for its own data roughly how good the estimates above are.

    Both directions take the sigmoidal schedule, and step sizes from the same preliminary run.

    Args:
        model: as for ``annealed_importance_sampling``.
        num_examples: number ``N`` of examples to draw.
        num_steps: number of temperatures above 0.
        num_chains: number of chains per example and direction.
        seed: an integer or two; None takes the model's own noise, or Python's ``random`` where it has none.
        verbose: 1 for a progress bar.

    Returns:
        ``Bracket(lower, upper, lower_standard_error, upper_standard_error, x)``. The chains of an upper bound start at
        one draw of the posterior, so its error says nothing of another draw's.

    Raises:
        TypeError: if the model lacks a method.
        ValueError: for a bad argument or a discrete ``z``.

    Source: Grosse, Ghahramani & Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo" (2015).

    Example:

    >>> import keras, tfvae
    >>> networks = [keras.Sequential([keras.Input([n]), keras.layers.Dense(4)]) for n in (4, 2)]
    >>> normal = tfvae.distributions.Normal(4)
    >>> vae = tfvae.VAE(*networks, posterior=tfvae.distributions.DiagonalNormal(2), likelihood=normal)
    >>> bracket = tfvae.evidence.bidirectional_monte_carlo(vae, num_examples=3, num_steps=5, seed=1)
    >>> bracket.lower.shape.as_list(), bracket.x.shape.as_list()
    ([3], [3, 4])
    """
    examples, chains = as_count(num_examples, "num_examples"), as_count(num_chains, "num_chains")
    path, name = Schedule("sigmoidal", num_steps), "bidirectional_monte_carlo"
    joint, seeds = Joint(model, name), seeds_of(as_seed(model, seed), 3)
    z = model.prior().sample(examples, seed=seeds[0])
    x = model.likelihood(z).sample(seed=seeds[1])
    job = make_job(name, Bracket._fields[:4], model, x, seeds[2], {}, verbose=verbose)
    annealer = _annealer(joint, job.x, path)
    # Blocks come in the order of the rows.
    waiting = iter(np.array_split(joint.bijector.inverse(z).numpy(), np.arange(0, examples, ROWS)[1:]))

    def work(rows: np.ndarray, block_seed: tf.Tensor, advance: Callable[[], None]) -> list[np.ndarray]:
        data, seeds, start = tf.convert_to_tensor(rows), seeds_of(block_seed, 3), next(waiting)
        steps = annealer.find_steps(data, seeds[0], advance)
        lower, lower_error, _, _ = _forward(annealer, data, chains, steps, seeds[1], advance)
        running = RunningWeights(chains, len(rows))
        for size, group_seed in groups_of(chains, seeds[2]):
            u = tf.repeat(start[:, np.newaxis], size, axis=1)
            running.add(annealer.reverse(data, u, steps, group_seed, advance).T)
        return [lower, -running.log_mean(), lower_error, running.standard_error()]

    lower, upper, lower_error, upper_error = job.run(work, units_of(path.betas, chains, directions=2))
    return Bracket(lower, upper, lower_error, upper_error, x)


def _annealer(joint: Joint, x: np.ndarray, path: Schedule) -> Annealer:
    return Annealer(joint, tf.TensorSpec([None, *x.shape[1:]], x.dtype), path.betas)


def _forward(
    annealer: Annealer,
    x: tf.Tensor,
    chains: int,
    steps: StepSizes,
    seed: tf.Tensor,
    advance: Callable[[], None],
) -> list[np.ndarray]:
    """Return estimate, standard error, effective sample size and acceptance rate of annealing from the prior."""
    running, accepted = RunningWeights(chains, len(x)), []
    for size, group_seed in groups_of(chains, seed):
        log_weights, acceptance = annealer.forward(x, size, steps, group_seed, advance)
        running.add(log_weights.T)
        accepted.append(acceptance)
    rate = np.asarray(np.mean(np.concatenate(accepted, axis=1), axis=1, dtype=np.float64))
    return [running.log_mean(), running.standard_error(), running.effective_sample_size(), rate]
