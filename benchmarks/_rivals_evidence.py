"""The importance-weighted estimate of ``tfvae.evidence`` in stock TensorFlow ops, and the models it is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import tfvae


@dataclass(frozen=True)
class Model:
    """Networks on binary digits of 64 pixels, and the draws at a time with which the stock graph was fastest."""

    latent: int
    hidden: tuple[int, ...]
    draws: int

    def build(self) -> tfvae.VAE:
        """Return the VAE, with the same weights every time."""
        keras.utils.set_random_seed(2013)
        encoder = keras.Sequential([keras.Input([64]), layers.Dense(2 * self.latent)])
        hidden = [layers.Dense(size, "relu") for size in self.hidden]
        decoder = keras.Sequential([keras.Input([self.latent]), *hidden, layers.Dense(64)])
        return tfvae.VAE(
            encoder,
            decoder,
            posterior=tfvae.distributions.DiagonalNormal(self.latent),
            likelihood=tfvae.distributions.Bernoulli(64),
            seed=2013,
        )


# Of the last, nearly all the time is the decoder; of the others it is, more and more, drawing z and its densities.
MODELS = {
    "sampling-64": Model(64, (8,), draws=8),
    "sampling": Model(256, (8,), draws=8),
    "sampling-1024": Model(1024, (8,), draws=2),
    "decoder": Model(8, (512, 512), draws=4),
}


def digits(count: int) -> np.ndarray:
    """Return random binary images of 64 pixels, ``[count, 64]``."""
    return (np.random.default_rng(2013).random((count, 64)) < 0.3).astype(np.float32)


def stock(vae: tfvae.VAE, x: np.ndarray, num_samples: int, draws: int, decode: bool = True) -> Callable[[], tf.Tensor]:
    """Return a call that estimates ``log p(x)`` by the leanest graph of stock ops: ``draws`` of all examples at a time.

    The constants and the squares of ``(z - mean) / std`` are cancelled already, the sums are in float64. Without
    ``decode`` it leaves out ``p(x|z)``: what drawing and the densities of ``z`` take by themselves.
    """
    data = tf.constant(x)

    @tf.function(autograph=False)
    def estimate() -> tf.Tensor:
        mean, log_var = tf.split(vae.encoder(data, training=False), 2, axis=-1)
        std, rows = tf.exp(0.5 * log_var), tf.shape(data)[0]

        def add(index: tf.Tensor, largest: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, ...]:
            shape = tf.stack([draws, rows, mean.shape[-1]])
            eps = tf.random.stateless_normal(shape, tf.stack([index, 0]), alg="philox")
            z = mean + std * eps
            log_ratio = 0.5 * tf.reduce_sum(tf.square(z) - tf.square(eps) - log_var, axis=-1)
            log_weights = -tf.cast(log_ratio, tf.float64)
            if decode:
                logits = tf.reshape(vae.decoder(tf.reshape(z, [-1, mean.shape[-1]]), training=False), [draws, rows, 64])
                labels = tf.broadcast_to(data, tf.shape(logits))
                log_p = -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits), axis=-1)
                log_weights += tf.cast(log_p, tf.float64)
            top = tf.maximum(largest, tf.reduce_max(log_weights, axis=0))
            return index + 1, top, total * tf.exp(largest - top) + tf.reduce_sum(tf.exp(log_weights - top), axis=0)

        start = tf.fill([rows], tf.constant(-1e300, tf.float64))
        state = (tf.constant(0), start, tf.zeros_like(start))
        count = num_samples // draws
        _, largest, total = tf.while_loop(lambda index, *_: index < count, add, state)
        return largest + tf.math.log(total) - tf.math.log(tf.constant(count * draws, tf.float64))

    return estimate
