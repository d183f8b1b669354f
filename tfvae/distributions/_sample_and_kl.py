"""One sample of q and its KL to p, by the cheapest exact way there is."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfvae import ops
from tfvae.distributions._normal import StandardNormalArray, StandardNormalDiag, log_var_of
from tfvae.distributions._tfp import tfd
from tfvae.ops import _checks


class SampleAndKL(NamedTuple):
    """A sample ``z`` of ``q``, the ``kl`` in nats, and how it was computed.

    ``method`` is ``"fused"`` (the op, exact), ``"analytic"`` (TFP's formula, exact) or ``"monte_carlo"`` (the unbiased
    estimate ``log q(z) - log p(z)`` of this sample; it may be negative).
    """

    z: tf.Tensor
    kl: tf.Tensor
    method: str


def sample_and_kl(q: Any, p: Any, *, seed: Any) -> SampleAndKL:
    """Draw ``z ~ q`` and return it with ``KL(q || p)`` in nats.

    ``z`` is differentiable in the parameters of ``q`` where TFP can reparameterize ``q``
    (``q.reparameterization_type``): Gaussians can be, discrete distributions cannot.

    Both diagonal Gaussians (``MultivariateNormalDiag``, ``Independent(Normal)`` over all axes): the fused op.
    Else TFP's registered KL. Else ``log q(z) - log p(z)``.

    Args:
        q: a TFP distribution, batch ``[...]``, event ``[D]`` or other.
        p: a TFP distribution over the same events, its batch broadcasting with that of ``q``.
        seed: two integers (int32 or int64, shape ``[2]``). Off the fused path ``z`` is
            ``q.sample(seed=tf.cast(seed, tf.int32))``.

    Returns:
        ``SampleAndKL(z, kl, method)``: ``z`` of shape ``[..., *event]`` and dtype of ``q``, ``kl`` of shape ``[...]``.

    Raises:
        TypeError: if the dtypes differ, or the seed is no integer tensor.
        ValueError: if the event shapes differ, the batch shapes do not broadcast, or the seed has not shape ``[2]``.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013), estimators A and B.

    Example:

    >>> import tfvae
    >>> q, p = tfvae.distributions.DiagonalNormal(2)([[1.0, 1.0, 0.0, 0.0]]), tfvae.distributions.StandardNormal(2)()
    >>> sample = tfvae.sample_and_kl(q, p, seed=[1, 2])
    >>> sample.kl.numpy().tolist(), sample.method
    ([1.0], 'fused')
    """
    if q.dtype != p.dtype:
        raise TypeError(
            f"q and p must have one dtype, not {q.dtype.name} and {p.dtype.name}. Cast the parameters of one."
        )
    if not q.event_shape.is_compatible_with(p.event_shape):
        raise ValueError(f"q and p must be over the same events, not of shapes {q.event_shape} and {p.event_shape}.")
    try:
        tf.broadcast_static_shape(q.batch_shape, p.batch_shape)
    except ValueError:
        shapes = f"{q.batch_shape} and {p.batch_shape}"
        raise ValueError(f"The batches of q and p must broadcast, not have the shapes {shapes}.") from None
    seed = _checks.as_seed(seed)
    fused = fused_arguments(q, p)
    if fused is not None:
        z, kl = ops.reparameterize_kl(**fused, seed=seed)
        return SampleAndKL(as_events(z, q), kl, "fused")
    z = q.sample(seed=tf.cast(seed, tf.int32))
    try:
        return SampleAndKL(z, q.kl_divergence(p), "analytic")
    except NotImplementedError:
        return SampleAndKL(z, q.log_prob(z) - p.log_prob(z), "monte_carlo")


def fused_arguments(q: Any, p: Any) -> dict[str, tf.Tensor] | None:
    """Return the arguments by which the fused ops take a pair of diagonal Gaussians, or None for any other pair.

    Events of several axes are flattened into vectors, and so is the ``z`` that the ops give: see ``as_events``.
    """
    q_params, p_params = _gaussian_params(q), _gaussian_params(p)
    if q_params is None or p_params is None or not _broadcasts_into(p.batch_shape, q.batch_shape):
        return None
    arguments = {"mean": q_params[0], "log_var": q_params[1]}
    is_standard = isinstance(p, StandardNormalDiag | StandardNormalArray)
    if is_standard and p.log_var is not None:  # A copy with other parameters has none.
        return arguments
    if p.batch_shape.rank != 0:
        shape = tf.shape(q_params[0])
        p_params = tf.broadcast_to(p_params[0], shape), tf.broadcast_to(p_params[1], shape)
    return {**arguments, "prior_mean": p_params[0], "prior_log_var": p_params[1]}


def as_events(z: tf.Tensor, q: Any) -> tf.Tensor:
    """Return samples ``[..., D]`` of a fused op in the shape of events of ``q``, ``[..., *event]``."""
    if q.event_shape.rank == 1:
        return z
    shaped = tf.reshape(z, tf.concat([tf.shape(z)[:-1], q.event_shape_tensor()], axis=0))
    return tf.ensure_shape(shaped, z.shape[:-1].concatenate(q.event_shape))


def _gaussian_params(distribution: Any) -> tuple[tf.Tensor, tf.Tensor] | None:
    """Return ``mean`` and ``log_var`` of a diagonal Gaussian as vectors ``[..., D]``, or None for anything else."""
    if isinstance(distribution, tfd.MultivariateNormalDiag):
        # A copy with other parameters has no log_var, and a mean that may have to be broadcast.
        mean = distribution.loc if getattr(distribution, "log_var", None) is not None else distribution.mean()
        return mean, log_var_of(distribution)
    independent = isinstance(distribution, tfd.Independent) and isinstance(distribution.distribution, tfd.Normal)
    rank = distribution.event_shape.rank
    if not independent or not rank:
        return None
    mean, log_var = distribution.mean(), log_var_of(distribution)
    return (mean, log_var) if rank == 1 else (_flattened(mean, rank), _flattened(log_var, rank))


def _flattened(tensor: tf.Tensor, rank: int) -> tf.Tensor:
    size = tensor.shape[-rank:].num_elements()
    flat = tf.reshape(tensor, tf.concat([tf.shape(tensor)[:-rank], [-1 if size is None else size]], axis=0))
    return tf.ensure_shape(flat, [*tensor.shape[:-rank], size])


def _broadcasts_into(batch_shape: tf.TensorShape, target: tf.TensorShape) -> bool:
    """Tell whether it is certain that the shape of q's samples is that of ``mean - prior_mean``."""
    if batch_shape.rank == 0:
        return True
    if not (batch_shape.is_fully_defined() and target.is_fully_defined()):
        return False
    try:
        return tf.broadcast_static_shape(batch_shape, target) == target
    except ValueError:
        return False
