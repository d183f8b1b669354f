"""What users of a VAE try that cannot work is refused in words; what works in Keras without ceremony works here."""

import re
import unittest.mock

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
import tensorflow_probability as tfp

import tfvae
from tfvae.distributions import Bernoulli, DiagonalNormal


def test_a_posterior_that_passes_on_no_gradient_is_refused(x):
    encoder = keras.Sequential([keras.Input([6]), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input([4]), keras.layers.Dense(6)])
    normal = tfvae.distributions.Normal(6)
    vae = tfvae.VAE(encoder, decoder, posterior=Bernoulli(4), prior=Bernoulli(4), likelihood=normal)
    vae.compile("adam")
    with pytest.raises(ValueError, match="samples are differentiable in its parameters"):
        vae.fit(x, verbose=0)


@pytest.mark.parametrize("inputs", [lambda x: [x, x], lambda x: {"a": x, "b": x}], ids=["list", "dict"])
def test_several_inputs_are_refused_with_the_way_to_go(make_vae, x, inputs):
    vae = make_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match=r"one tensor x, not of a (list|dict) of 2\..*GaussianLatent"):
        vae.fit(inputs(x), verbose=0)


def test_weights_in_a_column_and_in_a_row_take_turns(make_vae, x):
    vae = make_vae(log_var=-60.0)
    vae.compile("sgd")
    weight = np.linspace(0.5, 1.5, len(x), dtype=np.float32)
    column, vector, again = (
        vae.evaluate(x, sample_weight=w, return_dict=True, verbose=0)["reconstruction"]
        for w in (weight[:, None], weight, weight[:, None])
    )
    # There is no noise in z; float32.
    expected = np.average(vae.likelihood(vae.encode(x)).log_prob(x), weights=weight)
    np.testing.assert_allclose([column, vector, again], expected, rtol=1e-5)
    for w in (weight[:, None], weight):
        vae.fit(x, sample_weight=w, verbose=0)
    for wrong in (np.ones([len(x), 2]), np.float32(1.0)):
        with pytest.raises(ValueError, match=r"sample_weight must have shape \[B\], one weight per example, not"):
            vae.fit(x, sample_weight=wrong, verbose=0)


def test_shapes_are_checked_after_a_good_fit_too(make_vae, x):
    """When Keras has traced for any shape."""
    vae = make_vae()
    vae.compile("sgd")
    single = tf.data.Dataset.from_tensor_slices(x)
    for _ in range(2):
        vae.fit(x, verbose=0)
        vae.predict(x, verbose=0)
        for wrong, shape in ((x[0], r"\[6\]"), (single, r"\[6\]"), (x[:, :, None], r"\[48, 6, 1\]")):
            methods = (vae.fit, vae.evaluate) if wrong is single else (vae.fit, vae.evaluate, vae.predict)
            for method in methods:
                with pytest.raises(ValueError, match=rf"The data must have (a )?shape .*not {shape}"):
                    method(wrong, verbose=0)
    with pytest.raises(ValueError, match=r"tf\.data\.Dataset of single examples wants \.batch\(64\)"):
        vae.fit(single, verbose=0)


def test_data_of_unknown_rank_are_trained_on(make_vae, x):
    def batches():
        yield from (x[:20], x[20:])

    unknown = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec(None, tf.float32))
    unknown = unknown.apply(tf.data.experimental.assert_cardinality(2))
    vae = make_vae()
    vae.compile("sgd")
    assert np.isfinite(vae.fit(unknown, shuffle=False, verbose=0).history["elbo"]).all()


def test_data_sets_and_generators_are_no_data_of_methods(make_vae, x):
    vae = make_vae()
    data = tf.data.Dataset.from_tensor_slices(x).batch(8)
    for wrong in (data, (row for row in x), None):
        for method in (vae.elbo, vae.encode, vae.reconstruct, vae.posterior, vae.log_likelihood):
            with pytest.raises(TypeError, match=r"x must be an array of examples, \[N, \*event\], not"):
                method(wrong)
    with pytest.raises(TypeError, match=r"not _BatchDataset.*np\.concatenate\(list\(x\)\)"):
        tfvae.evidence.decompose(vae, data)
    with pytest.raises(TypeError, match="x must be real numbers, not complex64"):
        vae.encode(x.astype(np.complex64))


