"""Graphs are kept, follow the weights, are traced anew for another model; half-precision pixels count in float32."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tests.evidence.conftest import LinearGaussian
from tfvae.distributions import Bernoulli, DiagonalNormal, Normal
from tfvae.distributions._tfp import tfd
from tfvae.evidence import _graphs, importance_weighted

X = np.eye(3, dtype=np.float32)


def dense(size, inputs, activation=None):
    return keras.Sequential([keras.Input([inputs]), keras.layers.Dense(size, activation, kernel_initializer="ones")])


def build():
    return tfvae.VAE(dense(4, 3), dense(3, 2), posterior=DiagonalNormal(2), likelihood=Bernoulli(3), seed=1)


@pytest.fixture
def vae():
    return build()


@pytest.fixture
def traces(monkeypatch):
    """A list that grows with every function that is traced."""
    calls, traced = [], _graphs.traced
    monkeypatch.setattr("tfvae.evidence._importance.traced", lambda *args: calls.append(1) or traced(*args))
    return calls


def alike(vae):
    """Another model of the same parts, of which nothing is kept."""
    return tfvae.VAE(vae.encoder, vae.decoder, posterior=vae.posterior_family, likelihood=vae.likelihood_family)


def estimate(model, rows=3, **settings):
    return importance_weighted(model, X[:rows], **{"num_samples": 5, "seed": 1, **settings}).estimate.numpy()


def test_other_seeds_and_sizes_do_not_trace_again(vae, traces):
    for settings in ({}, {"seed": 2}, {"num_samples": 300}, {"rows": 1}):
        estimate(vae, **settings)
    assert len(traces) == 1


def test_trained_weights_are_followed(vae, traces):
    before = estimate(vae)
    vae.decoder.layers[0].bias.assign([3.0, 0.0, 0.0])
    after = estimate(vae)
    assert len(traces) == 1
    assert np.all(after != before)
    np.testing.assert_array_equal(after, estimate(alike(vae)))


def test_other_networks_layers_and_settings_are_seen(vae):
    def replace_decoder():
        vae.decoder = dense(3, 2, "tanh")

    def replace_layer():
        vae.encoder.pop()
        vae.encoder.add(keras.layers.Dense(4, kernel_initializer="zeros"))

    def replace_activation():
        vae.decoder.layers[0].activation = keras.activations.exponential

    def replace_family():
        vae.likelihood_family = Normal(3)

    after = estimate(vae)
    for change in (replace_decoder, replace_layer, replace_activation, replace_family):
        change()
        before, after = after, estimate(vae)
        assert np.all(after != before), change.__name__


class Scaled(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self._factor = 1.0
        self.table = {"factor": 1.0}
        self.factors = [1.0, 1.0]
        self.array = np.ones(2, np.float32)
        self.holder = Holder()

    def call(self, x):
        return x * self._factor * self.table["factor"] * self.factors[1] * self.array[1] * self.holder.factors[0]


class Holder:
    def __init__(self):
        self.factors = [1.0]


class Doubled(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def call(self, x):
        self.add_loss(tf.reduce_mean(x))
        return 2.0 * self.dense(x)


class OfScale(Normal):
    def __init__(self, size):
        super().__init__(size)
        self.scales = [1.0]

    def make(self, params):
        return tfd.Independent(tfd.Normal(params, self.scales[0]), 1)


def test_attributes_of_layers_and_families_are_seen_when_changed_in_place(traces):
    layer, family = Scaled(), OfScale(3)
    decoder = keras.Sequential([keras.Input([2]), keras.layers.Dense(3), layer])
    vae = tfvae.VAE(Doubled(), decoder, posterior=DiagonalNormal(2), likelihood=family, seed=1)

    def set_private():
        layer._factor = 2.0

    def put(container, key):
        def change():
            container[key] = 2.0

        return change

    changes = [put(layer.table, "factor"), put(layer.factors, 1), put(layer.array, 1), put(layer.holder.factors, 0)]
    after = estimate(vae)
    for change in (set_private, *changes, put(family.scales, 0)):
        change()
        before, after = after, estimate(vae)
        assert np.all(after != before)
        np.testing.assert_array_equal(after, estimate(vae))
    assert len(traces) == 7
    vae.compile("adam")
    vae.fit(X, verbose=0)
    vae.predict(X, verbose=0)
    estimate(vae)
    assert len(traces) == 7  # Weights have changed, and what Keras notes of training.


def test_nothing_is_kept_of_other_models_and_of_those_that_are_gone(traces, x):
    gc.collect()  # other tests' models
    held = len(_graphs._kept)
    for _ in range(2):
        importance_weighted(LinearGaussian("diagonal"), x, num_samples=5, seed=1)
    assert (len(traces), len(_graphs._kept)) == (2, held)
    model = build()
    estimate(model)
    assert len(_graphs._kept) == held + 1
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert len(_graphs._kept) == held


def test_attributes_that_refer_to_the_model_do_not_keep_it(traces):
    class Own(tfvae.VAE):
        def add_own(self):
            self.fast, self.method = tf.function(self.encode), self.encode
            self.holder = Holder()
            self.holder.model = self
            return self

    model = Own(dense(4, 3), dense(3, 2), posterior=DiagonalNormal(2), likelihood=Bernoulli(3)).add_own()
    gc.collect()  # other tests' models
    held = len(_graphs._kept)
    for _ in range(2):
        estimate(model)
    assert len(traces) == 1
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert len(_graphs._kept) == held


def test_backends_have_graphs_of_their_own(vae, traces):
    for backend in ("reference", "auto", "reference"):
        with tfvae.use_backend(backend):
            estimate(vae)
    assert len(traces) == 2


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_binary_pixels_of_half_precision_are_scored_in_float32(dtype):
    # A decoder in half precision without a family to cast its output. 64 factors of 2 are 2^64, and float16 ends at
    # 2^16; log 2 for each of 128 pixels, to float32 rounding, which bfloat16's 8 bits are far from.
    class Half:
        def prior(self):
            return tfd.Sample(tfd.Normal(0.0, 1.0), 2)

        def posterior(self, x):
            return tfd.Independent(tfd.Normal(tf.zeros([tf.shape(x)[0], 2]), 1.0), 1)

        def likelihood(self, z):
            return tfd.Independent(tfd.Bernoulli(logits=tf.zeros([tf.shape(z)[0], 128], dtype), dtype=dtype), 1)

    estimate = importance_weighted(Half(), np.ones([2, 128], np.float32), num_samples=5, seed=1).estimate
    np.testing.assert_allclose(estimate, np.full(2, -128 * np.log(2.0)), rtol=1e-6)


def test_a_family_changed_in_place_is_another(vae):
    vae.likelihood_family = Normal(3)
    before = estimate(vae)
    vae.likelihood_family.scale = 0.5
    after = estimate(vae)
    np.testing.assert_allclose(after, estimate(alike(vae)), rtol=1e-6)  # float32: another graph
    assert np.abs(after - before).min() > 0.05


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full([2, 3], 255.0), "Bernoulli expects values that are 0 or 1"),
        (np.full([2, 3], np.nan), "Bernoulli expects values that are 0 or 1"),
        (np.zeros([2, 1]), r"ends in \[3\]"),
        (np.zeros([3]), r"The data must have shape \[B, 3\], not \[3\]. For one example take x\[None\]"),
    ],
    ids=["greys", "NaN", "narrow", "one"],
)
def test_data_that_the_likelihood_cannot_have_made_are_refused(vae, x, message):
    for estimator in (importance_weighted, tfvae.evidence.decompose, tfvae.evidence.thermodynamic):
        with pytest.raises(ValueError, match=message):
            estimator(vae, x, seed=1)
    with pytest.raises(ValueError, match=message):
        tfvae.evidence.annealed_importance_sampling(vae, x, num_steps=10, seed=1)
