"""fit and evaluate in every mode, and what their numbers mean."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.distributions import Bernoulli, DiagonalNormal, Normal

NAMES = ["elbo", "kl", "loss", "reconstruction"]


def still(vae):
    """Compile with a learning rate of 0, so that runs can be compared on one traced model."""
    vae.compile(keras.optimizers.SGD(0.0))
    return vae


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(16)


def test_all_kinds_of_data_give_the_same_history(make_vae, x):
    vae = still(make_vae())

    def batches():
        for start in range(0, len(x), 16):
            yield (x[start : start + 16],)

    kinds = {
        "array": (x, {"batch_size": 16}),
        "tensor": (tf.constant(x), {"batch_size": 16}),
        "with targets": (x, {"batch_size": 16, "y": np.arange(len(x))}),
        "with names as targets": (x, {"batch_size": 16, "y": np.array(["cat", "dog"])[np.arange(len(x)) % 2]}),
        "dataset": (dataset(x), {}),
        "dataset with targets": (dataset(x, np.arange(len(x))), {}),
        "dataset with names": (dataset(x, np.array(["cat", "dog"])[np.arange(len(x)) % 2]), {}),
        "generator": (batches(), {"steps_per_epoch": 3}),
    }
    histories = {}
    for name, (data, arguments) in kinds.items():
        vae.noise.state.assign([5, 0])
        histories[name] = vae.fit(data, shuffle=False, verbose=0, **arguments).history
    assert sorted(histories["array"]) == NAMES
    for name, history in histories.items():
        for key in NAMES:
            # float32: a retraced graph may sum in another order
            np.testing.assert_allclose(history[key], histories["array"][key], rtol=1e-5, err_msg=f"{name}: {key}")


def test_modes_agree_after_five_steps_req_23(make_vae, x, monkeypatch):
    kernel, calls = tfvae.ops._kernels.reparameterize_kl, []
    monkeypatch.setattr(tfvae.ops._kernels, "reparameterize_kl", lambda *args: calls.append(1) or kernel(*args))
    finals, native = {}, {}
    for name, mode in {
        "default": {},
        "eager": {"run_eagerly": True},
        "xla": {"jit_compile": True},
        "no xla": {"jit_compile": False},
        "several steps": {"steps_per_execution": 3},
    }.items():
        vae = make_vae()
        vae.compile(keras.optimizers.SGD(0.02), **mode)
        calls.clear()
        history = vae.fit(x[:40], batch_size=8, epochs=1, shuffle=False, verbose=0).history
        assert int(vae.optimizer.iterations.numpy()) == 5
        finals[name] = [*vae.get_weights(), history["loss"][0]]
        native[name] = bool(calls)
    for name, values in finals.items():
        for got, want in zip(values, finals["default"], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4, err_msg=name)
    info = tfvae.build_info()
    assert native.pop("xla") == (info["backend"] == "native" and info["problem_inside_xla"] is None)
    assert set(native.values()) == {info["backend"] == "native"}


def test_training_improves_the_bound_on_validation_data(make_vae, x):
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(0.03))
    stop = keras.callbacks.EarlyStopping("val_elbo", mode="max", patience=3, restore_best_weights=True)
    history = vae.fit(x, epochs=8, validation_data=(x,), callbacks=[stop], verbose=0).history
    assert {*NAMES, *(f"val_{name}" for name in NAMES)} == set(history)
    assert history["val_elbo"][-1] > history["val_elbo"][0] + 0.5
    for prefix in ("", "val_"):
        elbo = np.subtract(history[f"{prefix}reconstruction"], history[f"{prefix}kl"])
        np.testing.assert_allclose(history[f"{prefix}elbo"], elbo, rtol=1e-5)  # float32 rounding of means
        np.testing.assert_allclose(history[f"{prefix}loss"], -elbo, rtol=1e-5)


def test_validation_split_and_bare_validation_array(make_vae, x):
    vae = still(make_vae(log_var=-60.0))
    split = vae.fit(x, validation_split=0.25, shuffle=False, verbose=0).history
    bare = vae.fit(x[:36], validation_data=x[36:], shuffle=False, verbose=0).history
    for key in split:
        np.testing.assert_allclose(bare[key], split[key], rtol=1e-6, err_msg=key)  # the same sums


def test_every_example_counts_once_whatever_the_batches(make_vae, x):
    vae = still(make_vae(log_var=-60.0))
    per_example = vae.elbo(x[:17])
    for batch_size in (17, 16, 5, 1):
        logs = vae.evaluate(x[:17], batch_size=batch_size, verbose=0, return_dict=True)
        np.testing.assert_allclose(logs["elbo"], np.mean(per_example), rtol=1e-5)  # float32 sums
        np.testing.assert_allclose(logs["loss"], -np.mean(per_example), rtol=1e-5)
    fitted = vae.fit(x[:17], batch_size=16, verbose=0).history
    np.testing.assert_allclose(fitted["loss"][0], -np.mean(per_example), rtol=1e-5)


def test_the_step_does_not_depend_on_the_batch_size(make_vae, x):
    steps = []
    for data in (x[:4], np.concatenate([x[:4]] * 3)):
        vae = make_vae(log_var=-60.0)
        vae.compile(keras.optimizers.SGD(0.1))
        vae.train_on_batch(data)
        steps.append(vae.get_weights())
    for got, want in zip(*steps, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)  # float32 sums of another length


def test_sample_weights_as_keras_counts_them(make_vae, x):
    weight = np.linspace(0.0, 2.0, 10).astype("float32")
    vae = still(make_vae(log_var=-60.0))
    elbo = vae.elbo(x[:10]).numpy()
    loss, weighted_elbo = -np.mean(weight * elbo), np.sum(weight * elbo) / np.sum(weight)
    for y in (None, np.zeros(10)):
        logs = vae.evaluate(x[:10], y, sample_weight=weight, batch_size=4, verbose=0, return_dict=True)
        np.testing.assert_allclose([logs["loss"], logs["elbo"]], [loss, weighted_elbo], rtol=1e-5)  # float32 sums
    history = vae.fit(
        x[:10],
        sample_weight=weight,
        validation_data=(x[:10], None, weight),
        verbose=0,
    ).history
    np.testing.assert_allclose([history["loss"][0], history["val_loss"][0]], [loss, loss], rtol=1e-5)
    column = dataset(x[:10], np.zeros(10), weight[:, None])
    unranked = column.map(lambda x, y, w: (x, y, tf.numpy_function(lambda w: w, [w], tf.float32)))
    for data in (column, unranked):
        np.testing.assert_allclose(vae.evaluate(data, verbose=0, return_dict=True)["loss"], loss, rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"sample_weight must have shape \[B\], one weight per example, not \[None, 3\]"
    ):
        vae.evaluate(dataset(x[:10], np.zeros(10), np.ones([10, 3])), verbose=0)
    with pytest.raises(ValueError, match=r"sample_weight must have shape \[B\]"):
        vae.train_on_batch(x[:10], np.zeros(10), sample_weight=np.ones([10, 3]))


def test_weighted_gradient_is_that_of_repeated_examples(make_vae, x):
    steps = []
    for data, weight in ((x[:2], [1.5, 0.5]), (x[[0, 0, 0, 1]], [1.0] * 4)):
        vae = make_vae(log_var=-60.0)
        vae.compile(keras.optimizers.SGD(0.1))
        vae.train_on_batch(data, np.zeros(len(data)), sample_weight=np.array(weight, "float32"))
        steps.append(vae.get_weights())
    for got, want in zip(*steps, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)  # float32 sums of another length


def test_kl_weight_weighs_the_loss_and_nothing_reported(make_vae, x):
    vae = still(make_vae(log_var=-1.0, kl_weight=0.25))
    vae.noise.state.assign([5, 0])
    first = vae.evaluate(x, verbose=0, return_dict=True)
    np.testing.assert_allclose(first["loss"], 0.25 * first["kl"] - first["reconstruction"], rtol=1e-5)
    vae.kl_weight = 0.0  # Assigned to in the step that is compiled already.
    vae.noise.state.assign([5, 0])
    second = vae.evaluate(x, verbose=0, return_dict=True)
    np.testing.assert_allclose(second["loss"], -second["reconstruction"], rtol=1e-5)
    assert (second["elbo"], second["kl"]) == (first["elbo"], first["kl"])


@pytest.mark.parametrize("value", [-1.0, float("nan"), "4", None, True])
def test_only_a_number_can_be_assigned_to_kl_weight(make_vae, value):
    vae = make_vae(kl_weight=0.25)
    with pytest.raises(ValueError, match="weight of the KL must be a finite number of at least 0"):
        vae.kl_weight = value
    assert vae.kl_weight.numpy() == 0.25


def test_losses_of_the_networks_are_added(x, make_vae):
    vae = make_vae(log_var=-60.0)
    vae.decoder.layers[-1].kernel.regularizer = keras.regularizers.L2(0.5)
    still(vae)
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    penalty = 0.5 * np.sum(vae.decoder.layers[-1].kernel.numpy() ** 2)
    np.testing.assert_allclose(logs["loss"] + logs["elbo"], penalty, rtol=1e-4)  # difference of float32 means


class AddsMeanSquare(keras.layers.Layer):
    def call(self, x):
        self.add_loss(tf.reduce_mean(x**2))
        return x


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_a_layer_in_both_networks_adds_its_loss_twice(x, run_eagerly):
    """A call of a Keras layer from outside clears the losses of all layers in it, the encoder's among them."""

    def loss_added(first, second):
        keras.utils.set_random_seed(1)
        encoder = keras.Sequential([keras.Input([6]), keras.layers.Dense(2), first, keras.layers.Dense(4)])
        decoder = keras.Sequential([keras.Input([2]), second, keras.layers.Dense(6)])
        vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=Normal(6), seed=1)
        vae.compile(keras.optimizers.SGD(0.0), run_eagerly=run_eagerly)
        losses = [logs["loss"] + logs["elbo"] for logs in (vae.train_on_batch(x, return_dict=True) for _ in range(2))]
        assert len(vae.losses) == 2
        return losses

    both = AddsMeanSquare()
    np.testing.assert_allclose(
        loss_added(both, both),
        loss_added(AddsMeanSquare(), AddsMeanSquare()),
        rtol=1e-5,  # differences of float32 means
    )


