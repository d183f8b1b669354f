"""What all models with a known evidence share."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count
from tfvae.distributions._tfp import tfd
from tfvae.evidence import LogLikelihood
from tfvae.layers._noise import as_seed_pair


class ExactModel:
    """A latent-variable model of which ``p(x)`` and ``p(z|x)`` are known in closed form, in float64.

    A subclass sets ``event_shape`` and gives four TFP distributions: ``prior()``, ``likelihood(z)``, ``posterior(x)``
    and ``marginal()``; the rest follows. They are held together by Bayes' rule, for any ``z``:

        log p(x) = log p(x|z) + log p(z) - log p(z|x)

    Example:

    >>> import tfvae
    >>> model = tfvae.exact.BetaBernoulli(2.0, 3.0)
    >>> isinstance(model, tfvae.exact.ExactModel)
    True
    """

    event_shape: tuple[int, ...]
    support: str = "finite real numbers"

    def prior(self) -> Any:
        """Return ``p(z)``, a TFP distribution of batch shape ``[]``."""
        raise NotImplementedError(f"{type(self).__name__} must implement prior().")

    def likelihood(self, z: Any) -> Any:
        """Return ``p(x|z)``, a TFP distribution of batch shape ``[B]``, for ``B`` values of ``z``."""
        raise NotImplementedError(f"{type(self).__name__} must implement likelihood().")

    def posterior(self, x: Any) -> Any:
        """Return the exact ``p(z|x)``, a TFP distribution of batch shape ``[B]``, for ``x`` ``[B, *event_shape]``."""
        raise NotImplementedError(f"{type(self).__name__} must implement posterior().")

    def marginal(self) -> Any:
        """Return ``p(x)``, a TFP distribution of batch shape ``[]`` and event shape ``event_shape``."""
        raise NotImplementedError(f"{type(self).__name__} must implement marginal().")

    def is_supported(self, x: np.ndarray) -> np.ndarray:
        """Tell for every element of ``x`` whether it can come from the model; by default, if it is finite."""
        return np.isfinite(x)

    def log_evidence(self, x: Any) -> tf.Tensor:
        """Return ``log p(x)`` of every example, exact, ``[B]`` float64, in nats.

        Args:
            x: data ``[B, *event_shape]``.

        Raises:
            ValueError: for another shape, or values that the model cannot give.

        Example:

        >>> import tfvae
        >>> print(f"{tfvae.exact.GammaPoisson(3.0, 2.0).log_evidence([4.0])[0]:.4f}")
        -2.9028
        """
        return self.marginal().log_prob(self._data(x))

    def log_likelihood(self, x: Any, num_samples: int = 1000, seed: Any = None) -> LogLikelihood:
        """Return ``log p(x)`` as ``VAE.log_likelihood`` does, but exact: nothing is drawn and the error is 0.

        It is what importance sampling from the exact posterior gives, where all weights are equal.

        Args:
            x: data ``[B, *event_shape]``.
            num_samples: what ``effective_sample_size`` says.
            seed: not used.

        Returns:
            ``LogLikelihood``, each field ``[B]`` and float64.

        Example:

        >>> import tfvae
        >>> result = tfvae.exact.BetaBernoulli(2.0, 3.0).log_likelihood([1.0])
        >>> print(f"{result.estimate[0]:.4f} ± {result.standard_error[0]}")
        -0.9163 ± 0.0
        """
        samples = as_count(num_samples, "num_samples")
        estimate = self.log_evidence(x)

        def constant(value: float) -> tf.Tensor:
            return tf.fill([len(estimate)], tf.constant(value, tf.float64))

        # A tail of equal weights has no shape; the smallest says that no moment is missing.
        return LogLikelihood(estimate, constant(0.0), constant(samples), constant(float("-inf")))

    def elbo(self, x: Any, q: Any = None) -> tf.Tensor:
        """Return the evidence lower bound that ``q`` gives, exact, ``[B]`` float64, in nats.

        Computed as ``log p(x) - KL(q(z) || p(z|x))``, which is the decomposition of the evidence.

        Args:
            x: data ``[B, *event_shape]``.
            q: a float64 TFP distribution of the posterior's kind, of batch shape ``[B]`` or ``[]``; the posterior
                itself if None, for which the bound is the evidence.

        Raises:
            TypeError: if ``q`` is not of the posterior's dtype.
            NotImplementedError: if TFP knows no KL from ``q`` to the posterior.

        Source: Jordan et al., "An Introduction to Variational Methods for Graphical Models" (1999), section 6.

        Example:

        >>> import tfvae
        >>> model = tfvae.exact.GammaPoisson(3.0, 2.0)
        >>> gap = model.log_evidence([4.0]) - model.elbo([4.0], q=model.prior())
        >>> print(f"{gap[0]:.4f}")
        0.8567
        """
        log_evidence, posterior = self.log_evidence(x), self.posterior(x)
        if q is None:
            return log_evidence
        if q.dtype != posterior.dtype:
            raise TypeError(
                f"q must be a distribution of {posterior.dtype.name}, as the posterior is, not of {q.dtype.name}. "
                f"Make it of {posterior.dtype.name} parameters."
            )
        return log_evidence - q.kl_divergence(posterior)

    def encode(self, x: Any) -> tf.Tensor:
        """Return the posterior mean of ``z`` for every example."""
        return self.posterior(x).mean()

    def reconstruct(self, x: Any) -> tf.Tensor:
        """Return the mean of ``p(x|z)`` at the posterior mean of ``z``, ``[B, *event_shape]``."""
        return self.likelihood(self.encode(x)).mean()

    def sample(self, n: int, seed: Any = None) -> tf.Tensor:
        """Return ``n`` draws ``x ~ p(x)``, ``[n, *event_shape]`` float64: data, where ``VAE.sample`` gives their means.

        Args:
            n: number of draws.
            seed: an integer or two, for a reproducible result; None takes one from Python's ``random``.

        Example:

        >>> import tfvae
        >>> tfvae.exact.BetaBernoulli([2.0, 1.0], [3.0, 1.0]).sample(5, seed=1).shape.as_list()
        [5, 2]
        """
        start = as_seed_pair(random.randrange(2**31) if seed is None else seed)
        return self.marginal().sample(as_count(n, "n", at_least=0), seed=tf.cast(start, tf.int32))

    def _of_event(self, distribution: Any) -> Any:
        """Return independent variables, one for every element of an event, as one."""
        return tfd.Independent(distribution, reinterpreted_batch_ndims=len(self.event_shape))

    def _data(self, x: Any) -> tf.Tensor:
        """Return ``x`` in float64, its shape checked, and its values where they are known."""
        x = tf.convert_to_tensor(x, dtype_hint=tf.float64)
        if not (x.dtype.is_floating or x.dtype.is_integer or x.dtype.is_bool):
            raise ValueError(f"The data of {type(self).__name__} must be numbers, not {x.dtype.name}.")
        expected = ["B", *self.event_shape]
        if x.shape.rank is not None and (
            x.shape.rank != len(expected) or not x.shape[1:].is_compatible_with(self.event_shape)
        ):
            raise ValueError(
                f"The data of this {type(self).__name__} must have shape [{', '.join(map(str, expected))}], not "
                f"{x.shape.as_list()}. For one example take x[None]."
            )
        x = tf.cast(x, tf.float64)
        if hasattr(x, "numpy"):
            self._check_support(x.numpy())
        return x

    def _check_support(self, x: np.ndarray) -> None:
        bad = ~self.is_supported(x)
        if bad.any():
            first = [int(i) for i in np.argwhere(bad)[0]]
            raise ValueError(
                f"{type(self).__name__} expects values that are {self.support}; {int(bad.sum())} of {x.size} values "
                f"are not, the first being {x[tuple(first)].item()!r} at index {first}."
            )
