"""What a variational autoencoder answers: its distributions, the bound, the evidence, samples and reconstructions."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfvae import evidence, objectives
from tfvae._checks import as_count
from tfvae.distributions import Family
from tfvae.layers._noise import NoiseState, as_seed_pair
from tfvae.models import _checks, _training


class Inference(keras.Model):
    """The methods of a ``VAE`` that change no weight but the state of its noise.

    In their examples ``p(z) = N(0, 1)`` and ``p(x|z) = N((2 z, z), I)``, so that
    ``p(z|x) = N((2 x_1 + x_2) / 6, 1 / 6)``, which the encoder gives exactly.
    """

    encoder: keras.layers.Layer
    decoder: keras.layers.Layer
    posterior_family: Family
    likelihood_family: Family
    prior_family: Family
    prior_params: Any
    noise: NoiseState

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return the mean of ``p(x|z)`` at the posterior mean, ``[B, *event]``. Adds no loss."""
        q = self._posterior(_checks.check_batch(x, self.likelihood_family), training)
        return self.likelihood_family.mean(self._likelihood(self.posterior_family.mean(q), training))

    def posterior(self, x: Any) -> Any:
        """Return ``q(z|x)``, a TFP distribution of batch shape ``[B]``.

        Args:
            x: data ``[B, *event]``.

        Raises:
            ValueError: for data of another shape, or a network whose output does not fit.

        Example:

        >>> import tfvae
        >>> vae = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0).as_vae()
        >>> q = vae.posterior([[6.0, 0.0]])
        >>> print(f"{q.mean()[0, 0]:.4f}, {q.variance()[0, 0]:.4f}")
        2.0000, 0.1667
        """
        return self._posterior(_checks.as_batch(x, self.likelihood_family), training=False)

    def prior(self) -> Any:
        """Return ``p(z)``, a TFP distribution of batch shape ``[]``.

        Example:

        >>> import tfvae
        >>> vae = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0).as_vae()
        >>> vae.prior().stddev().numpy().tolist()
        [1.0]
        """
        return self._prior(_checks.dtype_of_parameters(self.encoder))

    def likelihood(self, z: Any) -> Any:
        """Return ``p(x|z)``, a TFP distribution of batch shape ``[B]``.

        Args:
            z: latents ``[B, *latent]``.

        Raises:
            ValueError: for latents of another shape, or a network whose output does not fit.

        Example:

        >>> import tfvae
        >>> vae = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0).as_vae()
        >>> vae.likelihood([[3.0]]).mean().numpy().tolist()
        [[6.0, 3.0]]
        """
        return self._likelihood(_checks.as_latents(z, self.posterior_family), training=False)

    def elbo(self, x: Any, seed: Any = None) -> tf.Tensor:
        """Return a one-sample estimate of the unweighted bound of every example, ``[B]``, in nats.

        Args:
            x: data ``[B, *event]``.
            seed: an integer or two, for a reproducible result; None takes the model's own noise.

        Raises:
            ValueError: for data of another shape or, unless in a ``tf.function``, outside the support of the
                likelihood, NaN included.

        Example:

        >>> import tfvae
        >>> model = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0)
        >>> x = model.sample(10_000, seed=1)
        >>> bound = model.as_vae().elbo(x, seed=2)
        >>> abs(float(bound.numpy().mean() - model.log_evidence(x).numpy().mean())) < 0.03
        True
        """
        x = _checks.as_tensor(x)
        _checks.check_data(x, self.likelihood_family)
        return self._terms(x, self._seed(seed), training=False).elbo

    def log_likelihood(self, x: Any, num_samples: int = 1000, seed: Any = None) -> evidence.LogLikelihood:
        """Estimate ``log p(x)`` of every example by importance sampling; see ``tfvae.evidence.importance_weighted``.

        Args:
            x: data ``[B, *event]``, any number of rows: they and the samples are worked off in blocks.
            num_samples: number of importance samples per example.
            seed: an integer or two, for a reproducible result; None takes the model's own noise.

        Returns:
            ``LogLikelihood(estimate, standard_error, effective_sample_size, pareto_k)``, each ``[B]`` and float64.

        Raises:
            ValueError: for data of another shape or outside the support of the likelihood, NaN included.

        Example:

        >>> import tfvae
        >>> model = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0)
        >>> result = model.as_vae().log_likelihood([[6.0, 0.0]], seed=1)
        >>> print(f"{result.estimate[0]:.4f}, exactly {model.log_evidence([[6.0, 0.0]])[0]:.4f}")
        -8.7338, exactly -8.7338
        """
        return evidence.importance_weighted(self, _checks.as_tensor(x), num_samples=num_samples, seed=seed)

    def sample(self, n: int, seed: Any = None) -> tf.Tensor:
        """Return the mean of ``p(x|z)`` at ``n`` draws ``z ~ p(z)``, ``[n, *event]``.

        For draws of ``x`` itself take ``vae.likelihood(vae.prior().sample(n)).sample()``.

        Args:
            n: number of draws.
            seed: an integer or two, of which the low 32 bits count; None takes the model's own noise.

        Raises:
            ValueError: if ``n`` is no count, or ``seed`` none.

        Example:

        >>> import tfvae
        >>> vae = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0).as_vae()
        >>> vae.sample(5, seed=1).shape.as_list()
        [5, 2]
        """
        n = n if tf.is_tensor(n) else as_count(n, "n", at_least=0)
        z = self.prior().sample(n, seed=tf.cast(self._seed(seed), tf.int32))
        return self.likelihood_family.mean(self.likelihood(z))

    def reconstruct(self, x: Any) -> tf.Tensor:
        """Return the mean of ``p(x|z)`` at the posterior mean of ``z``, ``[B, *event]``, as ``predict`` does.

        Args:
            x: data ``[B, *event]``.

        Raises:
            ValueError: for data of another shape.

        Example:

        >>> import tfvae
        >>> vae = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0).as_vae()
        >>> vae.reconstruct([[6.0, 0.0]]).numpy().tolist()
        [[4.0, 2.0]]
        """
        return self(_checks.as_batch(x, self.likelihood_family), training=False)

    def encode(self, x: Any) -> tf.Tensor:
        """Return the posterior mean of ``z``, ``[B, *latent]``.

        Args:
            x: data ``[B, *event]``.

        Raises:
            ValueError: for data of another shape.

        Example:

        >>> import tfvae
        >>> vae = tfvae.exact.ProbabilisticPCA([[2.0], [1.0]], scale=1.0).as_vae()
        >>> vae.encode([[6.0, 0.0]]).numpy().tolist()
        [[2.0]]
        """
        return self.posterior_family.mean(self.posterior(x))

    def _posterior(self, x: tf.Tensor, training: bool | None) -> Any:
        params = self.encoder(x, training=training)
        return self.posterior_family(_checks.check_network_output(params, self.posterior_family, "encoder"))

    def _prior(self, dtype: tf.DType) -> Any:
        params = tf.zeros([0], dtype) if self.prior_params is None else tf.cast(self.prior_params, dtype)
        return self.prior_family(params)

    def _likelihood(self, z: tf.Tensor, training: bool | None) -> Any:
        params = self.decoder(z, training=training)
        return self.likelihood_family(_checks.check_network_output(params, self.likelihood_family, "decoder"))

    def _terms(self, x: tf.Tensor, seed: tf.Tensor, training: bool) -> objectives.ElboTerms:
        x = _checks.check_batch(x, self.likelihood_family)
        q = self._posterior(x, training)
        _checks.check_reparameterized(q)
        with _training.losses_kept(self.encoder):
            return objectives.elbo_terms(q, self._prior(q.dtype), lambda z: self._likelihood(z, training), x, seed=seed)

    def _seed(self, seed: Any) -> tf.Tensor:
        return self.noise.next_seed() if seed is None else as_seed_pair(seed)