def test_class_weight_of_one_batch_needs_classes(make_vae, x):
    vae = make_vae()
    vae.compile("sgd")
    with pytest.raises(ValueError, match="class_weight needs the classes of the examples"):
        vae.train_on_batch(x, class_weight={0: 1.0})
    assert np.isfinite(vae.train_on_batch(x, np.zeros(len(x)), class_weight={0: 2.0})[0])


def test_sparse_data_are_refused_with_the_remedy(make_vae, x):
    vae = make_vae()
    vae.compile("adam")
    sparse = scipy.sparse.csr_matrix(x)
    for method in (vae.fit, vae.train_on_batch, vae.elbo, vae.posterior, vae.log_likelihood, vae.reconstruct):
        with pytest.raises(ValueError, match=r"x must be dense, not a csr_matrix. Take x.toarray\(\)"):
            method(sparse)
    with pytest.raises(ValueError, match=r"x must be dense, not a csr_matrix. Take x.toarray\(\)"):
        tfvae.evidence.decompose(vae, sparse)
    rows = tf.data.Dataset.from_tensors(tf.sparse.from_dense(x))
    with pytest.raises(ValueError, match=r"x must be dense, not a SparseTensor.*tf\.sparse\.to_dense"):
        vae.fit(rows, shuffle=False, verbose=0)
    vae.fit(rows.map(tf.sparse.to_dense), shuffle=False, verbose=0)


@pytest.mark.parametrize("built", [True, False])
def test_data_mended_after_a_mistake_can_be_trained_on(make_vae, x, built):
    vae = make_vae()
    if not built:
        vae = tfvae.VAE(
            keras.Sequential([keras.layers.Dense(4)]),
            keras.Sequential([keras.layers.Dense(6)]),
            posterior=DiagonalNormal(2),
            likelihood=tfvae.distributions.Normal(6),
        )
    vae.compile("adam")
    for wrong in (x[:, :5], x[:, None]):
        with pytest.raises(ValueError, match=r"must have (a )?shape"):
            vae.fit(tf.data.Dataset.from_tensors(wrong), shuffle=False, verbose=0)
        with pytest.raises(ValueError, match=r"must have (a )?shape"):
            vae.evaluate(tf.data.Dataset.from_tensors(wrong), verbose=0)
        with pytest.raises(ValueError, match="shape"):
            vae.predict(tf.data.Dataset.from_tensors(wrong), verbose=0)
    vae.evaluate(tf.data.Dataset.from_tensors(x), verbose=0)
    vae.predict(tf.data.Dataset.from_tensors(x), verbose=0)
    vae.fit(tf.data.Dataset.from_tensors(x), shuffle=False, verbose=0)
    function = vae.train_function
    vae.fit(tf.data.Dataset.from_tensors(x), shuffle=False, verbose=0)
    assert vae.train_function is function  # and is not traced again for nothing
    vae.trainable = False
    vae.compile("adam")
    with pytest.warns(UserWarning, match="no trainable weights"):
        vae.train_on_batch(x)
    function = vae.train_function
    vae.train_on_batch(x)
    assert vae.train_function is function


def test_several_inputs_given_to_a_method_are_refused(make_vae, x):
    with pytest.raises(ValueError, match="one tensor x, not of a dict of 1"):
        make_vae().elbo({"a": x})


@pytest.mark.parametrize("last", ["sigmoid", "softmax"])
@pytest.mark.parametrize("likelihood", [tfvae.distributions.Bernoulli((2, 3)), tfvae.distributions.Categorical(3, 2)])
def test_probabilities_where_logits_are_wanted_warn(last, likelihood):
    encoder = keras.Sequential([keras.Input([*likelihood.event_shape]), keras.layers.Flatten(), keras.layers.Dense(4)])

    def make(activation):
        decoder = [keras.Input([2]), keras.layers.Dense(6, activation), keras.layers.Reshape([2, 3])]
        decoder = keras.Sequential(decoder if isinstance(likelihood, Bernoulli) else decoder[:2])
        return tfvae.VAE(encoder, decoder, posterior=tfvae.distributions.DiagonalNormal(2), likelihood=likelihood)

    with pytest.warns(UserWarning, match=f"ends in {last}, and {type(likelihood).__name__} takes logits"):
        make(last)
    make(None)  # Warnings are errors in the tests.


