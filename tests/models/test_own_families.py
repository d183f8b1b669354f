"""Families of the user's own: what is refused, and what is trained and saved."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfvae
from tfvae.distributions import Family, Normal


@keras.saving.register_keras_serializable("test_own_families")
class LearnedScale(Normal):
    """A likelihood with a number of its own to learn, where it would not be."""

    def __init__(self, size):
        super().__init__(size)
        self.log_scale = [tf.Variable(0.0)]

    def make(self, *parameters):
        return tfp.distributions.Independent(tfp.distributions.Normal(parameters[0], tf.exp(self.log_scale[0])), 1)


def test_families_that_hold_variables_are_refused(make_vae):
    vae = make_vae()
    message = r"likelihood LearnedScale holds a \w*Variable in 'log_scale', which would be neither trained nor saved"
    with pytest.raises(ValueError, match=message):
        tfvae.VAE(vae.encoder, vae.decoder, posterior=vae.posterior_family, likelihood=LearnedScale(6))


@keras.saving.register_keras_serializable("test_own_families")
class Mixture(keras.layers.Layer, Family):
    """A prior that is a layer too."""

    parameters_per_element = 0

    def __init__(self, size, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        Family.__init__(self, size)
        self.means = self.add_weight(shape=(5, *self.event_shape), initializer="random_normal")

    def __call__(self, params=None):
        return Family.__call__(self, params)

    def make(self, *parameters):
        components = tfp.distributions.MultivariateNormalDiag(self.means.value, tf.ones([5, 2]))
        return tfp.distributions.MixtureSameFamily(tfp.distributions.Categorical(tf.zeros([5])), components)

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), "size": self.event_shape[0]}


def test_families_that_are_layers_are_trained_and_saved(make_vae, x, tmp_path):
    like = make_vae()
    vae = tfvae.VAE(
        like.encoder, like.decoder, posterior=like.posterior_family, likelihood=like.likelihood_family, prior=Mixture(2)
    )
    vae.compile(keras.optimizers.SGD(0.1))
    before = vae.prior_family.means.numpy()
    vae.fit(x, verbose=0)
    after = vae.prior_family.means.numpy()
    assert np.all(after != before)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.prior_family.means, after)
    np.testing.assert_array_equal(loaded.elbo(x, seed=1), vae.elbo(x, seed=1))


class Mode(Normal):
    """A likelihood of which TFP knows no mean."""

    def make(self, *parameters):
        logistic = tfp.distributions.Logistic(parameters[0], 1.0)
        return tfp.distributions.Independent(tfp.distributions.QuantizedDistribution(logistic), 1)


def test_a_likelihood_without_a_mean_says_what_to_override(make_vae, x):
    like = make_vae()
    vae = tfvae.VAE(like.encoder, like.decoder, posterior=like.posterior_family, likelihood=Mode(6))
    assert np.isfinite(vae.elbo(np.round(x))).all()
    with pytest.raises(NotImplementedError, match=r"TFP knows no mean of .*Override mean\(\) of Mode"):
        vae.sample(2)