def test_arrays_outside_the_support_are_refused(make_vae, x):
    vae = still(make_vae(likelihood=Bernoulli(6)))
    good = (x > 0).astype("float32")
    spoilt = good.copy()
    spoilt[3, 2] = 0.5
    for call in (
        lambda: vae.fit(spoilt),
        lambda: vae.evaluate(spoilt),
        lambda: vae.fit(good, validation_data=(spoilt, None)),
        lambda: vae.fit(good, validation_data=spoilt),
        lambda: vae.train_on_batch(spoilt),
        lambda: vae.test_on_batch(spoilt),
        lambda: vae.elbo(spoilt),
        lambda: vae.log_likelihood(spoilt.tolist(), num_samples=2),
    ):
        with pytest.raises(ValueError, match=r"Bernoulli expects values that are 0 or 1; 1 of 288 .*\[3, 2\]"):
            call()
    assert int(vae.optimizer.iterations.numpy()) == 0
    with pytest.raises(ValueError, match=r"must have a shape that ends in \[6\].* not \[48, 5\]"):
        vae.fit(x[:, :5])


def test_a_learned_prior_is_trained_with_the_networks(make_vae, x):
    vae = make_vae(prior=tfvae.distributions.DiagonalNormal(2), log_var=-1.0)
    vae.encoder.set_weights([np.zeros([6, 4]), np.array([2.0, -1.0, 0.0, 0.5])])
    vae.encoder.trainable = False
    vae.compile(keras.optimizers.Adam(0.1))
    vae.fit(np.tile(x, [60, 1]), batch_size=48, verbose=0)
    # The best prior is the aggregate posterior, here N([2, -1], exp([0, .5])) for every x; Adam ends within 0.1.
    np.testing.assert_allclose(vae.prior_params, [2.0, -1.0, 0.0, 0.5], atol=0.1)
    np.testing.assert_allclose(vae.prior().mean(), [2.0, -1.0], atol=0.1)