class Gated(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.layers, self.activation = 3, keras.activations.sigmoid


class OfProbabilities(Bernoulli):
    def make(self, probs):
        return tfp.distributions.Independent(tfp.distributions.Bernoulli(probs=probs, dtype=probs.dtype), 1)


def test_other_sigmoids_do_not_warn():
    z = keras.Input([2])
    gate = keras.layers.Dense(6, "sigmoid")(z)
    ends_in_sigmoid = keras.Sequential([keras.Input([2]), keras.layers.Dense(6, "sigmoid")])
    decoders = {
        keras.Model(z, gate * keras.layers.Dense(6)(z)): Bernoulli(6),
        keras.Model(z, keras.ops.log(gate) - keras.ops.log1p(-gate)): Bernoulli(6),
        Gated(): Bernoulli(6),
        ends_in_sigmoid: OfProbabilities(6),
    }
    encoder = keras.Sequential([keras.Input([6]), keras.layers.Dense(4)])
    for decoder, likelihood in decoders.items():
        tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=likelihood)
    unbuilt = keras.Sequential([keras.layers.Dense(6, "sigmoid"), keras.layers.Flatten()])
    for inner in (keras.Model(z, gate), ends_in_sigmoid, unbuilt):
        nested = keras.Sequential([keras.Input([2]), keras.layers.Dense(2), inner])
        for decoder in (inner, nested, keras.Model(z, nested(z))):
            with pytest.warns(UserWarning, match="ends in sigmoid"):
                tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=Bernoulli(6))


def test_networks_of_keras_2_are_told_from_others():
    import tf_keras

    encoder = keras.Sequential([keras.Input([6]), keras.layers.Dense(4)])
    with pytest.raises(TypeError, match=r"decoder must be a Keras model .* Keras 2 \(tf_keras\): build it with"):
        tfvae.VAE(encoder, tf_keras.Sequential(), posterior=DiagonalNormal(2), likelihood=Bernoulli(6))


def test_several_inputs_in_a_dataset_are_refused(make_vae, x):
    vae = make_vae()
    vae.encoder = TwoInputs()
    vae.compile("adam")
    with pytest.raises(ValueError, match=r"one tensor x, not of a tuple of 2"):
        vae.fit(tf.data.Dataset.from_tensors(((x, x), x)), shuffle=False, verbose=0)


class TwoInputs(keras.layers.Layer):
    def call(self, inputs):
        return inputs[0][:, :4]


def test_one_example_is_refused_with_the_remedy(make_vae, x):
    vae = make_vae()
    for method in (vae.elbo, vae.reconstruct, vae.encode, vae.posterior, vae.log_likelihood):
        with pytest.raises(
            ValueError, match=re.escape("must have shape [B, 6], not [6]. For one example take x[None]")
        ):
            method(x[0])


def test_a_strategy_of_several_machines_is_refused_req_43(make_vae, monkeypatch):
    several = unittest.mock.Mock(spec=tf.distribute.MultiWorkerMirroredStrategy)
    monkeypatch.setattr(tfvae.VAE, "distribute_strategy", several)
    with pytest.raises(ValueError, match=r"does not train under MultiWorkerMirroredStrategy.* Use MirroredStrategy"):
        make_vae().compile("adam")


def test_class_weight_needs_classes(make_vae, x):
    vae = make_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match="class_weight needs the classes of the examples: pass them as y"):
        vae.fit(x, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="class_weight needs the classes of the examples: pass them as y"):
        vae.fit(tf.constant(x), class_weight={0: 1.0, 1: 2.0}, verbose=0)
    history = vae.fit(x, np.arange(48) % 2, class_weight={0: 1.0, 1: 2.0}, verbose=0).history
    # The loss is divided by the examples, the bound by their weights, here 3/2 on average.
    np.testing.assert_allclose(history["loss"][0], -1.5 * history["elbo"][0], rtol=1e-4)  # batches weigh differently


