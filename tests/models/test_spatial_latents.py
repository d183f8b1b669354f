"""A convolutional VAE whose z is an array, from the first fit to the evidence and the exported model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.distributions import Bernoulli, DiagonalNormal

X = (np.random.default_rng(0).uniform(size=[24, 8, 8, 1]) < 0.4).astype("float32")


@pytest.fixture(scope="module")
def vae():
    keras.utils.set_random_seed(1)
    conv, up = keras.layers.Conv2D, keras.layers.Conv2DTranspose
    encoder = keras.Sequential([keras.Input([8, 8, 1]), conv(2 * 3, 3, strides=2, padding="same")])
    decoder = keras.Sequential([keras.Input([4, 4, 3]), up(1, 3, strides=2, padding="same")])
    vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal((4, 4, 3)), likelihood=Bernoulli((8, 8, 1)), seed=1)
    vae.compile("adam")
    look = tfvae.callbacks.PosteriorCollapse(X[:8], threshold=0.0)
    history = vae.fit(X, epochs=2, batch_size=8, verbose=0, callbacks=[look]).history
    assert np.isfinite(history["loss"]).all()
    assert "(48 of 48)" in look.report
    return vae


def test_the_elbo_is_the_formula_s(vae):
    mean, log_var = tf.split(vae.encoder(X), 2, axis=-1)
    z = mean + tf.exp(log_var / 2) * tf.random.stateless_normal(mean.shape, [9, 0], alg="philox")
    kl = tf.reduce_sum((mean**2 + tf.math.expm1(log_var) - log_var) / 2, axis=[1, 2, 3])
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=X, logits=vae.decoder(z))
    expected = -tf.reduce_sum(cross_entropy, axis=[1, 2, 3]) - kl
    np.testing.assert_allclose(vae.elbo(X, seed=9), expected, rtol=1e-5)  # float32 sums of 64 terms


def test_methods_keep_the_axes_and_files_the_model(vae, tmp_path):
    assert vae.prior_family == tfvae.distributions.StandardNormal((4, 4, 3))
    assert vae.encode(X).shape == [24, 4, 4, 3]
    assert vae.sample(3, seed=1).shape == [3, 8, 8, 1]
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.elbo(X, seed=3), vae.elbo(X, seed=3))
    vae.export(tmp_path / "export")
    exported = tf.saved_model.load(tmp_path / "export").signatures
    np.testing.assert_allclose(exported["encode"](x=tf.constant(X))["mean"], vae.encode(X), rtol=1e-5, atol=1e-6)
    seed = tf.constant([3, 0])
    # float32, and normals of other ops: within 2e-6
    np.testing.assert_allclose(exported["score"](x=tf.constant(X), seed=seed)["elbo"], vae.elbo(X, seed=3), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::tfvae.evidence.EvidenceWarning")  # 48 dimensions are many for so few draws.
def test_the_evidence_is_above_the_elbo(vae):
    found = tfvae.evidence.decompose(vae, X[:4], num_samples=200, seed=1)
    log_p = vae.log_likelihood(X[:4], num_samples=500, seed=1).estimate
    assert np.all(log_p.numpy() > found.elbo.numpy() - 0.5)
    assert np.all(found.gap.numpy() > -0.5)
    # The best q for each example, of the encoder's family, is as good as what the encoder gives, or better.
    assert np.all(found.amortisation_gap.numpy() > -0.5)


@pytest.mark.filterwarnings("ignore::tfvae.evidence.EvidenceWarning")  # Of random networks; only their equality counts.
def test_events_and_latent_variables_of_one_row_from_flat_networks():
    """Where the batch size is not known, as in evaluate, it must not be taken for the event's axis of 1."""
    rows = np.random.default_rng(2).normal(size=[20, 1, 6]).astype(np.float32)

    def evaluated(*last):
        encoder = keras.Sequential([keras.Input([1, 6]), keras.layers.Flatten(), keras.layers.Dense(4), *last[:1]])
        decoder = keras.Sequential(
            [keras.Input([1, 2]), keras.layers.Flatten(), keras.layers.Dense(6, "tanh"), *last[1:]]
        )
        normal = tfvae.distributions.Normal((1, 6))
        vae = tfvae.VAE(
            encoder, decoder, posterior=tfvae.distributions.DiagonalNormal((1, 2)), likelihood=normal, seed=5
        )
        weights = np.random.default_rng(3)
        vae.set_weights([weights.normal(size=w.shape) if w.ndim else w for w in vae.get_weights()])
        vae.compile("sgd")
        return vae.evaluate(rows, batch_size=8, verbose=0, return_dict=True), vae

    (flat, of_flat), (shaped, of_shaped) = (
        evaluated(),
        evaluated(keras.layers.Reshape([1, 4]), keras.layers.Reshape([1, 6])),
    )
    assert flat == pytest.approx(shaped, rel=1e-5)
    found = [vae.log_likelihood(rows[:3], num_samples=50, seed=1).estimate for vae in (of_flat, of_shaped)]
    np.testing.assert_allclose(*found, rtol=1e-6)
    assert np.isfinite(of_flat.fit(rows, batch_size=8, verbose=0).history["elbo"]).all()
