"""The ops inside functions that XLA compiles: the same numbers, whatever was imported, traced or run before."""

import json
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae import _native
from tfvae.ops import reparameterize_kl, reparameterize_log_ratio

INFO = tfvae.build_info()
NATIVE = bool((INFO["built"] or {}).get("xla"))  # Not whether it loads, which is what is tested.
DTYPES = ["float16", "bfloat16", "float32", "float64"]
SEED = tf.constant([-3, 2**40], tf.int64)
# Several units of rows, a row of several units and more than one thread's worth of work, a rank of three, one element.
SHAPES = [(70, 33), (40, 2049), (2, 3, 5), (1,)]

native_only = pytest.mark.skipif(
    not NATIVE, reason="built without a compiler or without XLA: there is nothing compiled to call from inside it"
)


def with_gradients(op, parameters, **arguments):
    """The outputs of an op and the gradients of half their squares."""
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        outputs = op(
            *parameters[:2], **dict(zip(("prior_mean", "prior_log_var"), parameters[2:], strict=False)), **arguments
        )
    return [*outputs, *tape.gradient(outputs, parameters, output_gradients=list(outputs))]


def family(mean, log_var, prior_mean, prior_log_var, seed=SEED):
    """Everything that the ops of the family do to parameters of one shape, forward and backward."""
    plain, full = [mean, log_var], [mean, log_var, prior_mean, prior_log_var]
    rows = tf.reshape(prior_mean, [-1, prior_mean.shape[-1]]), tf.reshape(prior_log_var, [-1, prior_mean.shape[-1]])
    shared = [*plain, *(row[0] for row in rows)]
    results = []
    for parameters in (plain, full, shared):
        results += with_gradients(reparameterize_kl, parameters, seed=seed)
        results += with_gradients(reparameterize_kl, parameters, seed=seed, per_dimension=True)
        for stop in (False, True):
            draws = {"num_samples": 3, "stop_density_gradient": stop}
            results += with_gradients(reparameterize_log_ratio, parameters, seed=seed, **draws)
    return results


def parameters_of(shape, dtype):
    rng = np.random.default_rng(7)
    return [tf.constant(rng.uniform(-1, 1, size=shape), dtype) for _ in range(4)]


@native_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_native_is_bit_for_bit_that_of_outside_req_20(dtype):
    """Every op, attribute, prior and dtype, forward and backward: one kernel, whoever calls it."""
    parameters = [parameters_of(shape, dtype) for shape in SHAPES]

    def everything(parameters):
        return [family(*of_one_shape) for of_one_shape in parameters]

    compiled = tf.function(everything, jit_compile=True, autograph=False)
    types = {op.type for op in compiled.get_concrete_function(parameters).graph.get_operations()}
    stems = ("TfvaeReparameterizeKl", "TfvaeReparameterizeLogRatio")
    assert {name for name in types if name.startswith("Tfvae")} == {
        stem + end for stem in stems for end in ("", "Grad")
    }
    for got, expected in zip(
        tf.nest.flatten(compiled(parameters)), tf.nest.flatten(everything(parameters)), strict=True
    ):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_noise_and_gradients_are_those_of_eager_req_20(backend, exact):
    """Both backends, against TensorFlow's own noise and the formulas: z of the standard normal is the noise."""
    eps = {dtype: exact.noise([9, 31], SEED, tf.as_dtype(dtype)) for dtype in ("float32", "float64")}

    @tf.function(jit_compile=True, autograph=False)
    def function(seed, int32_seed):
        zeros = {dtype: tf.zeros([9, 31], dtype) for dtype in eps}
        results = {
            dtype: with_gradients(reparameterize_kl, [zero, zero + 1.0], seed=seed) for dtype, zero in zeros.items()
        }
        draws, _ = reparameterize_log_ratio(zeros["float32"], zeros["float32"], seed=int32_seed, num_samples=2)
        return results, draws

    results, draws = function(SEED, tf.constant([-7, 9], tf.int32))
    # float32: the bound of docs/numerics.md. float64: an angle below 2 pi is rounded to 4.4e-16, the radius is 5.68 at
    # most.
    for dtype, atol in (("float32", 2e-6), ("float64", 1e-14)):
        z, kl, dmean, dlog_var = results[dtype]
        sigma = np.exp(0.5)
        np.testing.assert_allclose(z / sigma, eps[dtype], rtol=0, atol=atol)
        # The upstream gradients are z and kl, 31/2 (e - 2) in every row; a dozen roundings of numbers up to 40.
        of_mean, of_log_var = exact.backward(0.0, 1.0, eps[dtype], sigma * eps[dtype], 31 / 2 * (np.e - 2))
        close = {"rtol": 0, "atol": 20 * atol}
        np.testing.assert_allclose(kl, np.full(9, 31 / 2 * (np.e - 2)), **close)
        np.testing.assert_allclose(dmean, of_mean.astype("float64"), **close)
        np.testing.assert_allclose(dlog_var, of_log_var.astype("float64"), **close)
    np.testing.assert_allclose(draws, exact.noise([2, 9, 31], tf.constant([-7, 9], tf.int32), tf.float32), atol=2e-6)


