"""The networks of ``tfvae train``: small dense ones, or convolutions for images of at least 16 pixels a side."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import layers

import tfvae
from tfvae.distributions import DiagonalNormal, Family, Normal
from tfvae.layers import AppendLogVar

_HIDDEN = 256
_SMALLEST_FOR_CONVOLUTIONS = 16
_CHANNELS = (32, 64, 128)
# A value's own noise level stays above this part of its spread: one that never changes would else be worth an unbounded
# density.
_SMALLEST_SCALE = 0.01


@dataclasses.dataclass(frozen=True)
class _Units:
    """The data's centre and spread: one number each for images, else one for every value."""

    center: Any
    spread: Any
    in_unit_interval: bool


def build(x: np.ndarray, likelihood: Family, latent_size: int, seed: int) -> tfvae.VAE:
    """Return an untrained VAE for training data like ``x``; the seed fixes the initial weights and the noise.

    Under a ``Normal`` likelihood the encoder sees standardised values. One noise level is learned for all values of an
    image or of data in ``[0, 1]``, and one for each value of other vectors, as in factor analysis.
    """
    keras.utils.set_random_seed(seed)
    sizes = _sizes(x.shape[1:3]) if x.ndim == 4 and min(x.shape[1:3]) >= _SMALLEST_FOR_CONVOLUTIONS else []
    units = _units(x) if isinstance(likelihood, Normal) else None
    posterior = DiagonalNormal(latent_size)
    encoder = _encoder(x.shape[1:], units, sizes, posterior.params_size)
    decoder = _decoder(latent_size, x.shape[1:], units, sizes)
    return tfvae.VAE(encoder, decoder, posterior=posterior, likelihood=likelihood, seed=seed)


def _encoder(event_shape: tuple[int, ...], units: _Units | None, sizes: list[Any], outputs: int) -> keras.Model:
    x = keras.Input(event_shape)
    hidden = x
    if not sizes:
        hidden = layers.Flatten()(hidden)
    if units is not None:
        hidden = layers.Rescaling((1 / units.spread).tolist(), offset=(-units.center / units.spread).tolist())(hidden)
    for channels in _channels(len(sizes)):
        hidden = layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(hidden)
    if sizes:
        hidden = layers.Flatten()(hidden)
    for _ in range(1 if sizes else 2):
        hidden = layers.Dense(_HIDDEN, activation="relu")(hidden)
    return keras.Model(x, layers.Dense(outputs)(hidden), name="encoder")


def _decoder(latent_size: int, event_shape: tuple[int, ...], units: _Units | None, sizes: list[Any]) -> keras.Model:
    z = keras.Input([latent_size])
    hidden = z
    for _ in range(1 if sizes else 2):
        hidden = layers.Dense(_HIDDEN, activation="relu")(hidden)
    bounded = units is not None and units.in_unit_interval
    activation = "sigmoid" if bounded else None
    if sizes:
        hidden = _grow(hidden, event_shape, sizes)
        output = layers.Conv2D(event_shape[-1], 3, padding="same", activation=activation)(hidden)
    else:
        output = layers.Dense(math.prod(event_shape), activation=activation)(hidden)
    if units is not None:
        output = _with_log_var(output, z, units)
    return keras.Model(z, output, name="decoder")


def _with_log_var(mean: Any, z: Any, units: _Units) -> Any:
    """``mean``, then ``log_var``, both in the units of the data."""
    if units.in_unit_interval:
        return AppendLogVar(initial=2 * math.log(float(np.mean(units.spread))))(mean)
    if units.spread.ndim == 0:
        outputs = mean.shape[-1]
        scale = np.concatenate([np.full(outputs, units.spread), np.ones(outputs)])
        offset = np.concatenate([np.full(outputs, units.center), np.full(outputs, 2 * np.log(units.spread))])
        return layers.Rescaling(scale.tolist(), offset=offset.tolist())(AppendLogVar()(mean))
    mean = layers.Rescaling(units.spread.tolist(), offset=units.center.tolist())(mean)
    return layers.Concatenate()([mean, _own_log_var(z, units)])


def _own_log_var(z: Any, units: _Units) -> Any:
    """A learned ``log_var`` for every value, the same for all ``z``; it starts at that of the data and has a floor."""
    floor = 2 * math.log(_SMALLEST_SCALE)
    ones = layers.Rescaling(0.0, offset=1.0)(z)
    start = keras.initializers.Constant(-floor / z.shape[-1])
    above = layers.Dense(units.spread.size, activation="softplus", use_bias=False, kernel_initializer=start)(ones)
    return layers.Rescaling(1.0, offset=(floor + 2 * np.log(units.spread)).tolist())(above)


def _grow(hidden: Any, event_shape: tuple[int, ...], sizes: list[Any]) -> Any:
    """From a vector to a map of the image's size, doubling it step by step and cutting off what is too much."""
    channels = _channels(len(sizes))
    height, width = sizes[-1]
    hidden = layers.Dense(height * width * channels[-1], activation="relu")(hidden)
    hidden = layers.Reshape((height, width, channels[-1]))(hidden)
    wanted = [tuple(event_shape[:2]), *sizes[:-1]]
    for count, (high, wide) in zip(reversed(channels), reversed(wanted), strict=True):
        hidden = layers.Conv2DTranspose(count, 3, strides=2, padding="same", activation="relu")(hidden)
        excess = hidden.shape[1] - high, hidden.shape[2] - wide
        if any(excess):
            hidden = layers.Cropping2D(((0, excess[0]), (0, excess[1])))(hidden)
    return hidden


def _units(x: np.ndarray) -> _Units:
    axis = 0 if x.ndim == 2 else None
    center, spread = np.asarray(x.mean(axis=axis, dtype=np.float64)), np.asarray(x.std(axis=axis, dtype=np.float64))
    constant = (spread <= 1e-6 * np.abs(center)) | (spread < 1e-30)  # The latter is near the end of float32.
    return _Units(center, np.where(constant, 1.0, spread), bool(x.min() >= 0 and x.max() <= 1))


def _sizes(size: tuple[int, ...]) -> list[tuple[int, int]]:
    """Heights and widths after each halving, down to at most 8."""
    found: list[tuple[int, int]] = []
    height, width = size
    while max(height, width) > 8:
        height, width = -(-height // 2), -(-width // 2)
        found.append((height, width))
    return found


def _channels(steps: int) -> list[int]:
    return [_CHANNELS[min(i, len(_CHANNELS) - 1)] for i in range(steps)]
