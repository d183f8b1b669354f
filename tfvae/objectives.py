"""What is optimised: from the terms of the evidence lower bound to a loss, in nats per example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfvae.distributions import _bernoulli, sample_and_kl


class ElboTerms(NamedTuple):
    """The two terms of the bound per example, ``[B]``, in nats and unweighted, with the sample they came from.

    ``elbo = reconstruction - kl`` is a lower bound of ``log p(x)`` in expectation over the noise.
    """

    reconstruction: tf.Tensor
    kl: tf.Tensor
    z: tf.Tensor

    @property
    def elbo(self) -> tf.Tensor:
        """The unweighted bound, ``[B]``."""
        return self.reconstruction - self.kl


def elbo_terms(q: Any, p: Any, likelihood: Callable[[tf.Tensor], Any], x: tf.Tensor, *, seed: Any) -> ElboTerms:
    """Return one-sample estimates of the terms of ``E_q[log p(x|z)] - KL(q(z|x) || p(z))``.

    Args:
        q: the posterior ``q(z|x)``, batch ``[B]``.
        p: the prior ``p(z)``.
        likelihood: turns ``z`` into the distribution ``p(x|z)``, batch ``[B]``.
        x: data ``[B, *event]``, cast to the dtype of ``p(x|z)`` by ``as_values_of``.
        seed: two integers, shape ``[2]``.

    Returns:
        ``ElboTerms(reconstruction, kl, z)``, both terms of shape ``[B]``.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013), equation 3.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> from tfvae.distributions import DiagonalNormal, Normal, StandardNormal
    >>> q = DiagonalNormal(1)([[0.0, 0.0]])
    >>> terms = tfvae.objectives.elbo_terms(q, StandardNormal(1)(), Normal(1), tf.zeros([1, 1]), seed=[1, 2])
    >>> terms.kl.numpy().tolist(), terms.elbo.shape.as_list()
    ([0.0], [1])
    """
    sample = sample_and_kl(q, p, seed=seed)
    decoded = likelihood(sample.z)
    reconstruction = tf.cast(log_prob(decoded, x), sample.kl.dtype)
    return ElboTerms(reconstruction, sample.kl, sample.z)


def log_prob(p: Any, x: tf.Tensor) -> tf.Tensor:
    """Return ``log p(x)`` of every example, ``[B]``: what ``p.log_prob(x)`` gives, of binary pixels in half the time.

    Binary pixels whose logits are in half precision have theirs in float32. In float32, pixels of logits beyond 17 may
    lose up to 6e-8 nats each.

    Args:
        p: a distribution of batch ``[B]``.
        x: data ``[B, *event]``, cast to the dtype of ``p`` by ``as_values_of``.

    Example:

    >>> import tfvae
    >>> p = tfvae.distributions.Bernoulli(2)([[0.0, 0.0]])
    >>> print(f"{tfvae.objectives.log_prob(p, [[1.0, 0.0]])[0]:.4f}")
    -1.3863
    """
    x = as_values_of(p, x)
    logits = _bernoulli.logits_of(p)
    if logits is None or not x.shape.is_compatible_with(logits.shape):
        return p.log_prob(x)
    x = tf.cast(x, logits.dtype)
    if not (x.shape.is_fully_defined() and logits.shape.is_fully_defined()):  # One may turn out to be for all.
        shape = tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(logits))
        known = [None, *p.event_shape]
        x, logits = (tf.ensure_shape(tf.broadcast_to(part, shape), known) for part in (x, logits))
    return tf.reshape(_bernoulli.log_prob(logits, x), tf.shape(logits)[:1])


def as_values_of(p: Any, x: tf.Tensor) -> tf.Tensor:
    """Return data in the dtype of the distribution ``p``, of which nothing may be lost where that is an integer.

    Raises:
        tf.errors.InvalidArgumentError: for fractions under a distribution of integers, unless inside XLA.

    Example:

    >>> import tensorflow as tf, tfvae, tensorflow_probability as tfp
    >>> tfvae.objectives.as_values_of(tfp.distributions.Bernoulli(0.0), tf.constant([0.0, 1.0])).dtype.name
    'int32'
    """
    x = tf.convert_to_tensor(x)
    if p.dtype.is_integer and x.dtype.is_floating:
        message = (
            f"x has fractions, which p(x|z) = {p.name} of {p.dtype.name} would cut off. Round x, or give the "
            "distribution a floating dtype."
        )
        tf.debugging.assert_equal(x, tf.round(x), message=message)
    return tf.cast(x, p.dtype)


def negative_elbo(terms: ElboTerms, kl_weight: Any = 1.0) -> tf.Tensor:
    """Return ``kl_weight * kl - reconstruction`` per example, ``[B]``: minus the bound where ``kl_weight`` is 1.

    Args:
        terms: the unweighted terms.
        kl_weight: scalar weight of the KL (``beta``).

    Source: Higgins et al., "beta-VAE" (2017), equation 4.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> terms = tfvae.objectives.ElboTerms(tf.constant([-3.0]), tf.constant([2.0]), tf.zeros([1, 1]))
    >>> tfvae.objectives.negative_elbo(terms, 0.5).numpy().tolist()
    [4.0]
    """
    return tf.cast(kl_weight, terms.kl.dtype) * terms.kl - terms.reconstruction
