"""TensorFlow's ops on a GPU, eagerly, in graphs and inside XLA, against the specification on the CPU; and models
that are trained there. Skipped where there is no TensorFlow, or none with a GPU."""

import functools
import secrets

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import keras  # noqa: E402

import tfvae  # noqa: E402
from tfvae.distributions import Bernoulli, DiagonalNormal  # noqa: E402

SEED = [11, -12]
DTYPES = ("float32", "float64", "float16", "bfloat16")
SHAPES = ((1, 1), (7, 3), (0, 5), (128, 32), (33, 129), (3, 4097), (2, 3, 20))
# Of the largest element: a few roundings to the type, because stock ops round each of their steps, or in float32 what
# sums and normals (2e-6) leave.
TOLERANCES = {"float16": 8e-3, "bfloat16": 6.4e-2, "float32": 1.2e-4, "float64": 4e-12}
MODES = {
    "eager": lambda function: function,
    "graph": lambda function: tf.function(function, autograph=False),
    "xla": lambda function: tf.function(function, autograph=False, jit_compile=True),
}


@pytest.fixture(scope="module", autouse=True)
def on_gpu():
    """Everything is placed on the GPU that can be: a kernel that is not there is an error."""
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("no GPU to run on: TensorFlow has none")
    if problem := tfvae.build_info()["problem"]:
        pytest.fail(problem)
    before = tf.config.get_soft_device_placement()
    tf.config.set_soft_device_placement(False)
    with tf.device("GPU:0"):
        yield
    tf.config.set_soft_device_placement(before)


def parameters_of(shape, dtype, prior):
    """Fresh random parameters, and their prior's, as float64 values that the dtype holds."""
    seed = secrets.randbits(32)
    print("inputs from seed", seed)  # Shown where a test fails.
    rng = np.random.default_rng(seed)
    prior_shapes = {"none": (), "full": (shape, shape), "shared": (shape[-1:], shape[-1:])}[prior]
    values = [rng.uniform(-2, 2, size) for size in (shape, shape, *prior_shapes)]
    return [tf.cast(value, dtype).numpy().astype(np.float64) for value in values]


def weights_of(shape):
    return np.cos(np.arange(np.prod(shape))).reshape(shape)


def results_and_gradients(op, parameters, dtype, backend, mode="eager"):
    """The op's two outputs and the gradients of a weighted sum of them by all parameters."""
    names = ("mean", "log_var", "prior_mean", "prior_log_var")

    def run(seed, *parameters):
        with tf.GradientTape() as tape, tfvae.use_backend(backend):
            tape.watch(parameters)
            outputs = op(**dict(zip(names, parameters, strict=False)), seed=seed)
            total = sum(tf.reduce_sum(tf.cast(x, "float64") * weights_of(x.shape)) for x in outputs)
        return *outputs, *tape.gradient(total, parameters)

    return MODES[mode](run)(tf.constant(SEED), *(tf.constant(value, dtype) for value in parameters))


def expect_same(op, shape, dtype, prior, mode):
    parameters = parameters_of(shape, dtype, prior)
    found = results_and_gradients(op, parameters, dtype, "native", mode)
    with tf.device("CPU:0"):
        expected = results_and_gradients(op, parameters, dtype, "reference")
    for got, want in zip(found, expected, strict=True):
        assert got.dtype == want.dtype
        assert "GPU" in got.device
        got, want = (np.asarray(x).astype(np.float64) for x in (got, want))
        assert got.shape == want.shape
        worst = np.max(np.abs(got - want) / np.maximum(1, np.max(np.abs(want), initial=0)), initial=0)
        assert worst <= TOLERANCES[dtype], f"off by {worst} of the largest"


