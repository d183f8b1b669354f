"""The models that ``train_step`` trains: the same networks in tfvae and in plain Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import tfvae


@dataclass(frozen=True)
class Networks:
    """An encoder to ``mean`` and ``log_var`` side by side, a decoder to logits, and the sizes they are made for."""

    make: Callable[[], tuple[keras.Model, keras.Model]]
    event_shape: tuple[int, ...]
    latent: int
    batch: int

    def data(self) -> np.ndarray:
        """Return one batch of random binary data, ``[batch, *event_shape]``."""
        random = np.random.default_rng(2013)
        return (random.random((self.batch, *self.event_shape)) < 0.3).astype(np.float32)

    def build(self, variant: str) -> keras.Model:
        """Return a compiled model: ``native`` and ``reference`` are ``tfvae.VAE``, ``keras`` the tutorial's code."""
        keras.utils.set_random_seed(2013)
        encoder, decoder = self.make()
        if variant == "keras":
            model: keras.Model = PlainVAE(encoder, decoder)
        else:
            model = tfvae.VAE(
                encoder,
                decoder,
                posterior=tfvae.distributions.DiagonalNormal(self.latent),
                likelihood=tfvae.distributions.Bernoulli(self.event_shape),
                seed=2013,
            )
        model.compile(optimizer="adam", jit_compile=False)
        return model


class Sampling(layers.Layer):
    """Draws ``z``, as the Keras VAE tutorial does."""

    def __init__(self) -> None:
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Return ``mean + exp(log_var / 2) eps``."""
        mean, log_var = inputs
        epsilon = keras.random.normal(shape=ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * epsilon


class PlainVAE(keras.Model):
    """The VAE of the Keras tutorial, with logits for probabilities and sums over all of an event."""

    def __init__(self, encoder: keras.Model, decoder: keras.Model) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.sampling = Sampling()
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What ``fit`` reports."""
        return [self.loss_tracker, self.reconstruction_tracker, self.kl_tracker]

    def train_step(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Take one optimizer step, as the tutorial does."""
        with tf.GradientTape() as tape:
            mean, log_var = ops.split(self.encoder(x, training=True), 2, axis=-1)
            z = self.sampling((mean, log_var))
            logits = self.decoder(z, training=True)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
            reconstruction = ops.mean(ops.sum(losses, axis=tuple(range(1, len(x.shape)))))
            kl = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
            kl = ops.mean(ops.sum(kl, axis=1))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.loss_tracker.update_state(loss)
        self.reconstruction_tracker.update_state(-reconstruction)
        self.kl_tracker.update_state(kl)
        return {metric.name: metric.result() for metric in self.metrics}


def mlp() -> tuple[keras.Model, keras.Model]:
    """784-256-10 and back."""
    encoder = keras.Sequential([keras.Input([784]), layers.Dense(256, "relu"), layers.Dense(20)])
    decoder = keras.Sequential([keras.Input([10]), layers.Dense(256, "relu"), layers.Dense(784)])
    return encoder, decoder


def convolutional() -> tuple[keras.Model, keras.Model]:
    """The networks of the Keras tutorial, 28x28 pixels to 16 latent dimensions."""
    encoder = keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            layers.Conv2D(32, 3, 2, "same", activation="relu"),
            layers.Conv2D(64, 3, 2, "same", activation="relu"),
            layers.Flatten(),
            layers.Dense(16, "relu"),
            layers.Dense(32),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input([16]),
            layers.Dense(7 * 7 * 64, "relu"),
            layers.Reshape([7, 7, 64]),
            layers.Conv2DTranspose(64, 3, 2, "same", activation="relu"),
            layers.Conv2DTranspose(32, 3, 2, "same", activation="relu"),
            layers.Conv2DTranspose(1, 3, 1, "same"),
        ]
    )
    return encoder, decoder


def spatial() -> tuple[keras.Model, keras.Model]:
    """32x32x3 pixels to a latent image of 16x16x32, convolutions only."""
    pixels = keras.Input([32, 32, 3])
    hidden = layers.Conv2D(32, 3, 2, "same", activation="relu")(pixels)
    parameters = [layers.Flatten()(layers.Conv2D(32, 3, 1, "same")(hidden)) for _ in ("mean", "log_var")]
    encoder = keras.Model(pixels, layers.Concatenate()(parameters))
    decoder = keras.Sequential(
        [
            keras.Input([16 * 16 * 32]),
            layers.Reshape([16, 16, 32]),
            layers.Conv2DTranspose(32, 3, 2, "same", activation="relu"),
            layers.Conv2DTranspose(3, 3, 1, "same"),
        ]
    )
    return encoder, decoder


MODELS = {
    "mlp": Networks(mlp, (784,), latent=10, batch=128),
    "convolutional": Networks(convolutional, (28, 28, 1), latent=16, batch=128),
    "spatial": Networks(spatial, (32, 32, 3), latent=16 * 16 * 32, batch=64),
}
