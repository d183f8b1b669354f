"""The Sampling layer of the Keras VAE tutorial, with its KL."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfvae import ops
from tfvae.layers._checks import as_kl_weight
from tfvae.layers._kl_weight import WeightedKL
from tfvae.layers._noise import NoiseState

_EXPECTED = "GaussianLatent takes (mean, log_var), or (mean, log_var, prior_mean, prior_log_var)"


@keras.saving.register_keras_serializable(package="tfvae")
class GaussianLatent(WeightedKL):
    r"""Draws ``z ~ N(mean, exp(log_var))`` and adds the KL to the prior to the model's loss.

    A replacement of one line for the ``Sampling`` layer of the Keras VAE tutorial, in functional, Sequential and
    subclassed models compiled with any Keras loss. The layer samples in training and inference alike. It adds

        kl_weight * mean over the batch of KL(N(mean, exp(log_var)) || prior)      (nats, float32)

    by ``add_loss``, the KL summed over all axes but the first. The prior is ``N(0, 1)``, or, for conditional and
    hierarchical models, the Gaussian that further inputs describe; they receive its gradient. A Keras loss such as
    ``"mse"`` is a mean over pixels; for a bound of ``log p(x)`` it must be a sum over them (or take ``tfvae.VAE``,
    which does that).

    Keras tells a layer neither weights of examples or classes nor, here, masks: every example counts alike, and every
    step of a padded sequence. Where it should not, and in the cell of a ``keras.layers.RNN``, out of which no loss of a
    layer comes, take ``return_kl`` and add the KL to a loss of your own.

    Args:
        kl_weight: initial value of the weight of the KL, a saved float32 weight of the layer that may be assigned.
        seed: where the noise starts, an integer, or None to draw one from Python's ``random``.
        return_kl: give ``(z, kl)`` with ``kl`` per example, ``[...]``, instead of adding a loss.

    Inputs:
        A pair ``(mean, log_var)``, each ``[B, ..., D]``, or one tensor ``[B, ..., 2 D]``: ``mean``, then ``log_var``.
        For a prior other than ``N(0, 1)`` four tensors ``(mean, log_var, prior_mean, prior_log_var)``, the last two
        both of the shape of ``mean``, or both ``[D]``.

    Outputs:
        ``z`` ``[B, ..., D]`` in the dtype of the inputs; with ``return_kl`` also ``kl`` ``[B, ...]`` (float64 for
        float64 inputs, else float32).

    Raises:
        ValueError: for a bad argument, or inputs that are not of these shapes.

    Source: https://keras.io/examples/generative/vae/; Kingma & Welling, "Auto-Encoding Variational Bayes" (2013).
    Priors from networks: Sohn, Lee & Yan, "Learning Structured Output Representation using Deep Conditional Generative
    Models" (2015).

    Example:

    >>> import keras, tfvae
    >>> inputs = keras.Input([8])
    >>> z = tfvae.layers.GaussianLatent()((keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)))
    >>> model = keras.Model(inputs, keras.layers.Dense(8)(z))
    >>> model.compile("adam", loss="mse")
    """

    def __init__(
        self,
        kl_weight: float = 1.0,
        seed: int | None = None,
        return_kl: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(return_kl, bool):
            raise ValueError(f"return_kl must be True or False, not {return_kl!r}.")
        if return_kl and as_kl_weight(kl_weight) != 1.0:
            raise ValueError("With return_kl=True the layer adds no loss, so kl_weight would do nothing: leave it out.")
        self.return_kl = return_kl
        self.noise = NoiseState(seed, name="noise")
        if not return_kl:
            self._add_kl_weight(kl_weight)

    def build(self, input_shape: Any) -> None:
        """Check the input shapes; there is nothing to build."""
        if not _are_several(input_shape):
            size = input_shape[-1] if input_shape else None
            if not isinstance(size, int) or size % 2 or len(input_shape) < 2:
                raise ValueError(
                    f"{_EXPECTED}, or one tensor with mean and log_var in its last axis, whose size is then even; not "
                    f"inputs of shape {input_shape}."
                )
            return
        mean, log_var, *prior = (tf.TensorShape(shape) for shape in input_shape)
        if not mean.is_compatible_with(log_var):
            raise ValueError(f"mean and log_var must have one shape, not {mean} and {log_var}.")
        if mean.rank is not None and mean.rank < 2:
            raise ValueError(
                f"mean and log_var must have shape [B, ..., D], not {mean}. For one example take mean[None]."
            )
        for shape in prior:
            if not any(shape.is_compatible_with(fitting) for fitting in (mean, mean[-1:])):
                raise ValueError(
                    f"prior_mean and prior_log_var must have the shape of mean, {mean}, or of its last axis, not "
                    f"{shape}."
                )

    def call(self, inputs: Any) -> Any:
        """Return ``z``, or ``(z, kl)``."""
        mean, log_var, *prior = inputs if isinstance(inputs, (list, tuple)) else tf.split(inputs, 2, axis=-1)
        prior_mean, prior_log_var = prior or (None, None)
        z, kl = ops.reparameterize_kl(
            mean, log_var, seed=self.noise.next_seed(), prior_mean=prior_mean, prior_log_var=prior_log_var
        )
        if self.return_kl:
            return z, kl
        examples = tf.cast(tf.shape(kl)[0], kl.dtype)
        kl_loss = tf.cast(tf.math.divide_no_nan(tf.reduce_sum(kl), examples), tf.float32)
        self.add_loss(tf.convert_to_tensor(self.kl_weight) * kl_loss)
        return z

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "kl_weight": 1.0 if self.return_kl else self.initial_kl_weight,
            "seed": self.noise.seed,
            "return_kl": self.return_kl,
        }


def _are_several(input_shape: Any) -> bool:
    if isinstance(input_shape, dict):
        raise ValueError(f"{_EXPECTED}, not a dict of {', '.join(input_shape)}.")
    nested = bool(input_shape) and isinstance(input_shape[0], (list, tuple))
    if nested and len(input_shape) not in (2, 4):
        raise ValueError(f"{_EXPECTED}, not {len(input_shape)} tensors.")
    return nested