@native_only
def test_empty_tensors_inside_xla_req_3():
    shapes = [(0, 3), (3, 0), (0, 0)]
    parameters = [parameters_of(shape, "float32") for shape in shapes]

    @tf.function(jit_compile=True, autograph=False)
    def function(parameters):
        return [with_gradients(reparameterize_kl, of_one[:2], seed=SEED) for of_one in parameters]

    for shape, (z, kl, *gradients) in zip(shapes, function(parameters), strict=True):
        assert [tuple(tensor.shape) for tensor in (z, *gradients)] == [shape] * 3
        np.testing.assert_array_equal(kl, np.zeros(shape[0], "float32"))


@native_only
def test_what_is_below_the_normal_numbers_survives_xla():
    """XLA flushes it to zero in its own code; the sum of a row of two units is 2049/2 * 1e-42, as outside."""
    mean = tf.fill([1, 2049], 1e-21)
    function = tf.function(reparameterize_kl, jit_compile=True)
    _, kl = function(mean, tf.zeros_like(mean), seed=SEED)
    np.testing.assert_allclose(kl, [1.0245e-39], rtol=0.01)  # 1e-42 has ten bits.


@native_only
def test_a_function_traced_outside_runs_inside_req_22():
    parameters = parameters_of((5, 7), "float32")
    inner = tf.function(lambda *parameters: with_gradients(reparameterize_kl, list(parameters), seed=SEED))
    expected = inner(*parameters)
    outer = tf.function(lambda *parameters: inner(*parameters), jit_compile=True)
    for got, want in zip(outer(*parameters), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert inner.experimental_get_tracing_count() == 1


@native_only
def test_a_saved_model_with_a_compiled_function(tmp_path):
    parameters = parameters_of((5, 7), "float32")[:2]
    module = tf.Module()
    unknown = [tf.TensorSpec([None, None])] * 2
    module.f = tf.function(
        lambda mean, log_var: with_gradients(reparameterize_kl, [mean, log_var], seed=SEED),
        input_signature=unknown,
        jit_compile=True,
    )
    expected = with_gradients(reparameterize_kl, parameters, seed=SEED)
    tf.saved_model.save(module, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    for function in (module.f, loaded.f):  # Of unknown shape when traced: compiled anew for every shape.
        for got, want in zip(function(*parameters), expected, strict=True):
            np.testing.assert_array_equal(got, want)


@native_only
def test_second_order_inside_xla_req_13():
    parameters = parameters_of((3, 4), "float64")

    def second(*parameters):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            results = with_gradients(reparameterize_kl, list(parameters), seed=SEED)
        return tape.gradient(results, parameters)

    for got, want in zip(tf.function(second, jit_compile=True)(*parameters), second(*parameters), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)  # float64: XLA's own sums and exponentials.


def _call(op, mean, log_var, seed, prior=(), **upstream):
    """One op of the library with tensors of these shapes, known only when it is compiled."""
    shapes = {"mean": mean, "log_var": log_var, "seed": seed, **upstream}
    tensors = {name: tf.zeros(shape, tf.int64 if name == "seed" else tf.float32) for name, shape in shapes.items()}
    tensors["prior"] = [tf.zeros(shape) for shape in prior]
    attributes = {"num_samples": 2} if "ratio" in op else {}
    if not upstream:
        attributes["sum_dtype"] = tf.float32
    signature = tf.nest.map_structure(lambda tensor: tf.TensorSpec(None, tensor.dtype), tensors)

    @tf.function(input_signature=[signature], jit_compile=True)
    def function(tensors):
        return getattr(_native.load(), op)(**tensors, **attributes)

    return function(tensors)


_KL, _RATIO = "tfvae_reparameterize_kl", "tfvae_reparameterize_log_ratio"


@native_only
@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (_KL, {"seed": [3]}, "seed must have shape [2], not [3]."),
        (_KL, {"log_var": [2, 4]}, "log_var must have the shape of mean, [2,3], not [2,4]."),
        (_KL, {"mean": [], "log_var": []}, "mean must have rank 1 or more"),
        (_KL, {"prior": [[3], [2]]}, "prior_log_var must have the shape of prior_mean, [3], not [2]."),
        (
            _RATIO,
            {"prior": [[2], [2]]},
            "prior_mean must have the shape of mean, [2,3], or its last axis alone, not [2].",
        ),
        (_KL + "_grad", {"dz": [3, 2], "dkl": [2]}, "dz must have the shape of z, [2,3], not [3,2]."),
        (_KL + "_grad", {"dz": [2, 3], "dkl": [2, 3]}, "dkl must have the shape of kl, [2], not [2,3]."),
        (_RATIO + "_grad", {"dz": [2, 3], "dlog_ratio": [2, 2]}, "dz must have the shape of z, [2,2,3], not [2,3]."),
        (_RATIO + "_grad", {"dz": [2, 2, 3], "dlog_ratio": [2]}, "dlog_ratio must have the shape of log_ratio, [2,2]"),
    ],
)
def test_wrong_shapes_are_named_inside_xla_req_1_2_5(op, shapes, message):
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        _call(op, **{"mean": [2, 3], "log_var": [2, 3], "seed": [2], **shapes})
    assert message in str(raised.value)


