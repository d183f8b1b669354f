"""Does the model use its latent variables?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae import metrics
from tfvae._checks import as_count
from tfvae.callbacks._held_out import HeldOutCallback
from tfvae.distributions import DiagonalNormal, StandardNormal
from tfvae.distributions._normal import log_var_of
from tfvae.layers._checks import is_finite_number

_ROWS = 512


class PosteriorCollapse(HeldOutCallback):
    r"""Watches held-out data for dimensions of ``z`` that no longer say anything of ``x``, and says what to try.

    A dimension is collapsed if its mean KL to the prior is at most ``threshold`` nats: ``q(z_j|x)`` is then the prior
    whatever ``x``. Logs three numbers at every look (NaN in the epochs between):

    - ``val_rate``: mean KL to the prior, nats per example, of the closed form;
    - ``val_active_units``: dimensions whose posterior mean varies over the data, by more than ``threshold``;
    - ``val_active_units_by_kl``: dimensions that are not collapsed.

    All are NaN where the encoder's parameters are not finite. ``report`` tells in words what the last look saw. They
    are also a warning when all dimensions have been collapsed at ``patience`` looks one after another, and at the end
    of training if any is, or nothing can be told.

    Args:
        x_val: held-out data ``[N, *event]``; some hundred examples are enough.
        every: epochs from one look to the next.
        threshold: nats of KL, and variance of the posterior mean.
        patience: looks after which a collapse of all dimensions is told during training.

    Raises:
        ValueError: for a bad argument; at the start of ``fit`` for a model other than a ``tfvae.VAE`` of
            ``DiagonalNormal`` posterior and ``StandardNormal`` prior.

    Warns:
        UserWarning: as above.

    Source: Bowman et al., "Generating Sentences from a Continuous Space" (2016); Burda, Grosse & Salakhutdinov,
    "Importance Weighted Autoencoders" (2015), section 5.2; Lucas et al., "Don't Blame the ELBO!" (2019).

    Example:

    >>> import keras, numpy as np, tfvae
    >>> vae = tfvae.VAE(
    ...     keras.Sequential([keras.Input([3]), keras.layers.Dense(2, kernel_initializer="ones")]),
    ...     keras.Sequential([keras.Input([1]), keras.layers.Dense(3)]),
    ...     posterior=tfvae.distributions.DiagonalNormal(1),
    ...     likelihood=tfvae.distributions.Normal(3),
    ... )
    >>> vae.compile(keras.optimizers.SGD(0.0))
    >>> x = np.random.default_rng(0).normal(size=[50, 3])
    >>> watch = tfvae.callbacks.PosteriorCollapse(x[:25])
    >>> history = vae.fit(x[25:], callbacks=[watch], verbose=0)
    >>> print(watch.report)
    Every latent dimension (1 of 1) carries information on held-out data; the rate is 3.75 nats per example.
    """

    names = ("val_rate", "val_active_units", "val_active_units_by_kl")

    def __init__(self, x_val: Any, *, every: int = 1, threshold: float = 0.01, patience: int = 3) -> None:
        super().__init__(x_val, every)
        if not is_finite_number(threshold) or threshold < 0:
            raise ValueError(f"threshold must be a finite number of at least 0, not {threshold!r}.")
        self.threshold = float(threshold)
        self.patience = as_count(patience, "patience")
        self.report = ""
        self._empty_looks = 0
        self._told = self._to_tell = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the data, and that the KL of every dimension is known."""
        super().on_train_begin(logs)
        posterior, prior = (getattr(self.model, f"{name}_family", None) for name in ("posterior", "prior"))
        if not (isinstance(posterior, DiagonalNormal) and isinstance(prior, StandardNormal)):
            raise ValueError(
                "PosteriorCollapse works on a tfvae.VAE of DiagonalNormal posterior and StandardNormal prior, not on "
                f"a {type(self.model).__name__} of posterior {posterior!r} and prior {prior!r}."
            )
        self.report, self._empty_looks, self._told, self._to_tell = "", 0, False, False
        self._encode = tf.function(self._parameters, reduce_retracing=True, autograph=False)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Say what the last epoch left, if a dimension is collapsed and it has not been said."""
        if not self.is_fresh:
            self.look()
        if self._to_tell and not self._told:
            warnings.warn(self.report, stacklevel=2)

    def look(self) -> dict[str, float]:
        """Return the numbers, and put them in words."""
        blocks = [self._encode(self.x_val[first : first + _ROWS]) for first in range(0, len(self.x_val), _ROWS)]
        mean, log_var = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        unknown = int(np.sum(~np.isfinite(np.concatenate([mean, log_var], axis=1)).all(axis=1)))
        if unknown:
            self.report = _in_words_of_unknown(unknown, len(mean))
            self._to_tell, self._told, self._empty_looks = True, False, 0
            return dict.fromkeys(self.names, math.nan)
        kl = metrics.kl_per_dimension(mean, log_var)
        moving = np.var(mean, axis=0, dtype=np.float64) > self.threshold
        self.report = _in_words(kl, moving, self.threshold, float(tf.convert_to_tensor(self.model.kl_weight)))
        used = metrics.active_units_by_kl(kl, self.threshold)
        self._tell(used, len(kl))
        return dict(zip(self.names, (float(kl.sum()), float(moving.sum()), float(used)), strict=True))

    def _tell(self, used: int, size: int) -> None:
        self._to_tell = used < size
        self._empty_looks = 0 if used else self._empty_looks + 1
        if used:
            self._told = False
        elif self._empty_looks >= self.patience and not self._told:
            self._told = True
            warnings.warn(self.report, stacklevel=2)

    def _parameters(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        q = self.model.posterior(x)
        rows = tf.shape(x)[0]
        return tf.reshape(q.mean(), [rows, -1]), tf.reshape(log_var_of(q), [rows, -1])


def _in_words(kl: np.ndarray, moving: np.ndarray, threshold: float, kl_weight: float) -> str:
    """What mean KLs ``[D]`` show, with which posterior means vary, and what to try."""
    size, rate = len(kl), float(kl.sum())
    used = kl > threshold
    idle = np.flatnonzero(used & ~moving)
    at_most = f"mean KL to the prior of at most {threshold:g} nats"
    if used.all():
        words = f"The rate on held-out data is {rate:.2f} nats per example."
        if not len(idle):
            words = (
                f"Every latent dimension ({size} of {size}) carries information on held-out data; the rate is "
                f"{rate:.2f} nats per example."
            )
    elif used.any():
        words = (
            f"{size - int(used.sum())} of {size} latent dimensions are collapsed to the prior on held-out data "
            f"({at_most}): {_listed(np.flatnonzero(~used))}. The rate is {rate:.2f} nats per example. If the model is "
            f"to use them, {_advice(kl_weight)}. If its ELBO is good as it is, a smaller latent size loses nothing."
        )
    else:
        words = (
            f"Posterior collapse: all {size} latent dimensions are collapsed to the prior on held-out data ({at_most} "
            f"each, {rate:.2g} in all), so q(z|x) tells nothing of x and the decoder does without z. To mend it, "
            f"{_advice(kl_weight)}; and look whether the encoder's inputs are scaled to about one."
        )
    if len(idle):
        words += (
            f" Dimensions with a KL but the same posterior mean for all x (variance of at most {threshold:g}) cost "
            f"rate and tell little: {_listed(idle)}. Training on usually returns them to the prior."
        )
    return words


def _in_words_of_unknown(unknown: int, size: int) -> str:
    return (
        f"The encoder gives a mean or variance that is not finite for {unknown} of {size} held-out examples, so "
        "nothing can be told of its latent dimensions. Look whether these examples are finite and scaled to about one; "
        "if they are, the training has diverged: lower the learning rate."
    )


def _advice(kl_weight: float) -> str:
    weight = f"lower kl_weight, which is {kl_weight:g}; " if kl_weight > 1 else ""
    return (
        f"{weight}raise the weight of the KL slowly from zero (tfvae.callbacks.KLWarmup), grant every dimension some "
        "free bits, weaken the decoder (fewer or smaller layers), or lower the learning rate"
    )


def _listed(dimensions: Sequence[int] | np.ndarray) -> str:
    most = 12
    shown = ", ".join(str(j) for j in dimensions[:most])
    return shown if len(dimensions) <= most else f"{shown} and {len(dimensions) - most} more"