def test_the_old_format_is_refused_when_saving_not_when_loading(make_vae, tmp_path):
    for name in ("model.h5", "model.hdf5"):
        with pytest.raises(ValueError, match=r"cannot be read back .* Save it as a \.keras file"):
            make_vae().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_model_of_built_networks_is_built(make_vae, x, tmp_path):
    trained, fresh = make_vae(), make_vae()
    assert fresh.built
    trained.compile("adam")
    trained.fit(x, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")])
    trained.save_weights(tmp_path / "v.weights.h5")
    fresh.load_weights(tmp_path / "v.weights.h5")
    for got, want in zip(fresh.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_model_of_unbuilt_networks_is_not_built(x):
    encoder, decoder = keras.Sequential([keras.layers.Dense(4)]), keras.Sequential([keras.layers.Dense(6)])
    vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=tfvae.distributions.Normal(6))
    assert not vae.built
    vae(x)
    assert vae.built


@pytest.mark.parametrize("shape", [[4], [], [3, 5]])
def test_gaussian_latent_names_what_it_takes(shape):
    with pytest.raises(ValueError, match=r"or one tensor with mean and log_var in its last axis"):
        tfvae.layers.GaussianLatent()(tf.zeros(shape))


def test_batches_that_do_not_broadcast_are_refused():
    normal = DiagonalNormal(3)
    with pytest.raises(ValueError, match=r"must broadcast, not have the shapes \(4,\) and \(5,\)"):
        tfvae.sample_and_kl(normal(tf.zeros([4, 6])), normal(tf.zeros([5, 6])), seed=[1, 2])


def test_samples_of_discrete_posteriors_have_no_gradient_as_documented():
    logits = tf.Variable([[0.5, -0.5]])
    with tf.GradientTape() as tape:
        z = tf.cast(
            tfvae.sample_and_kl(Bernoulli(2)(logits), Bernoulli(2)(tf.zeros([1, 2])), seed=[1, 2]).z, tf.float32
        )
    assert tape.gradient(z, logits) is None


def test_one_z_for_each_part_of_an_example_is_refused_at_construction():
    encoder = keras.Sequential([keras.Input([5, 3]), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input([5, 2]), keras.layers.Dense(3)])
    normal = tfvae.distributions.Normal((5, 3))
    with pytest.raises(ValueError, match=r"encoder's output has shape \['B', 5, 4\], which is several DiagonalNormal"):
        tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=normal)
    flat = keras.Sequential([keras.Input([5, 3]), keras.layers.Flatten(), keras.layers.Dense(4)])
    single = keras.Sequential([keras.Input([2]), keras.layers.Dense(15), keras.layers.Reshape([5, 3])])
    vae = tfvae.VAE(flat, single, posterior=DiagonalNormal(2), likelihood=normal)
    assert vae.elbo(np.zeros([4, 5, 3])).shape == [4]


@pytest.mark.parametrize("kind", ["dataset", "generator"])
def test_weights_beside_a_dataset_belong_into_it(make_vae, x, kind):
    vae = make_vae()
    vae.compile("adam")
    data = tf.data.Dataset.from_tensors(x) if kind == "dataset" else ((x,) for _ in range(2))
    with pytest.raises(ValueError, match=r"let the batches of other data be \(x, y, sample_weight\)"):
        vae.fit(data, sample_weight=np.ones(48), verbose=0)


def test_several_inputs_of_networks_that_are_not_built_are_refused_in_the_same_words(x):
    vae = tfvae.VAE(
        keras.layers.Dense(4),
        keras.layers.Dense(5),
        posterior=DiagonalNormal(2),
        likelihood=tfvae.distributions.Normal(5),
    )
    vae.compile("adam")
    with pytest.raises(ValueError, match=r"one tensor x, not of a dict of 1"):
        vae.fit(tf.data.Dataset.from_tensors({"x": x}), shuffle=False, verbose=0)


@pytest.mark.parametrize("name", ["posterior", "prior", "likelihood", "compute_loss"])
def test_a_method_that_training_would_not_follow_is_not_to_be_overridden(name):
    """An ELBO to the old prior beside evidence under the new one would be the worst of both."""
    with pytest.raises(TypeError, match=rf"^Mine overrides {name}\(\), which training would not follow\. Pass the"):
        type("Mine", (tfvae.VAE,), {name: lambda self, *args: None})
    assert type("Mine", (tfvae.VAE,), {"encode": lambda self, x: None}).encode is not tfvae.VAE.encode
