"""Saving, loading, resuming: nothing is lost, noise included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.callbacks import KLWarmup
from tfvae.distributions import Bernoulli, DiagonalNormal, Normal


def trained(make_vae, x, epochs, callbacks=()):
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(0.01))
    resume(vae, x, 0, epochs, callbacks)
    return vae


def resume(vae, x, start, end, callbacks=()):
    vae.fit(
        x,
        batch_size=20,
        initial_epoch=start,
        epochs=end,
        validation_data=(x[:5],),
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def assert_same_weights(got, want):
    for one, other in zip(got.weights, want.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    for one, other in zip(got.optimizer.variables, want.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


class Stop(Exception):
    pass


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Stop


def test_two_and_two_epochs_are_four_bit_for_bit_req_36(make_vae, x, tmp_path):
    four = trained(make_vae, x, 4)
    two = trained(make_vae, x, 2)
    two.save(tmp_path / "two.keras")
    two.save_weights(tmp_path / "two.weights.h5")
    checkpoint = tf.train.Checkpoint(model=two).save(str(tmp_path / "checkpoint"))

    from_keras = keras.saving.load_model(tmp_path / "two.keras")
    from_weights, from_checkpoint = make_vae(), make_vae()
    for vae in (from_weights, from_checkpoint):
        vae.compile(keras.optimizers.Adam(0.01))
        vae(x[:1])
        vae.optimizer.build(vae.trainable_variables)
    from_weights.load_weights(tmp_path / "two.weights.h5")
    tf.train.Checkpoint(model=from_checkpoint).restore(checkpoint).assert_consumed()
    for vae in (from_keras, from_weights, from_checkpoint):
        np.testing.assert_array_equal(vae.noise.state, two.noise.state)
        resume(vae, x, 2, 4)
        assert_same_weights(vae, four)


def test_backup_and_restore_with_a_warm_up_goes_on_bit_for_bit_req_36(make_vae, x, tmp_path):
    def callbacks(*more):
        return [KLWarmup(epochs=4), keras.callbacks.BackupAndRestore(tmp_path / "backup"), *more]

    four = trained(make_vae, x, 4, [KLWarmup(epochs=4)])
    interrupted = make_vae()
    interrupted.compile(keras.optimizers.Adam(0.01))
    interrupted(x[:1])
    with pytest.raises(Stop):
        resume(interrupted, x, 0, 4, callbacks(StopAfter(2)))
    restarted = make_vae()
    restarted.compile(keras.optimizers.Adam(0.01))
    restarted(x[:1])
    resume(restarted, x, 0, 4, callbacks())
    assert_same_weights(restarted, four)


def test_round_trip_keeps_everything(make_vae, x, tmp_path):
    vae = trained(make_vae, x, 1)
    vae.kl_weight = 0.25
    vae.skipped_updates.assign(3)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert isinstance(loaded, tfvae.VAE)
    assert_same_weights(loaded, vae)
    assert (loaded.posterior_family, loaded.likelihood_family) == (vae.posterior_family, vae.likelihood_family)
    assert (loaded.prior_family, loaded.name) == (vae.prior_family, vae.name)
    np.testing.assert_array_equal(loaded.elbo(x), vae.elbo(x))
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), vae.predict(x, verbose=0))
    assert loaded.evaluate(x, verbose=0) == vae.evaluate(x, verbose=0)


class Encoder(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(4)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize("compiled", [True, False])
def test_unbuilt_and_subclassed_networks_round_trip(x, tmp_path, compiled):
    vae = tfvae.VAE(
        Encoder(),
        keras.Sequential([keras.layers.Dense(6)]),
        posterior=DiagonalNormal(2),
        likelihood=Bernoulli(6),
        prior=DiagonalNormal(2),
        kl_weight=0.5,
        name="mine",
    )
    if compiled:
        vae.compile("adam")
        vae.fit((x > 0).astype("float32"), verbose=0)
    else:
        vae(x)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras", custom_objects={"Encoder": Encoder})
    assert (loaded.compiled, loaded.name, loaded.initial_kl_weight) == (compiled, "mine", 0.5)
    for got, want in zip(loaded.weights, vae.weights, strict=True):
        np.testing.assert_array_equal(got, want)


def test_saving_in_safe_mode_refuses_code_in_the_networks(x, tmp_path):
    networks = [
        keras.Sequential([keras.Input([6]), keras.layers.Dense(4), keras.layers.Lambda(lambda t: t)]),
        keras.Sequential([keras.Input([2]), keras.layers.Dense(6)]),
    ]
    vae = tfvae.VAE(*networks, posterior=DiagonalNormal(2), likelihood=Normal(6))
    vae(x)
    vae.save(tmp_path / "vae.keras")
    with pytest.raises((ValueError, TypeError), match=r"safe_mode|Lambda"):
        keras.saving.load_model(tmp_path / "vae.keras")


def test_fresh_process_with_and_without_the_import_req_34(tmp_path, run_python):
    """What goes on in a fresh process equals what went on in the one that saved, bit for bit.

    That one is fresh too: late in the process of a whole test run the same training was seen to differ in a last place.
    """
    file, weights = tmp_path / "vae.keras", [tmp_path / "there.npz", tmp_path / "here.npz"]
    data = 'x = np.random.default_rng(0).normal(size=[48, 6]).astype("float32")'
    going_on = """
