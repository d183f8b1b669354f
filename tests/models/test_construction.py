"""What a VAE is made of, and what is refused, by name and with the reason."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.distributions import Bernoulli, Categorical, DiagonalNormal, Family, Normal, StandardNormal


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, inputs, training=False):
        return self.dense(inputs)


def functional(inputs, outputs):
    tensor = keras.Input([inputs])
    return keras.Model(tensor, keras.layers.Dense(outputs)(tensor))


NETWORKS = {
    "functional": functional,
    "sequential": lambda inputs, outputs: keras.Sequential([keras.Input([inputs]), keras.layers.Dense(outputs)]),
    "unbuilt sequential": lambda inputs, outputs: keras.Sequential([keras.layers.Dense(outputs)]),
    "subclassed": lambda inputs, outputs: Subclassed(outputs),
    "layer": lambda inputs, outputs: keras.layers.Dense(outputs),
}


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_any_kind_of_network_req_40(kind, x):
    vae = tfvae.VAE(NETWORKS[kind](6, 4), NETWORKS[kind](2, 6), posterior=DiagonalNormal(2), likelihood=Normal(6))
    vae.compile("adam")
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"][0])
    assert vae.built
    assert len(vae.trainable_weights) == 4
    assert vae.predict(x[:1], verbose=0).shape == (1, 6)
    assert len(vae.evaluate(x, verbose=0)) == 4
    lines = []
    vae.summary(print_fn=lambda line, **_: lines.append(line))
    assert "noise" in "\n".join(lines)


def test_predict_is_the_mean_at_the_posterior_mean(make_vae, x):
    vae = make_vae()
    expected = vae.decoder(vae.encoder(x)[:, :2])
    np.testing.assert_allclose(vae.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)  # float32, another graph
    np.testing.assert_allclose(vae.reconstruct(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(vae.encode(x), vae.encoder(x)[:, :2])


def test_images_with_flat_and_event_shaped_decoders():
    x = (np.random.default_rng(0).random([5, 4, 4, 1]) > 0.5).astype("float32")
    for last in ([keras.layers.Dense(16)], [keras.layers.Dense(16), keras.layers.Reshape([4, 4, 1])]):
        encoder = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten(), keras.layers.Dense(4)])
        decoder = keras.Sequential([keras.Input([2]), *last])
        vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=Bernoulli((4, 4, 1)))
        assert vae.reconstruct(x).shape == x.shape
        assert vae.elbo(x).shape == [5]


def test_categorical_data_and_class_probabilities():
    x = np.random.default_rng(0).integers(0, 3, size=[8, 5])
    one_hot = keras.Sequential(
        [keras.Input([5], dtype="int64"), keras.layers.CategoryEncoding(3, "multi_hot"), keras.layers.Dense(4)]
    )
    vae = tfvae.VAE(one_hot, functional(2, 15), posterior=DiagonalNormal(2), likelihood=Categorical(5, num_classes=3))
    vae.compile("adam")
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"][0])
    np.testing.assert_allclose(np.sum(vae.predict(x, verbose=0), axis=-1), np.ones([8, 5]), rtol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class LogNormal(Family):
    """A family of the user's own: a positive z."""

    parameters_per_element = 2

    def make(self, *parameters):
        loc, log_scale = parameters
        distribution = tfvae.distributions._tfp.tfd.LogNormal(loc, tf.exp(log_scale))
        return tfvae.distributions._tfp.tfd.Independent(distribution, 1)


def test_a_family_of_ones_own_as_posterior_and_prior(x, tmp_path):
    vae = tfvae.VAE(
        functional(6, 4), functional(2, 6), posterior=LogNormal(2), prior=LogNormal(2), likelihood=Normal(6)
    )
    vae.compile("adam")
    vae.fit(x, verbose=0)
    vae.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(loaded.elbo(x, seed=1), vae.elbo(x, seed=1))
    assert np.all(vae.prior().sample(3, seed=[1, 2]).numpy() > 0)


FAMILIES = {"posterior": DiagonalNormal(2), "likelihood": Normal(6)}


