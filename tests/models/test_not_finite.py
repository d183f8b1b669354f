"""A batch with NaN: the update is skipped, counted and told; the weights stay as they were."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae


def spoilt(x, row):
    data = x.copy()
    data[row, 1] = np.nan
    return tf.data.Dataset.from_tensor_slices(data).batch(16)


@pytest.mark.parametrize("mode", [{}, {"run_eagerly": True}, {"jit_compile": True}])
def test_a_nan_batch_is_skipped_and_the_others_are_not_req_45(make_vae, x, mode):
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(0.01), **mode)
    with pytest.warns(RuntimeWarning, match="1 updates were skipped because their gradients were not finite"):
        history = vae.fit(spoilt(x, 20), shuffle=False, verbose=0).history
    assert np.isnan(history["loss"][0])
    assert int(vae.skipped_updates.numpy()) == 1
    assert int(vae.optimizer.iterations.numpy()) == 2
    reference = make_vae()
    reference.compile(keras.optimizers.Adam(0.01))
    reference.train_on_batch(x[:16])
    reference.noise.next_seed()
    reference.train_on_batch(x[32:])
    for got, want in zip(vae.trainable_weights, reference.trainable_weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)  # float32: another graph
    assert np.isfinite(vae.evaluate(x, verbose=0)).all()


def test_infinite_gradients_of_a_finite_loss_are_skipped_too_req_45(make_vae, x):
    vae = make_vae()
    vae.compile("sgd")
    before = [weight.numpy() for weight in vae.trainable_weights]
    infinite = make_infinite_gradient(vae)
    vae.train_on_batch(x[:4])
    assert infinite
    assert int(vae.skipped_updates.numpy()) == 1
    for got, want in zip(vae.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("mode", [{}, {"run_eagerly": True}, {"jit_compile": True}])
def test_moving_means_survive_a_nan_batch_and_move_on_others_req_45(x, policy, mode):
    keras.config.set_dtype_policy(policy)
    try:
        normalization = keras.layers.BatchNormalization()
        encoder = keras.Sequential([keras.Input([6]), normalization, keras.layers.Dense(4)])
        decoder = keras.Sequential([keras.Input([2]), keras.layers.Dense(6)])
        families = {"posterior": tfvae.distributions.DiagonalNormal(2), "likelihood": tfvae.distributions.Normal(6)}
        vae = tfvae.VAE(encoder, decoder, **families)
    finally:
        keras.config.set_dtype_policy("float32")
    vae.compile(keras.optimizers.SGD(1e-3), **mode)
    vae.fit(x, batch_size=16, shuffle=False, verbose=0)
    if policy == "float32":  # mixed_float16 begins with updates that are skipped, to find its loss scale.
        expected = 0.0
        for batch in np.split(x, 3):
            expected = 0.99 * expected + 0.01 * batch.mean(0)  # Keras' momentum
        np.testing.assert_allclose(normalization.moving_mean, expected, rtol=1e-4, atol=1e-6)  # float32 sums
    before = [variable.numpy() for variable in (normalization.moving_mean, normalization.moving_variance)]
    data = x[:16].copy()
    data[3, 1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        vae.fit(tf.data.Dataset.from_tensors(data), shuffle=False, verbose=0)
    np.testing.assert_array_equal(normalization.moving_mean, before[0])
    np.testing.assert_array_equal(normalization.moving_variance, before[1])


class RootOfNothing(keras.regularizers.Regularizer):
    """The penalty sqrt(0 w): its value is 0, its gradient NaN."""

    def __call__(self, weight):
        return tf.reduce_sum(tf.sqrt(0.0 * weight))


def make_infinite_gradient(vae):
    vae.decoder.layers[-1].bias.regularizer = RootOfNothing()
    return vae.decoder.losses


def test_mixed_float16_skips_by_its_loss_scale_req_45(x, make_vae):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        vae = make_vae()
    finally:
        keras.config.set_dtype_policy("float32")
    vae.compile(keras.optimizers.Adam(0.01))
    before = [weight.numpy() for weight in vae.trainable_weights]
    data = x[:16].copy()
    data[3] = np.nan
    vae.fit(tf.data.Dataset.from_tensors(data), shuffle=False, verbose=0)
    for got, want in zip(vae.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_terminate_on_nan_stops_training(make_vae, x):
    vae = make_vae()
    vae.compile("adam")
    with pytest.warns(RuntimeWarning, match="skipped"):
        vae.fit(spoilt(x, 0), epochs=5, shuffle=False, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert int(vae.skipped_updates.numpy()) == 1


def test_nan_in_an_array_is_refused_before_training_req_45(make_vae, x):
    vae = make_vae()
    vae.compile("adam")
    data = x.copy()
    data[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 of 288 values is not, the first being nan at index \[3, 2\]"):
        vae.fit(data)


def test_finite_gradients_whose_squares_are_not_are_applied(make_vae, x):
    """Of a likelihood as narrow as 1e-10 the gradients are some 1e20, and their norm is beyond float32."""
    vae = make_vae(likelihood=tfvae.distributions.Normal(6, scale=1e-10))
    vae.compile(keras.optimizers.Adam(0.01))
    before = vae.encoder.get_weights()
    vae.train_on_batch(x)
    assert int(vae.skipped_updates.numpy()) == 0
    assert np.abs(vae.encoder.get_weights()[0] - before[0]).max() > 0


def test_networks_of_several_dtypes_are_trained(make_vae, x):
    vae = make_vae()
    decoder = keras.Sequential([keras.Input([2]), keras.layers.Dense(6, dtype="float64")])
    vae = tfvae.VAE(
        vae.encoder, decoder, posterior=vae.posterior_family, likelihood=tfvae.distributions.Normal(6), seed=1
    )
    vae.compile("adam")
    before = decoder.get_weights()
    vae.fit(x, verbose=0)
    assert np.abs(decoder.get_weights()[0] - before[0]).max() > 0