@native_only
def test_a_size_that_hangs_on_values_is_refused_by_name():
    @tf.function(jit_compile=True)
    def function(x):
        chosen = tf.boolean_mask(x, x[:, 0] > 0)
        return reparameterize_kl(chosen, chosen, seed=SEED)

    with pytest.raises(
        tf.errors.UnimplementedError, match=r"mean must have a static shape inside XLA, not f32\[<=4,3\]"
    ):
        function(tf.ones([4, 3]))


@native_only
@pytest.mark.parametrize(
    ("seed", "z", "kl", "message"),
    [
        ("2xi64", "2x3xf32", "2xf32", None),
        ("2xf32", "2x3xf32", "2xf32", "wrong shapes or dtypes"),
        ("3xi64", "2x3xf32", "2xf32", "seed must have shape [2], not [3]."),
        ("2xi64", "2x3xf32", "3xf32", "wrong shapes or dtypes"),
        ("2xi64", "2x3xf16", "2xf32", "wrong shapes or dtypes"),
        ("2xi64", "2x3xf32", "2xf64", "wrong shapes or dtypes"),
    ],
)
def test_calls_that_are_not_the_op_s_are_checked_too(seed, z, kl, message):
    """A graph may hold a module of XLA's own, which may name any target that is registered, with any buffers."""
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    attributes = "{per_dimension = false, num_samples = 1 : i64, stop_density_gradient = false}"
    x, s, outputs = "tensor<2x3xf32>", f"tensor<{seed}>", f"tensor<{z}>, tensor<{kl}>"
    module = f"""module @m {{ func.func public @main(%x: {x}, %s: {s}) -> ({outputs}) {{
      %0:2 = stablehlo.custom_call @tfvae_reparameterize_kl(%x, %x, %s)
        {{api_version = 4 : i32, backend_config = {attributes}}} : ({x}, {x}, {s}) -> ({outputs})
      return %0#0, %0#1 : {outputs} }} }}"""
    dtypes = {"i64": tf.int64, "f16": tf.float16, "f32": tf.float32, "f64": tf.float64}

    def parsed(text):
        *shape, dtype = text.split("x")
        return [int(size) for size in shape], dtypes[dtype]

    platforms = ["CUDA" if tf.config.list_physical_devices("GPU") else "CPU"]
    shapes, types = zip(parsed(z), parsed(kl), strict=True)

    @tf.function(jit_compile=True)
    def function(x, s):
        return gen_xla_ops.xla_call_module(
            [x, s], version=9, module=module, Sout=shapes, Tout=types, platforms=platforms
        )

    arguments = tf.zeros([2, 3]), tf.zeros(*parsed(seed))
    if message is None:
        np.testing.assert_array_equal(
            function(*arguments)[0], reparameterize_kl(arguments[0], arguments[0], seed=[0, 0])[0]
        )
        return
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        function(*arguments)
    assert message in str(raised.value)


