"""GaussianLatent in functional, Sequential and subclassed models compiled with any Keras loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfvae
from tfvae.layers import GaussianLatent

MEAN = tf.constant([[0.5, -1.0], [2.0, 0.1], [0.0, 0.0]])
LOG_VAR = tf.constant([[0.3, -2.0], [1e-4, 1.0], [0.0, 0.0]])
X = np.random.default_rng(0).normal(size=[32, 6]).astype("float32")


def test_pair_and_single_tensor_give_the_op_s_z_and_the_mean_kl():
    z, kl = tfvae.ops.reparameterize_kl(MEAN, LOG_VAR, seed=[7, 0])
    for inputs in ((MEAN, LOG_VAR), [MEAN, LOG_VAR], tf.concat([MEAN, LOG_VAR], axis=-1)):
        layer = GaussianLatent(kl_weight=0.5, seed=7)
        np.testing.assert_array_equal(layer(inputs), z)
        (loss,) = layer.losses
        assert loss.dtype == tf.float32
        np.testing.assert_allclose(loss, 0.5 * np.mean(kl), rtol=1e-6)  # float32 rounding


def test_return_kl_gives_both_and_adds_no_loss():
    layer = GaussianLatent(seed=7, return_kl=True)
    z, kl = layer((MEAN, LOG_VAR))
    expected_z, expected_kl = tfvae.ops.reparameterize_kl(MEAN, LOG_VAR, seed=[7, 0])
    np.testing.assert_array_equal(z, expected_z)
    np.testing.assert_array_equal(kl, expected_kl)
    assert layer.losses == []


@pytest.mark.parametrize("prior_shape", [[3, 2], [2]])
def test_a_prior_is_the_op_s_and_learns_req_40(prior_shape):
    generator = np.random.default_rng(4)
    prior = [tf.Variable(generator.normal(size=prior_shape), dtype=tf.float32) for _ in range(2)]
    layer = GaussianLatent(kl_weight=0.5, seed=7)
    with tf.GradientTape() as tape:
        z = layer((MEAN, LOG_VAR, *(tf.convert_to_tensor(parameter) for parameter in prior)))
        (loss,) = layer.losses
    gradients = tape.gradient(loss, prior)
    # The formula of two Gaussians in float64, differentiated by TensorFlow: an answer of its own.
    mean, log_var, prior_mean, prior_log_var = (tf.cast(t, tf.float64) for t in (MEAN, LOG_VAR, *prior))
    with tf.GradientTape() as tape:
        tape.watch([prior_mean, prior_log_var])
        p = tfp.distributions.Normal(prior_mean, tf.exp(prior_log_var / 2))
        kl = tfp.distributions.Normal(mean, tf.exp(log_var / 2)).kl_divergence(p)
        expected = 0.5 * tf.reduce_mean(tf.reduce_sum(kl, -1))
    for got, want in zip(
        [loss, *gradients], [expected, *tape.gradient(expected, [prior_mean, prior_log_var])], strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)  # float32 rounding
    np.testing.assert_array_equal(z, tfvae.ops.reparameterize_kl(MEAN, LOG_VAR, seed=[7, 0])[0])


def test_a_functional_model_with_a_prior_fits_saves_and_loads(tmp_path):
    x, y = keras.Input([6]), keras.Input([3])
    dense = keras.layers.Dense
    z = GaussianLatent(seed=3)([dense(2)(x), dense(2)(x), dense(2, name="prior_mean")(y), dense(2)(y)])
    model = keras.Model([x, y], dense(6)(z))
    model.compile("adam", loss="mse", jit_compile=False)
    labels = keras.utils.to_categorical(np.arange(32) % 3, 3)
    before = model.get_layer("prior_mean").kernel.numpy()
    model.fit([X, labels], X, verbose=0)
    assert np.all(model.get_layer("prior_mean").kernel.numpy() != before)
    model.save(tmp_path / "model.keras")
    expected = model.predict([X, labels], verbose=0)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict([X, labels], verbose=0), expected)


def test_a_layer_that_adds_no_loss_says_that_it_has_no_kl_weight():
    layer = GaussianLatent(return_kl=True)
    with pytest.raises(AttributeError, match=r"adds no loss \(return_kl=True\), so it has no kl_weight"):
        _ = layer.kl_weight
    with pytest.raises(AttributeError, match="adds no loss"):
        layer.kl_weight = 2.0


def test_kl_is_summed_over_all_axes_but_the_first():
    layer = GaussianLatent(seed=1)
    layer((tf.ones([4, 5, 3]), tf.zeros([4, 5, 3])))
    np.testing.assert_allclose(layer.losses, [0.5 * 5 * 3], rtol=1e-6)  # float32 rounding


def test_an_empty_batch_adds_nothing():
    layer = GaussianLatent(seed=1)
    assert layer((tf.zeros([0, 3]), tf.zeros([0, 3]))).shape == [0, 3]
    np.testing.assert_array_equal(layer.losses, [0.0])


def functional(**kwargs):
    inputs = keras.Input([6])
    hidden = keras.layers.Dense(4)(inputs)
    z = GaussianLatent(seed=3, **kwargs)((keras.layers.Dense(2)(hidden), keras.layers.Dense(2)(hidden)))
    return keras.Model(inputs, keras.layers.Dense(6)(z))


def sequential():
    layers = [keras.layers.Dense(4), GaussianLatent(seed=3), keras.layers.Dense(6)]
    return keras.Sequential([keras.Input([6]), *layers])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.encode, self.latent, self.decode = keras.layers.Dense(4), GaussianLatent(seed=3), keras.layers.Dense(6)

    def call(self, x):
        return self.decode(self.latent(self.encode(x)))


@pytest.mark.parametrize("build", [functional, sequential, Subclassed])
@pytest.mark.parametrize("mode", [{}, {"run_eagerly": True}])
def test_trains_with_a_keras_loss_req_40(build, mode):
    keras.utils.set_random_seed(0)
    model = build()
    model.compile(keras.optimizers.Adam(0.05), loss="mse", **mode)
    losses = model.fit(X, X, epochs=3, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(X[:1], verbose=0).shape == (1, 6)
    assert np.isfinite(model.evaluate(X, X, verbose=0))
    model.summary(print_fn=lambda *_, **__: None)


def test_loss_is_the_compiled_one_plus_the_weighted_kl():
    model = functional(kl_weight=0.25)
    model.compile("sgd", loss="mse")
    latent = next(layer for layer in model.layers if isinstance(layer, GaussianLatent))
    latent.noise.state.assign([3, 0])
    total = model.test_on_batch(X, X)
    latent.noise.state.assign([3, 0])
    mse = np.mean((model(X).numpy() - X) ** 2)
    np.testing.assert_allclose(total, mse + model.losses[0], rtol=1e-5)  # float32: two reductions


def test_every_call_draws_new_noise_in_training_and_inference():
    model = functional()
    assert not np.array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not np.array_equal(model(X, training=True), model(X, training=True))


def test_noise_and_kl_weight_survive_save_and_load_req_36(tmp_path):
    model = functional()
    model.compile("adam", loss="mse")
    model.fit(X, X, verbose=0)
    latent = next(layer for layer in model.layers if isinstance(layer, GaussianLatent))
    latent.kl_weight = 0.125
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    expected = model.predict(X, verbose=0)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    from_weights = functional()
    from_weights.load_weights(tmp_path / "model.weights.h5")
    for again in (loaded, from_weights):
        np.testing.assert_array_equal(again.predict(X, verbose=0), expected)
        assert next(layer for layer in again.layers if isinstance(layer, GaussianLatent)).kl_weight.numpy() == 0.125


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies_req_37(policy):
    compute = keras.dtype_policies.get(policy).compute_dtype
    layer = GaussianLatent(seed=7, dtype=policy)
    assert layer((MEAN, LOG_VAR)).dtype == compute
    assert layer.losses[0].dtype == tf.float32
    _, expected = tfvae.ops.reparameterize_kl(MEAN, LOG_VAR, seed=[7, 0])
    np.testing.assert_allclose(layer.losses[0], np.mean(expected), rtol=1e-2)  # bfloat16 inputs have 8 bits


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_a_whole_model_fits_under_other_policies_req_37(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = sequential()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam", loss="mse")
    assert np.isfinite(model.fit(X, X, verbose=0).history["loss"][0])


def test_modes_agree_after_five_steps_req_23():
    """Keras asks all layers whether XLA may compile the model; this one does not mind."""
    finals = {}
    for name, mode in {
        "default": {},
        "xla": {"jit_compile": True},
        "no xla": {"jit_compile": False},
        "eager": {"run_eagerly": True},
    }.items():
        keras.utils.set_random_seed(0)
        model = functional()
        model.compile(keras.optimizers.SGD(0.02), loss="mse", **mode)
        # Left to itself, Keras compiles for GPUs alone.
        by_itself = bool(tf.config.list_physical_devices("GPU"))
        assert bool(model.jit_compile) == {"xla": True, "default": by_itself}.get(name, False)
        history = model.fit(X[:30], X[:30], batch_size=6, shuffle=False, verbose=0).history
        finals[name] = [*model.get_weights(), history["loss"][0]]
    for name, values in finals.items():
        for got, want in zip(values, finals["default"], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (tf.zeros([2, 3]), r"whose size is then even; not inputs of shape \(2, 3\)"),
        ((tf.zeros([2, 3]),) * 3 + (tf.zeros([3, 3]),), r"have the shape of mean, \(2, 3\), or .*, not \(3, 3\)"),
        ((tf.zeros([2, 3]), tf.zeros([2, 4])), r"one shape, not \(2, 3\) and \(2, 4\)"),
        ((tf.zeros([2, 3]),) * 3, r"\(mean, log_var, prior_mean, prior_log_var\), not 3 tensors"),
        ((tf.zeros([3]),) * 2, r"shape \[B, \.\.\., D\], not \(3,\)\. For one example take mean\[None\]"),
        ({"m": tf.zeros([2, 3]), "v": tf.zeros([2, 3])}, r"takes \(mean, log_var\).*, not a dict of m, v"),
    ],
)
def test_wrong_inputs_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        GaussianLatent()(inputs)


@pytest.mark.parametrize(
    "config",
    [
        {"seed": "x"},
        {"kl_weight": float("nan")},
        {"kl_weight": -1.0},
        {"kl_weight": "1"},
        {"kl_weight": None},
        {"return_kl": "yes"},
        {"return_kl": True, "kl_weight": 0.5},
    ],
)
def test_constructor_validates_its_config_req_35(config):
    with pytest.raises((TypeError, ValueError), match=r"seed|weight of the KL|return_kl"):
        GaussianLatent.from_config(config)