@pytest.mark.parametrize(
    ("encoder", "decoder", "families", "message"),
    [
        (functional(6, 5), functional(2, 6), {}, r"encoder's output must have shape \[..., 4\].*not \[\?, 5\]"),
        (functional(6, 4), functional(2, 7), {}, r"decoder's output must have shape \[..., 6\].*not \[\?, 7\]"),
        (functional(6, 4), functional(3, 6), {}, r"decoder's input must have a shape that ends in \[2\].*\[\?, 3\]"),
        (functional(6, 4), functional(2, 6), {"prior": StandardNormal(3)}, r"event shapes \[3\] and \[2\]"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_at_construction(encoder, decoder, families, message):
    with pytest.raises(ValueError, match=message):
        tfvae.VAE(encoder, decoder, **{**FAMILIES, **families})


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_build_makes_all_weights_so_that_others_can_be_loaded(kind, x, tmp_path):
    def made():
        return tfvae.VAE(NETWORKS[kind](6, 4), NETWORKS[kind](2, 6), **FAMILIES)

    trained, fresh = made(), made()
    trained.compile("adam")
    trained.fit(x, verbose=0)
    trained.save_weights(tmp_path / "v.weights.h5")
    fresh.build((None, 6))
    assert fresh.built
    fresh.load_weights(tmp_path / "v.weights.h5")
    for got, want in zip(fresh.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((None, 7), r"ends in \[6\]"),
        ([6], r"must have shape \[B, 6\]"),
        ([(None, 6), (None, 6)], "for the shape of one tensor x"),
        ({"x": (None, 6)}, "for the shape of one tensor x"),
    ],
    ids=str,
)
def test_build_refuses_other_shapes(shape, message):
    vae = tfvae.VAE(Subclassed(4), Subclassed(6), **FAMILIES)
    with pytest.raises(ValueError, match=message):
        vae.build(shape)
    assert not vae.built


class DensityOnly(Normal):
    """A likelihood whose mean is not known: it can be trained, but reconstructs nothing."""

    def mean(self, distribution):
        raise NotImplementedError("no mean")


def test_unbuilt_networks_are_trained_without_a_mean(x):
    vae = tfvae.VAE(Subclassed(4), Subclassed(6), posterior=DiagonalNormal(2), likelihood=DensityOnly(6))
    vae.compile("adam")
    assert np.isfinite(vae.fit(x, validation_data=(x,), verbose=0).history["val_elbo"]).all()


def test_sizes_of_unbuilt_networks_are_refused_at_the_first_call(x):
    wrong_encoder = tfvae.VAE(Subclassed(5), Subclassed(6), **FAMILIES)
    with pytest.raises(ValueError, match=r"The encoder's output must have shape \[..., 4\]"):
        wrong_encoder.elbo(x)
    wrong_decoder = tfvae.VAE(Subclassed(4), Subclassed(7), **FAMILIES)
    wrong_decoder.compile("adam")
    with pytest.raises(ValueError, match=r"The decoder's output must have shape \[..., 6\]"):
        wrong_decoder.fit(x, verbose=0)


def test_encoder_with_two_outputs_is_refused_with_the_remedy(x):
    inputs = keras.Input([6])
    two = keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)])
    with pytest.raises(TypeError, match=r"The encoder must give one tensor .* not list. Concatenate them"):
        tfvae.VAE(two, functional(2, 6), **FAMILIES).elbo(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"encoder": "dense"}, TypeError, "encoder must be a Keras model or layer, not 'dense'"),
        ({"decoder": lambda z: z}, TypeError, "decoder must be a Keras model or layer"),
        ({"likelihood": "normal"}, TypeError, "likelihood must be a family such as .* not 'normal'"),
        ({"posterior": 2}, TypeError, "posterior must be a family such as"),
        ({"prior": 2}, TypeError, "prior must be a family such as"),
        ({"kl_weight": float("nan")}, ValueError, "weight of the KL must be a finite number of at least 0, not nan"),
        ({"kl_weight": -1}, ValueError, "weight of the KL"),
        ({"kl_weight": True}, ValueError, "weight of the KL"),
        ({"seed": "x"}, ValueError, "seed of NoiseState"),
    ],
)
def test_bad_arguments_are_refused_req_35(arguments, error, message):
    parts = {"encoder": functional(6, 4), "decoder": functional(2, 6), **FAMILIES, **arguments}
    with pytest.raises(error, match=message):
        tfvae.VAE(**parts)


@pytest.mark.parametrize("name", ["loss", "metrics", "weighted_metrics", "loss_weights"])
def test_compile_takes_no_loss(make_vae, name):
    with pytest.raises(ValueError, match=f"takes no {name}: its loss is minus the evidence lower bound"):
        make_vae().compile("adam", **{name: "mse"})


def test_data_of_another_shape_is_refused(make_vae, x):
    vae = make_vae()
    for call in (vae.elbo, lambda data: vae.log_likelihood(data, num_samples=2)):
        with pytest.raises(ValueError, match=r"ends in \[6\], the event shape of Normal.* not \[48, 6, 1\]"):
            call(x[..., None])


def test_training_without_trainable_weights_says_so(make_vae, x):
    vae = make_vae()
    vae.trainable = False
    vae.compile("adam")
    with pytest.warns(UserWarning, match="no trainable weights"):
        vae.fit(x, verbose=0)
