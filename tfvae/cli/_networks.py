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


@dataclasses.dataclass(frozen=True)
class _Units:
    """The data's centre and spread: one number each for images, else one for every value."""

    center: Any
    spread: Any
    in_unit_interval: bool


def build(x: np.ndarray, likelihood: Family, latent_size: int, seed: int) -> tfvae.VAE:
    """Return an untrained VAE for training data like ``x``; the seed fixes the initial weights and the noise.

    Under a ``Normal`` likelihood the encoder sees standardised values, and one noise level is learned for all of them,
    in units of each value's spread: with a level of its own, a value that never changes would be worth an unbounded
    density.
    """
    keras.utils.set_random_seed(seed)
    sizes = _sizes(x.shape[1:3]) if x.ndim == 4 and min(x.shape[1:3]) >= _SMALLEST_FOR_CONVOLUTIONS else []
    units = _units(x, images=bool(sizes)) if isinstance(likelihood, Normal) else None
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
        output = _with_log_var(output, units)
    return keras.Model(z, output, name="decoder")


def _with_log_var(mean: Any, units: _Units) -> Any:
    """``mean``, then ``log_var``, both in the units of the data."""
    outputs = mean.shape[-1]
    if units.in_unit_interval:
        return AppendLogVar(initial=2 * math.log(float(np.mean(units.spread))))(mean)
    spread, center = np.broadcast_to(units.spread, outputs), np.broadcast_to(units.center, outputs)
    scale = np.concatenate([spread, np.ones(outputs)])
    offset = np.concatenate([center, 2 * np.log(spread)])
    return layers.Rescaling(scale.tolist(), offset=offset.tolist())(AppendLogVar()(mean))


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


def _units(x: np.ndarray, images: bool) -> _Units:
    values = x.astype(np.float64).reshape(1, -1) if images else x.astype(np.float64).reshape(len(x), -1)
    axis = None if images else 0
    center, spread = np.asarray(values.mean(axis=axis)), np.asarray(values.std(axis=axis))
    constant = spread <= 1e-6 * np.maximum(1.0, np.abs(center))
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
