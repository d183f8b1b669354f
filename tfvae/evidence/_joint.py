"""``log p(x, z)`` of a model, over all real numbers whatever the support of ``z``."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.distributions._tfp import tfd
from tfvae.evidence._densities import log_density
from tfvae.objectives import as_values_of, log_prob


class Joint:
    """``log p(x|z)`` and ``log p(z)`` as functions of ``u`` without bounds, ``z = bijector(u)``.

    TFP's own bijector for the prior: the identity for a Gaussian, softplus for a Gamma, sigmoid for a Beta. The density
    of ``u`` has the Jacobian in it, so integrals over ``u`` are those over ``z``.

    Args:
        model: anything with ``prior()`` and ``likelihood(z)``.
        what: the estimator, for the message.

    Raises:
        ValueError: if ``z`` is discrete, or TFP knows no such bijector.
    """

    def __init__(self, model: Any, what: str) -> None:
        p = model.prior()
        self.model, self.dtype, self.event_shape = model, p.dtype, p.event_shape.as_list()
        self.bijector: Any = _event_space_bijector(p) if p.dtype.is_floating else None
        if self.bijector is None or p.batch_shape.rank:
            raise ValueError(
                f"{what} needs a prior over continuous z of batch shape [], on whose support TFP has a bijector; not "
                f"{p.name} of dtype {p.dtype.name} and batch shape {p.batch_shape}. Take importance_weighted."
            )
        event_shape = self.bijector.inverse_event_shape(p.event_shape).as_list()
        if event_shape != self.event_shape:
            raise ValueError(f"{what} cannot do with {p.name}, whose z has fewer dimensions than its event shape.")
        self._what = what

    def of(self, model: Any) -> Joint:
        """Return the same of another model."""
        return Joint(model, self._what)

    @property
    def size(self) -> int:
        """Number of latent dimensions."""
        return int(np.prod(self.event_shape, dtype=np.int64))

    def draw_prior(self, shape: Any, seed: tf.Tensor) -> tf.Tensor:
        """Return ``u`` of draws ``z ~ p(z)``, ``[*shape, *event]``."""
        return self.bijector.inverse(self.model.prior().sample(shape, seed=tf.cast(seed, tf.int32)))

    def log_prior(self, u: tf.Tensor) -> tf.Tensor:
        """Return the log of the prior density of ``u``, of shape ``u`` less the event."""
        p = self.model.prior()
        of_u = log_density(p)
        if of_u is not None:
            return of_u(u)
        jacobian = self.bijector.forward_log_det_jacobian(u, event_ndims=len(self.event_shape))
        return p.log_prob(self.bijector.forward(u)) + jacobian

    def log_likelihood(self, x: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        """Return ``log p(x|z)``, ``[B, n]``, for ``x`` ``[B, *event]`` and ``u`` ``[B, n, *latent]``."""
        flat = tf.reshape(u, tf.concat([[-1], tf.shape(u)[2:]], axis=0))
        decoded = self.model.likelihood(self.bijector.forward(flat))
        values = tf.repeat(as_values_of(decoded, x), tf.shape(u)[1], axis=0)
        return tf.reshape(log_prob(decoded, values), tf.shape(u)[:2])


def _event_space_bijector(p: Any) -> Any:
    """Return TFP's bijector onto the support of ``p``, or None; of a mixture, where TFP has none, of its components."""
    if isinstance(p, tfd.Independent):
        return _event_space_bijector(p.distribution)
    if not isinstance(p, tfd.MixtureSameFamily):
        return p.experimental_default_event_space_bijector()
    bijector = p.components_distribution.experimental_default_event_space_bijector()
    return None if bijector is None or bijector.experimental_batch_shape().rank else bijector
