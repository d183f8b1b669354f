"""KLWarmup: the weights it sets, when, and what it says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.callbacks import KLWarmup
from tfvae.distributions import DiagonalNormal, Normal
from tfvae.layers import GaussianLatent

X = np.random.default_rng(0).normal(size=[20, 3]).astype("float32")


class Record(keras.callbacks.Callback):
    """Note the weight that every step or epoch is about to use."""

    def __init__(self, variable):
        super().__init__()
        self.variable, self.steps, self.epochs = variable, [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.steps.append(float(self.variable.numpy()))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(float(self.variable.numpy()))


@pytest.fixture(scope="module")
def vae():
    model = tfvae.VAE(
        keras.Sequential([keras.Input([3]), keras.layers.Dense(2)]),
        keras.Sequential([keras.Input([1]), keras.layers.Dense(3)]),
        posterior=DiagonalNormal(1),
        likelihood=Normal(3),
    )
    model.compile("sgd")
    return model


def run(vae, warmup, epochs, initial_epoch=0, data=X, **arguments):
    record = Record(vae.kl_weight)
    vae.fit(
        data,
        batch_size=None if data is not X else 5,
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[warmup, record],
        verbose=0,
        **arguments,
    )
    return record


def test_by_epochs_is_linear_and_ends_exactly_at_its_target(vae):
    record = run(vae, KLWarmup(epochs=3, start=0.1, target=0.7), epochs=5)
    expected = np.repeat([0.1, 0.3, 0.5, 0.7, 0.7], 4).astype("float32")
    np.testing.assert_allclose(record.steps, expected, rtol=1e-6)  # one float32 rounding
    assert vae.kl_weight.numpy() == np.float32(0.7)


def test_by_steps_is_linear_across_epochs(vae):
    record = run(vae, KLWarmup(steps=5), epochs=2)
    np.testing.assert_allclose(record.steps, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0], rtol=1e-6)
    assert vae.kl_weight.numpy() == 1.0


def test_reaches_the_target_when_training_ends_with_the_warm_up(vae):
    for warmup in (KLWarmup(epochs=2), KLWarmup(steps=8)):
        run(vae, warmup, epochs=2)
        assert vae.kl_weight.numpy() == 1.0


@pytest.mark.parametrize("length", [{"epochs": 4}, {"steps": 16}])
def test_a_resumed_run_goes_on_where_it_stopped(vae, length):
    whole = run(vae, KLWarmup(**length), epochs=4)
    with pytest.warns(UserWarning, match="Training ends after"):
        first = run(vae, KLWarmup(**length), epochs=2)
    vae.kl_weight.assign(0.123)  # what the callback sets does not depend on what it finds
    second = run(vae, KLWarmup(**length), epochs=4, initial_epoch=2)
    assert first.steps + second.steps == whole.steps


def test_by_steps_without_a_known_epoch_length(vae):
    def batches():
        while True:
            yield (X[:5],)

    record = run(vae, KLWarmup(steps=5), epochs=2, data=batches(), steps_per_epoch=4, shuffle=False)
    np.testing.assert_allclose(record.steps, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0], rtol=1e-6)
    warmup = KLWarmup(steps=10)
    warmup.set_model(vae)
    warmup.set_params({"epochs": 2, "steps": None})
    warmup.on_train_begin()
    warmup.on_epoch_begin(0)
    for batch in range(3):
        warmup.on_train_batch_end(batch)
    warmup.on_epoch_begin(1)
    assert vae.kl_weight.numpy() == np.float32(0.3)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # As Keras says where it is not told the length.
def test_a_resumed_run_of_unknown_length_counts_batches_whatever_became_of_them(vae):
    """Of 8 batches one has a NaN and the others are one update; the ninth step begins half-way up."""
    data = np.tile(X, [2, 1])
    data[7] = np.nan
    unknown = tf.data.Dataset.from_tensor_slices(data).batch(5).filter(lambda x: True)
    accumulating = tfvae.VAE(vae.encoder, vae.decoder, posterior=DiagonalNormal(1), likelihood=Normal(3))
    accumulating.compile(keras.optimizers.SGD(1e-3, gradient_accumulation_steps=7))
    with pytest.warns(RuntimeWarning, match="1 updates were skipped"), pytest.warns(UserWarning, match="warm-up"):
        run(accumulating, KLWarmup(steps=16), epochs=1, data=unknown, shuffle=False)
    with pytest.warns(RuntimeWarning, match="1 updates were skipped"):
        record = run(accumulating, KLWarmup(steps=16), epochs=2, initial_epoch=1, data=unknown, shuffle=False)
    # One float32 rounding; Keras begins a ninth step before it sees that there is no more data.
    np.testing.assert_allclose(record.steps, np.arange(8, 17) / 16, rtol=1e-6)


def test_steps_per_execution_moves_in_larger_steps():
    model = tfvae.VAE(
        keras.Sequential([keras.Input([3]), keras.layers.Dense(2)]),
        keras.Sequential([keras.Input([1]), keras.layers.Dense(3)]),
        posterior=DiagonalNormal(1),
        likelihood=Normal(3),
    )
    model.compile("sgd", steps_per_execution=2)
    record = run(model, KLWarmup(steps=4), epochs=2)
    np.testing.assert_allclose(record.steps, [0, 0.5, 1.0, 1.0], rtol=1e-6)


def test_warns_when_the_run_is_too_short(vae):
    with pytest.warns(UserWarning, match=r"ends after 2 epochs, before the KL warm-up of 8.* end at 0.25, not 1"):
        run(vae, KLWarmup(epochs=8), epochs=2)
    with pytest.warns(UserWarning, match=r"ends after 8 steps, before the KL warm-up of 10.* end at 0.8, not 1"):
        run(vae, KLWarmup(steps=10), epochs=2)


def test_warns_when_training_stops_during_the_warm_up(vae):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    with pytest.warns(UserWarning, match=r"stopped during the KL warm-up, when the weight of the KL was 0.5, not 1"):
        vae.fit(X, epochs=8, callbacks=[KLWarmup(epochs=4), Stop()], verbose=0)


def test_the_reported_elbo_stays_unweighted(vae):
    history = vae.fit(X, epochs=2, callbacks=[KLWarmup(epochs=2, start=0.0)], validation_data=(X,), verbose=0).history
    for prefix in ("", "val_"):
        elbo = np.subtract(history[f"{prefix}reconstruction"], history[f"{prefix}kl"])
        np.testing.assert_allclose(history[f"{prefix}elbo"], elbo, rtol=1e-5)  # float32 rounding of means
    np.testing.assert_allclose(history["loss"][0], -history["reconstruction"][0], rtol=1e-5)


def test_finds_the_latent_layers_of_any_model():
    inner = keras.Sequential([keras.Input([3]), keras.layers.Dense(2), GaussianLatent()])
    model = keras.Sequential([keras.Input([3]), inner, keras.layers.Dense(3)])
    model.compile("sgd", loss="mse")
    model.fit(X, X, epochs=1, callbacks=[KLWarmup(epochs=1, target=0.5)], verbose=0)
    assert inner.layers[-1].kl_weight.numpy() == 0.5


def test_every_weight_ends_where_its_layer_was_made_to_unless_told_otherwise():
    x = keras.Input([4])
    latents = [GaussianLatent(kl_weight=weight) for weight in (4.0, 0.5)]
    model = keras.Model(x, keras.layers.Dense(3)(keras.layers.concatenate([latent(x) for latent in latents])))
    model.compile("sgd", loss="mse")
    data = np.zeros([4, 4]), np.zeros([4, 3])
    model.fit(*data, epochs=2, callbacks=[KLWarmup(epochs=2)], verbose=0)
    assert [float(latent.kl_weight.numpy()) for latent in latents] == [4.0, 0.5]
    with pytest.warns(UserWarning, match=r"will end at 2, not 4; 0\.25, not 0\.5\. Train longer"):
        model.fit(*data, epochs=1, callbacks=[KLWarmup(epochs=2)], verbose=0)
    model.fit(*data, epochs=1, callbacks=[KLWarmup(epochs=1, target=2.0)], verbose=0)
    assert [float(latent.kl_weight.numpy()) for latent in latents] == [2.0, 2.0]


def test_a_model_without_a_kl_is_refused():
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(3)])
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="found no weight of a KL"):
        model.fit(X, X, callbacks=[KLWarmup(epochs=1)], verbose=0)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"epochs": 1, "steps": 1},
        {"epochs": 0},
        {"epochs": 1.5},
        {"steps": True},
        {"steps": "10"},
        {"epochs": 1, "start": -0.1},
        {"epochs": 1, "target": float("inf")},
    ],
)
def test_bad_arguments_are_refused_req_35(arguments):
    with pytest.raises(ValueError, match=r"either epochs or steps|positive integer|weight of the KL"):
        KLWarmup(**arguments)


class Within(keras.layers.Layer):
    """A layer with a GaussianLatent inside, and no list of layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.latent = keras.layers.Dense(4), GaussianLatent()

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.latent(tf.split(self.dense(x), 2, axis=-1))


def test_latent_layers_inside_other_layers_are_found():
    x = keras.Input([3])
    inner, outer = Within(), GaussianLatent()
    z = outer([inner(x)] * 2)
    model = keras.Model(x, keras.layers.Dense(3)(z))
    model.compile("sgd", "mse")
    assert inner.latent.kl_weight is not outer.kl_weight
    model.fit(np.zeros([4, 3]), np.zeros([4, 3]), epochs=2, verbose=0, callbacks=[KLWarmup(epochs=2, target=0.5)])
    for latent in (inner.latent, outer):
        assert float(latent.kl_weight.numpy()) == 0.5
