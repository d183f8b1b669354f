"""The convolutional VAE of the Keras tutorial (https://keras.io/examples/generative/vae/) on scikit-learn's digits.

The tutorial writes a `Sampling` layer, a model class with a `train_step` of its own and three loss trackers. With
`tfvae.layers.GaussianLatent` in the place of `Sampling` none of that is needed: the layer adds the KL to the loss, and
a plain functional model compiled with a plain Keras loss is trained by `fit`. Run it with

    python examples/keras_tutorial_vae.py
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

import tfvae

LATENT_DIM = 2


def build_encoder() -> keras.Model:
    """Return the tutorial's encoder, from images to mean and log-variance of z."""
    images = keras.Input(shape=(8, 8, 1))
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(images)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(16, activation="relu")(x)
    return keras.Model(images, [layers.Dense(LATENT_DIM)(x), layers.Dense(LATENT_DIM)(x)], name="encoder")


def build_decoder() -> keras.Model:
    """Return the tutorial's decoder, from z to the probability of ink in every pixel."""
    z = keras.Input(shape=(LATENT_DIM,))
    x = layers.Dense(2 * 2 * 64, activation="relu")(z)
    x = layers.Reshape((2, 2, 64))(x)
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    return keras.Model(z, layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x), name="decoder")


def negative_log_likelihood(images, probabilities):
    """Return the binary cross-entropy summed over the pixels: minus log p(x|z) of every image, in nats."""
    return ops.sum(keras.losses.binary_crossentropy(images, probabilities), axis=(1, 2))


def main(epochs: int = 15) -> tuple[keras.Model, keras.callbacks.History]:
    """Train on the digits, print what came of it, and return the model and its history."""
    keras.utils.set_random_seed(0)
    images = (load_digits().images[..., np.newaxis] > 7).astype("float32")

    encoder, decoder = build_encoder(), build_decoder()
    inputs = keras.Input(shape=(8, 8, 1))
    mean, log_var = encoder(inputs)
    z = tfvae.layers.GaussianLatent()((mean, log_var))  # was: Sampling()([z_mean, z_log_var])
    vae = keras.Model(inputs, decoder(z), name="vae")

    vae.compile(optimizer=keras.optimizers.Adam(3e-3), loss=negative_log_likelihood)
    history = vae.fit(images, images, epochs=epochs, batch_size=128, verbose=2)

    print("A picture drawn from the prior:")
    picture = decoder.predict(np.random.default_rng(0).normal(size=[1, LATENT_DIM]), verbose=0)[0, :, :, 0]
    print("\n".join("".join(" .:#"[int(3.99 * ink)] for ink in row) for row in picture))
    return vae, history


if __name__ == "__main__":
    main()