CALLS = {
    "kl": tfvae.ops.reparameterize_kl,
    "kl per dimension": functools.partial(tfvae.ops.reparameterize_kl, per_dimension=True),
    "log ratio": functools.partial(tfvae.ops.reparameterize_log_ratio, num_samples=3),
    "log ratio, density stopped": functools.partial(
        tfvae.ops.reparameterize_log_ratio, num_samples=3, stop_density_gradient=True
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prior", ["none", "full", "shared"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", CALLS)
def test_results_and_gradients_are_those_of_the_specification(call, dtype, prior, mode):
    for shape in SHAPES if mode != "xla" else SHAPES[3:]:  # XLA compiles for every shape.
        expect_same(CALLS[call], shape, dtype, prior, mode)


@pytest.mark.parametrize("seed_dtype", ["int32", "int64"])
def test_a_seed_is_read_wherever_it_lies_and_repeats_to_the_bit(seed_dtype):
    mean, log_var = tf.random.normal([2, 100, 33])
    op = tf.function(lambda seed: tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)[0], autograph=False)
    with tf.device("CPU:0"):
        on_host = tf.constant(SEED, seed_dtype)
    on_device = tf.identity(tf.constant(SEED, seed_dtype))
    first = tfvae.ops.reparameterize_kl(mean, log_var, seed=on_host)[0].numpy()
    for seed in (on_host, on_device, SEED):
        np.testing.assert_array_equal(tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)[0], first)
    for seed in (on_host, on_device):
        np.testing.assert_array_equal(op(seed), first)


def test_wrong_shapes_are_python_errors_and_the_next_call_works():
    loose = tf.TensorSpec(None, tf.float32)

    @tf.function(input_signature=[loose, loose, tf.TensorSpec(None, tf.int32)], autograph=False)
    def op(mean, log_var, seed):
        return tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)

    with pytest.raises(tf.errors.InvalidArgumentError, match="log_var must have"):
        op(tf.ones([3, 4]), tf.ones([3, 5]), tf.constant(SEED))
    with pytest.raises(tf.errors.InvalidArgumentError, match="seed must have"):
        op(tf.ones([3, 4]), tf.ones([3, 4]), tf.constant([1, 2, 3]))
    _, kl = op(tf.ones([3, 4]), tf.zeros([3, 4]), tf.constant(SEED))
    np.testing.assert_array_equal(kl, [2, 2, 2])


def test_memory_beyond_the_inputs_is_that_of_the_outputs():
    mean, log_var, dz = tf.random.normal([3, 4096, 1024])
    one = mean.shape.num_elements() * 4

    def peak(call):
        call()
        tf.config.experimental.reset_memory_stats("GPU:0")
        before = tf.config.experimental.get_memory_info("GPU:0")["current"]
        kept = call()
        assert kept is not None
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] - before

    seed, dkl = tf.constant(SEED, tf.int64), tf.ones([4096])
    assert peak(lambda: tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)) < 1.02 * one
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([mean, log_var])
        outputs = tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)
    assert peak(lambda: tape.gradient(outputs, [mean, log_var], [dz, dkl])) < 2.02 * one


def small_vae():
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential([keras.Input([16]), keras.layers.Dense(32, "relu"), keras.layers.Dense(8)])
    decoder = keras.Sequential([keras.Input([4]), keras.layers.Dense(32, "relu"), keras.layers.Dense(16)])
    return tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(4), likelihood=Bernoulli(16), seed=5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit(jit_compile, policy):
    """Training takes the loss down, and what the native op and the specification train are alike."""
    x = (np.random.default_rng(0).random([512, 4]) < 0.5).astype("float32").repeat(4, axis=1)
    losses = {}
    tf.config.set_soft_device_placement(True)  # Counters and other bookkeeping of Keras lie on the host.
    try:
        for backend in ("native", "reference"):
            keras.config.set_dtype_policy(policy)
            with tfvae.use_backend(backend):
                vae = small_vae()
                vae.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
                losses[backend] = vae.fit(x, batch_size=64, epochs=12, verbose=0, shuffle=False).history["loss"]
            keras.config.set_dtype_policy("float32")
    finally:
        keras.config.set_dtype_policy("float32")
        tf.config.set_soft_device_placement(False)
    assert np.isfinite(losses["native"]).all()
    assert losses["native"][-1] < 0.8 * losses["native"][0]
    # Sums in another order, amplified by training.
    np.testing.assert_allclose(losses["native"], losses["reference"], rtol=5e-3 if policy == "float32" else 5e-2)