vae.fit(x, batch_size=20, initial_epoch=2, epochs=3, validation_data=(x[:5],), shuffle=False, verbose=0)
np.savez(WEIGHTS, *vae.get_weights())
"""
    there = f"""
import keras
import numpy as np
import tfvae
{data}
keras.utils.set_random_seed(1)
encoder = keras.Sequential([keras.Input([6]), keras.layers.Dense(4)])
decoder = keras.Sequential([keras.Input([2]), keras.layers.Dense(8, "tanh"), keras.layers.Dense(6)])
families = dict(posterior=tfvae.distributions.DiagonalNormal(2), likelihood=tfvae.distributions.Normal(6))
vae = tfvae.VAE(encoder, decoder, seed=5, **families)
vae.compile(keras.optimizers.Adam(0.01))
vae.fit(x, batch_size=20, epochs=2, validation_data=(x[:5],), shuffle=False, verbose=0)
vae.save({str(file)!r})
WEIGHTS = {str(weights[0])!r}
{going_on}"""
    here = f"""
import keras
import numpy as np
try:
    keras.saving.load_model({str(file)!r})
except TypeError as error:
    assert "VAE" in str(error), error
else:
    raise SystemExit("loaded without the import")
import tfvae
vae = keras.saving.load_model({str(file)!r})
{data}
WEIGHTS = {str(weights[1])!r}
{going_on}"""
    for code in (there, here):
        done = run_python(code, env={"TFVAE_BACKEND": tfvae.build_info()["backend"]})
        assert done.returncode == 0, done.stderr[-2000:]
    with np.load(weights[0]) as want, np.load(weights[1]) as got:
        for one, other in zip(got.values(), want.values(), strict=True):
            np.testing.assert_array_equal(one, other)


class Narrow(tfvae.VAE):
    """A subclass that makes its own networks, so that its constructor is another one."""

    def __init__(self, latent_size, **kwargs):
        networks = keras.Sequential([keras.layers.Dense(2 * latent_size)]), keras.Sequential([keras.layers.Dense(6)])
        super().__init__(*networks, posterior=DiagonalNormal(latent_size), likelihood=Normal(6), **kwargs)
        self.latent_size = latent_size


class WithConfig(Narrow):
    def get_config(self):
        return {"latent_size": self.latent_size, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


class WithStaticMethod(WithConfig):
    @staticmethod
    def from_config(config, custom_objects=None):
        return WithStaticMethod(**config)


def test_a_subclass_that_could_not_be_loaded_is_not_saved(x, tmp_path):
    vae = Narrow(2)
    vae.build(x.shape)
    path = tmp_path / "vae.keras"
    with pytest.raises(TypeError, match=r"Narrow could not be loaded again.*latent_size.*Override get_config"):
        vae.save(path)
    assert not path.exists()
    for kind in (WithConfig, WithStaticMethod):
        vae = kind(2)
        vae.build(x.shape)
        vae.save(path)
        loaded = keras.saving.load_model(path, custom_objects={kind.__name__: kind})
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), vae.predict(x, verbose=0))


def test_layers_in_both_networks_which_could_not_be_loaded_are_not_saved(tmp_path):
    both = keras.layers.Dense(2)
    encoder = keras.Sequential([keras.Input([2]), both, keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input([2]), both])
    vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=Normal(2))
    with pytest.raises(ValueError, match=f"have the layer '{both.name}' in common, which could not be loaded again"):
        vae.save(tmp_path / "vae.keras")
    assert list(tmp_path.iterdir()) == []
    vae.save_weights(tmp_path / "vae.weights.h5")
