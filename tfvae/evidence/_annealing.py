"""Hamiltonian Monte Carlo along the path from the prior to the posterior, there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count
from tfvae.distributions._tfp import tfp
from tfvae.evidence._graphs import of_model, traced
from tfvae.evidence._job import seeds_of
from tfvae.evidence._joint import Joint

LEAPFROG_STEPS = 5
# Chains that go together: 32 examples of 32 chains are 1024 rows for the decoder.
CHAINS = 32
# The preliminary run, from which come the step sizes.
PILOT_CHAINS = 16
PILOT_TEMPERATURES = 50
PILOT_TRANSITIONS = 3
_TARGET_ACCEPTANCE = 0.8
_LARGEST_STEP = 1.2  # in standard deviations of the chains

Advance = Callable[[], None]


@dataclass(frozen=True)
class Schedule:
    """The temperatures of the path ``p(z) p(x|z)^beta``.

    ``"geometric"``: ``beta_t = t / T``. ``"sigmoidal"``: with ``s_t = 1 / (1 + exp(-4 (2 t / T - 1)))``,
    ``beta_t = (s_t - s_0) / (s_T - s_0)``, which is close-set at both ends.
    """

    name: str
    num_steps: int

    def __post_init__(self) -> None:
        as_count(self.num_steps, "num_steps")
        if self.name not in ("geometric", "sigmoidal"):
            raise ValueError(f'schedule must be "sigmoidal" or "geometric", not {self.name!r}.')

    @property
    def betas(self) -> np.ndarray:
        """``[T + 1]``, from 0 to 1."""
        even = np.arange(self.num_steps + 1) / self.num_steps
        if self.name == "geometric":
            return even
        sigmoid = 1 / (1 + np.exp(-4 * (2 * even - 1)))
        return (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])


class StepSizes:
    """Step sizes for every temperature, ``[B, 1, *latent]`` each, of which those at some are kept.

    Args:
        logarithms: ``[P, B, 1, *latent]``, at the temperatures ``indices``; linear between them.
        indices: ``[P]``, rising.
    """

    def __init__(self, logarithms: np.ndarray, indices: list[int]) -> None:
        self._logarithms, self._indices = logarithms, indices

    def at(self, t: int) -> np.ndarray:
        """Return those at temperature ``t``."""
        position = np.interp(t, self._indices, np.arange(len(self._indices)))
        lower = int(position)
        upper = min(lower + 1, len(self._indices) - 1)
        part = self._logarithms.dtype.type(position - lower)
        step: np.ndarray = np.exp((1 - part) * self._logarithms[lower] + part * self._logarithms[upper])
        return step


class Annealer:
    """Transitions that leave ``p(z) p(x|z)^beta`` as it is, and the chains of them.

    Chains are ``[B, C, *latent]``, the examples first: noise drawn in that order for fewer examples is the same.

    Args:
        joint: the model over unbounded ``u``.
        x_spec: dtype and shape ``[None, *event]`` of the data.
        betas: the temperatures, from 0 to 1.
    """

    def __init__(self, joint: Joint, x_spec: tf.TensorSpec, betas: np.ndarray) -> None:
        self.joint, self.betas = joint, betas
        key = ("annealing", x_spec.dtype, tuple(x_spec.shape[1:]))
        self._move, self._score = of_model(joint.model, key, lambda model: _functions(joint.of(model), x_spec))

    def find_steps(self, x: tf.Tensor, seed: tf.Tensor, advance: Advance) -> StepSizes:
        """Return step sizes for every temperature, example and dimension.

        A run of its own, in which a multiple of the chains' standard deviation is adapted so that four of five
        proposals are accepted.
        """
        seeds = seeds_of(seed, 1 + PILOT_TEMPERATURES * PILOT_TRANSITIONS)
        u = self.joint.draw_prior([len(x), PILOT_CHAINS], seeds[0])
        spread = np.log(_standard_deviation(u))
        log_multiple, found, indices = np.full(len(x), np.log(0.5)), [], _pilot_indices(self.betas)
        for i, index in enumerate(indices):
            beta = tf.constant(self.betas[index], self.joint.dtype)
            for j in range(PILOT_TRANSITIONS):
                step = np.exp(spread + _as_column(log_multiple, spread))
                u, _, accepted = self._move(x, u, beta, step, seeds[1 + i * PILOT_TRANSITIONS + j])
                log_multiple += np.mean(accepted, axis=1) - _TARGET_ACCEPTANCE
                log_multiple = np.minimum(log_multiple, np.log(_LARGEST_STEP))
            spread = 0.5 * (spread + np.log(_standard_deviation(u)))
            found.append(spread + _as_column(log_multiple, spread))
            advance()
        return StepSizes(np.array(found), indices)

    def forward(
        self, x: tf.Tensor, num_chains: int, steps: StepSizes, seed: tf.Tensor, advance: Advance
    ) -> tuple[np.ndarray, np.ndarray]:
        """Anneal from the prior; return the log-weights, of mean weight ``p(x)``, and the acceptance, ``[B, C]``."""
        seeds = seeds_of(seed, len(self.betas))
        u = self.joint.draw_prior([len(x), num_chains], seeds[0])
        log_likelihood, log_weights = self._score(x, u), np.zeros([len(x), num_chains])
        accepted, transitions = np.zeros_like(log_weights), len(self.betas) - 2
        for t in range(1, len(self.betas)):
            log_weights += (self.betas[t] - self.betas[t - 1]) * np.asarray(log_likelihood, np.float64)
            if t < len(self.betas) - 1:
                u, log_likelihood, acceptance = self._at(t, x, u, steps, seeds[t])
                accepted += acceptance.numpy()
            advance()
        return log_weights, accepted / transitions if transitions else np.full_like(log_weights, np.nan)

    def reverse(self, x: tf.Tensor, u: tf.Tensor, steps: StepSizes, seed: tf.Tensor, advance: Advance) -> np.ndarray:
        """Anneal from exact draws of the posterior to the prior; return log-weights of mean weight ``1 / p(x)``.

        Before that, transitions at ``beta = 1`` take chains that start at one draw apart, as far as they may.
        """
        last, apart = len(self.betas) - 1, 10
        seeds = seeds_of(seed, last + apart)
        for i in range(apart):
            u, log_likelihood, _ = self._at(last, x, u, steps, seeds[last + i])
        log_weights = np.zeros(u.shape[:2])
        for t in range(last, 0, -1):
            log_weights -= (self.betas[t] - self.betas[t - 1]) * np.asarray(log_likelihood, np.float64)
            if t > 1:
                u, log_likelihood, _ = self._at(t - 1, x, u, steps, seeds[t])
            advance()
        return log_weights

    def _at(
        self, t: int, x: tf.Tensor, u: tf.Tensor, steps: StepSizes, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return self._move(x, u, tf.constant(self.betas[t], self.joint.dtype), steps.at(t), seed)


def _functions(joint: Joint, x_spec: tf.TensorSpec) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the transition and the ``log p(x|z)`` of chains, traced."""

    def transition(
        x: tf.Tensor, u: tf.Tensor, beta: tf.Tensor, step: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the chains after a transition, their ``log p(x|z)`` and whether they moved, as 0 or 1."""

        def target(u: tf.Tensor) -> tf.Tensor:
            return joint.log_prior(u) + beta * tf.cast(joint.log_likelihood(x, u), u.dtype)

        kernel = tfp.mcmc.HamiltonianMonteCarlo(target, step_size=step, num_leapfrog_steps=LEAPFROG_STEPS)
        u, results = kernel.one_step(u, kernel.bootstrap_results(u), seed=seed)
        return u, joint.log_likelihood(x, u), tf.cast(results.is_accepted, u.dtype)

    chains = tf.TensorSpec([None, None, *joint.event_shape], joint.dtype)
    steps = tf.TensorSpec([None, 1, *joint.event_shape], joint.dtype)
    beta, seed = tf.TensorSpec([], joint.dtype), tf.TensorSpec([2], tf.int32)
    return traced(transition, [x_spec, chains, beta, steps, seed]), traced(joint.log_likelihood, [x_spec, chains])


def units_of(betas: np.ndarray, num_chains: int, directions: int = 1) -> int:
    """Return how often ``advance`` is called for a block: once a temperature, in the preliminary run and after."""
    return len(_pilot_indices(betas)) + -(-num_chains // CHAINS) * directions * (len(betas) - 1)


def groups_of(num_chains: int, seed: tf.Tensor) -> list[tuple[int, tf.Tensor]]:
    """Return sizes and seeds of the groups in which the chains go."""
    sizes = [min(CHAINS, num_chains - first) for first in range(0, num_chains, CHAINS)]
    return list(zip(sizes, seeds_of(seed, len(sizes)), strict=True))


def _pilot_indices(betas: np.ndarray) -> list[int]:
    last = len(betas) - 1
    return sorted({round(i) for i in np.linspace(0, last, min(PILOT_TEMPERATURES, last + 1))})


def _standard_deviation(u: tf.Tensor) -> np.ndarray:
    """Return that of the chains, ``[B, 1, *latent]``, never 0."""
    return np.maximum(np.std(u.numpy(), axis=1, keepdims=True), 1e-6)


def _as_column(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.reshape(values, [-1] + [1] * (like.ndim - 1)).astype(like.dtype)