@native_only
def test_calls_from_two_threads_equal_serial_ones_req_17():
    parameters = parameters_of((300, 1000), "float32")  # Both share the pool's threads.
    function = tf.function(lambda *p: with_gradients(reparameterize_kl, list(p), seed=SEED), jit_compile=True)
    expected = function(*parameters)
    wrong = []

    def call():
        for _ in range(30):
            for got, want in zip(function(*parameters), expected, strict=True):
                if not np.array_equal(got, want):
                    wrong.append(got)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# TensorFlow, Keras and TFP, which take seconds to import, are imported once, before the processes part.
_ORDERS = """
import hashlib, json, os, sys
import tensorflow as tf
import keras
import tensorflow_probability.python.distributions


def step(mean, log_var):
    import tfvae
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        z, kl = tfvae.ops.reparameterize_kl(mean, log_var, seed=[3, -4])
    return [z, kl, *tape.gradient([z, kl], [mean, log_var], output_gradients=[z, kl])]


def digest(tensors):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


def inputs():
    # Powers of two, so that no two ways to compute them differ. Work for several threads.
    return tf.reshape(2.0 ** tf.cast(tf.range(600 * 1000) % 5, tf.float32), [600, 1000])


def compiled(function):
    return tf.function(function, jit_compile=True, autograph=False)


def nothing_before():
    import tfvae
    return digest(compiled(lambda: step(inputs(), -inputs() / 4))())


def after_ops():
    tf.linalg.matmul(tf.ones([2, 2]), tf.ones([2, 2]))
    return digest(compiled(step)(inputs(), -inputs() / 4))


def after_another_jitted_function():
    assert compiled(lambda x: tf.sin(x) + 1)(tf.ones([3])).shape == [3]
    import tfvae
    return digest(compiled(step)(inputs(), -inputs() / 4))


def after_a_call_outside():
    import tfvae
    outside = digest(step(inputs(), -inputs() / 4))
    assert compiled(lambda x: tf.sin(x) + 1)(tf.ones([3])).shape == [3]
    assert digest(compiled(step)(inputs(), -inputs() / 4)) == outside
    return outside


def on_one_thread():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    return nothing_before()


def clustered_automatically():
    os.environ["TF_XLA_FLAGS"] = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit --tf_xla_min_cluster_size=1"
    from tensorflow.python.eager import context
    function = tf.function(step)
    arguments = inputs(), -inputs() / 4
    context.enable_run_metadata()
    result = function(*arguments)
    graphs = context.export_run_metadata().function_graphs
    context.disable_run_metadata()
    ops = {node.op for graph in graphs for partition in graph.partition_graphs for node in partition.node}
    assert "_XlaRun" in ops and not any("Tfvae" in op for op in ops), ops
    assert digest(function(*arguments)) == digest(result)
    return digest(result)


for order in (nothing_before, after_ops, after_another_jitted_function, after_a_call_outside, on_one_thread,
              clustered_automatically):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, order().encode())
        os._exit(0)
    os.close(writer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([order.__name__, code, os.read(reader, 1000).decode()]), flush=True)
"""


@native_only
def test_any_order_of_import_and_first_use_req_9_21(run_python):
    """Imported first or last, used inside first or outside, on one thread or all, or clustered by TensorFlow itself."""
    done = run_python(_ORDERS)
    assert done.returncode == 0, done.stderr[-3000:]
    ended = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ended) == 6
    assert {name: code for name, code, _ in ended if code != 0} == {}, done.stderr[-3000:]
    assert len({result for *_, result in ended}) == 1, ended
