"""A conditional VAE with a learned prior (Sohn, Lee & Yan, 2015) on scikit-learn's digits: draws any digit on demand.

Posterior q(z|x, y), prior p(z|y) and likelihood p(x|z, y) are networks that see the class y. The four parameters of
posterior and prior go into `tfvae.layers.GaussianLatent`, which draws z and adds the KL between them to the loss; the
rest is a functional model and `fit`. Run it with

    python examples/conditional_vae.py
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

import tfvae

LATENT_DIM = 8
CLASSES = 10


def build_networks() -> tuple[keras.Model, keras.Model, keras.Model]:
    """Return the encoder (x, y to parameters of z), the prior (y to such) and the decoder (z, y to logits of x)."""
    x, y, z = keras.Input([64]), keras.Input([CLASSES]), keras.Input([LATENT_DIM])
    hidden = layers.Dense(128, activation="relu")(layers.Concatenate()([x, y]))
    encoder = keras.Model([x, y], [layers.Dense(LATENT_DIM)(hidden), layers.Dense(LATENT_DIM)(hidden)])
    prior = keras.Model(y, [layers.Dense(LATENT_DIM)(y), layers.Dense(LATENT_DIM)(y)])
    hidden = layers.Dense(128, activation="relu")(layers.Concatenate()([z, y]))
    decoder = keras.Model([z, y], layers.Dense(64)(hidden))
    return encoder, prior, decoder


def negative_log_likelihood(x, logits):
    """Return minus log p(x|z, y) of every image in nats, summed over the pixels."""
    return ops.sum(ops.binary_crossentropy(x, logits, from_logits=True), axis=-1)


def main(epochs: int = 30) -> tuple[keras.Model, keras.callbacks.History]:
    """Train on the digits, print one drawing of each class, and return the model and its history."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    images = (digits.images.reshape(-1, 64) > 7).astype("float32")
    classes = keras.utils.to_categorical(digits.target, CLASSES)

    encoder, prior, decoder = build_networks()
    x, y = keras.Input([64]), keras.Input([CLASSES])
    z = tfvae.layers.GaussianLatent()([*encoder([x, y]), *prior(y)])
    cvae = keras.Model([x, y], decoder([z, y]), name="conditional_vae")

    cvae.compile(optimizer=keras.optimizers.Adam(3e-3), loss=negative_log_likelihood)
    history = cvae.fit([images, classes], images, epochs=epochs, batch_size=128, verbose=2)

    every_class = np.eye(CLASSES, dtype="float32")
    prior_mean, prior_log_var = prior.predict(every_class, verbose=0)
    noise = np.random.default_rng(0).normal(size=prior_mean.shape)
    z = prior_mean + np.exp(prior_log_var / 2) * noise
    pictures = ops.sigmoid(decoder.predict([z, every_class], verbose=0)).numpy().reshape(-1, 8, 8)
    print("One digit of every class, z drawn from p(z|y):")
    for row in range(8):
        print("  ".join("".join(" .:#"[int(3.99 * ink)] for ink in picture[row]) for picture in pictures))
    return cvae, history


if __name__ == "__main__":
    main()
