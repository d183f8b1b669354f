"""The best posterior of an encoder's own family, found for every example by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfvae.distributions import Family
from tfvae.distributions._sample_and_kl import fused_arguments
from tfvae.distributions._tfp import ShapeParameterProperties, tfd
from tfvae.evidence import _draws
from tfvae.evidence._graphs import traced
from tfvae.evidence._job import ROWS

STEPS = 400
SAMPLES = 32
_LEARNING_RATE = 0.1
# Times that many draws the encoder's q and the one found are compared by in the end.
_COMPARED = 8


class FreePosterior:
    """The parameters of ``q(z|x)`` as tensors of free real numbers, one row per example.

    Of a model with a ``posterior_family`` and an ``encoder``, as ``tfvae.VAE``: the encoder's output. Of any other: all
    floating parameters of the TFP distribution that ``posterior(x)`` gives, through TFP's bijectors for them (the
    logarithm or softplus of a scale, say), so the family is that distribution's: ``MultivariateNormalTriL`` has a full
    covariance, ``Gamma`` its concentration and rate.

    Args:
        model: the model.

    Raises:
        ValueError: when started, if samples of the posterior are not differentiable in its parameters, or those are
            not tensors that TFP knows the range of.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        family = getattr(model, "posterior_family", None)
        self._family = family if isinstance(family, Family) and callable(getattr(model, "encoder", None)) else None

    def start(self, x: tf.Tensor) -> tuple[list[tf.Tensor], Callable[[list[tf.Tensor]], Any]]:
        """Return the encoder's parameters for ``x`` and the function that makes ``q`` of such parameters."""
        if self._family is not None:
            params = tf.convert_to_tensor(self._model.encoder(x, training=False))
            half = params.dtype in (tf.float16, tf.bfloat16)
            return [tf.cast(params, tf.float32) if half else params], lambda free: self._family(free[0])
        q = self._model.posterior(x)
        if q.reparameterization_type != tfd.FULLY_REPARAMETERIZED:
            raise ValueError(
                f"The gap is split by optimising q, whose samples must then be differentiable in its parameters; those "
                f"of {q.name} are not. Take importance_weighted and the ELBO."
            )
        return _free_parameters(q)

    def best(self, x: tf.Tensor, count: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        """Return the parameters that maximise every example's ELBO, of ``padded`` rows of which ``count`` count.

        Adam from the encoder's parameters, by new noise at every step, its rate going to 0 as half a cosine. An example
        that this does not improve, by draws of their own, keeps the encoder's.
        """
        start, make = self.start(x)
        p, shown = self._model.prior(), x[:count]

        def of_step(free: list[tf.Tensor], index: tf.Tensor) -> tf.Tensor:
            noise = tf.random.experimental.stateless_fold_in(seed, index, alg="philox")
            z, penalty = _draw(make, free, p, noise, SAMPLES)
            value = _draws.log_likelihood(self._model, shown, z[:, :count])
            return tf.reduce_mean(value - tf.cast(penalty[..., :count], tf.float64), axis=0)

        # A graph of its own, because it is called from several places.
        bound = traced(
            of_step, [[tf.TensorSpec(value.shape, value.dtype) for value in start], tf.TensorSpec([], tf.int32)]
        )
        found = _adam(lambda free, step: tf.reduce_sum(bound(free, step)), start)
        indices = [tf.constant(STEPS + i) for i in range(_COMPARED)]
        better = tf.add_n([bound(found, i) for i in indices]) > tf.add_n([bound(start, i) for i in indices])
        better = tf.concat([better, tf.zeros([ROWS - count], tf.bool)], axis=0)
        return [
            tf.where(tf.reshape(better, [ROWS] + [1] * (new.shape.rank - 1)), new, old)
            for new, old in zip(found, start, strict=True)
        ]


def analytic_kl(q: Any, p: Any) -> tf.Tensor | None:
    """Return ``KL(q || p)`` where TFP knows it, else None."""
    try:
        return q.kl_divergence(p)
    except NotImplementedError:
        return None


def _draw(
    make: Callable[[list[tf.Tensor]], Any], free: list[tf.Tensor], p: Any, seed: tf.Tensor, samples: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return draws of ``q`` and what their ``log p(x|z)`` must pay: the KL to ``p``, ``[B]``, or samples of it.

    Of a diagonal Gaussian every draw comes with its mirror image, and their second moments are those of ``q``: along an
    axis a quadratic ``log p(x|z)`` then has no noise. Of another ``q`` the gradient passes through the draws alone
    ("sticking the landing", Roeder et al. 2017): where the family has the posterior in it, it has no noise there.
    """
    q = make(free)
    kl = analytic_kl(q, p) if fused_arguments(q, p) is not None else None
    if kl is None:
        z = q.sample(samples, seed=tf.cast(seed, tf.int32))
        return z, _draws.log_ratio(make([tf.stop_gradient(value) for value in free]), p, z)
    z, _ = _draws.draw(q, p, seed, samples // 2)
    deviation = z - q.mean()
    deviation *= q.stddev() * tf.math.rsqrt(tf.reduce_mean(tf.square(deviation), axis=0))
    return tf.concat([q.mean() + deviation, q.mean() - deviation], axis=0), kl


def _free_parameters(q: Any) -> tuple[list[tf.Tensor], Callable[[list[tf.Tensor]], Any]]:
    if isinstance(q, tfd.Independent):
        start, make_inner = _free_parameters(q.distribution)
        return start, lambda free: q.copy(distribution=make_inner(free))
    names, start, bijectors = [], [], []
    for name, about in _properties(q).items():
        value = q.parameters.get(name)
        if value is None or isinstance(about, ShapeParameterProperties):
            continue
        if not about.is_tensor:
            raise _unknown(q, f"its parameter {name} is no tensor but {type(value).__name__}")
        tensor = tf.convert_to_tensor(value, dtype_hint=q.dtype)
        if not tensor.dtype.is_floating:
            continue
        try:
            bijector = about.default_constraining_bijector_fn()
        except NotImplementedError as error:
            raise _unknown(q, f"TFP does not say what values its parameter {name} may take") from error
        event = tensor.shape[tensor.shape.rank - about.event_ndims :]
        names.append(name)
        bijectors.append(bijector)
        start.append(bijector.inverse(tf.broadcast_to(tensor, [*q.batch_shape, *event])))

    def make(free: list[tf.Tensor]) -> Any:
        values = {name: b.forward(value) for name, b, value in zip(names, bijectors, free, strict=True)}
        return q.copy(**values)

    return start, make


def _properties(q: Any) -> dict[str, Any]:
    try:
        return type(q).parameter_properties(dtype=q.dtype)
    except NotImplementedError as error:
        raise _unknown(q, "it does not tell its parameters") from error


def _unknown(q: Any, why: str) -> ValueError:
    return ValueError(
        f"The gap is split by optimising q in its family, and which numbers {q.name} is made of is not known: {why}. "
        "Give posterior(x) as a distribution of tensors, or Independent of one, or take importance_weighted and the "
        "ELBO."
    )


def _adam(objective: Callable[[list[tf.Tensor], tf.Tensor], tf.Tensor], start: list[tf.Tensor]) -> list[tf.Tensor]:
    """Maximise ``objective(free, step)`` by ``STEPS`` steps of Adam (Kingma & Ba 2015)."""

    def take_step(step: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        free, first, second = (list(state[i::3]) for i in range(3))
        with tf.GradientTape() as tape:
            tape.watch(free)
            value = objective(free, step)
        gradients = tape.gradient(value, free, unconnected_gradients="zero")
        done = tf.cast(step, tf.float64) / STEPS
        rate, time = _LEARNING_RATE * 0.5 * (1.0 + tf.cos(3.14159265 * done)), tf.cast(step + 1, tf.float64)
        result: list[tf.Tensor] = []
        for value, mean, square, gradient in zip(free, first, second, gradients, strict=True):
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.99 * square + 0.01 * tf.square(gradient)
            scale = tf.sqrt(square / tf.cast(1.0 - 0.99**time, square.dtype)) + 1e-12
            change = mean / tf.cast(1.0 - 0.9**time, mean.dtype) / scale
            result += [value + tf.cast(rate, value.dtype) * change, mean, square]
        return (step + 1, *result)

    state = [part for value in start for part in (value, tf.zeros_like(value), tf.zeros_like(value))]
    final = tf.while_loop(lambda step, *_: step < STEPS, take_step, (tf.constant(0), *state), parallel_iterations=1)
    return list(final[1::3])
