"""Bad input is a Python error that says what was expected and what came, and the process goes on."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.ops import reparameterize_kl, reparameterize_log_ratio

BUILT = tfvae.build_info()["built"] is not None
BACKENDS = ["native", "reference"] if BUILT else ["reference"]

# Every case runs in one process that must outlive them all. It prints, per case, the error's type and message.
_HEAD = """
import json
import numpy as np
import tensorflow as tf
import tfvae

RESULTS = {}

def case(name, function, *arguments, **options):
    try:
        value = function(*arguments, **options)
        RESULTS[name] = ["no error", str(value)[:300]]
    except Exception as error:
        RESULTS[name] = [" ".join(kind.__name__ for kind in type(error).__mro__), str(error)]

def dynamic(function):
    anything = [tf.TensorSpec(None, tf.float32)] * 2 + [tf.TensorSpec(None, tf.int64)]
    return tf.function(function, input_signature=anything)

def zeros(*shape):
    return tf.zeros(shape)

SEED = tf.constant([1, 2], tf.int64)
"""

_SEEDS = {
    "[]": "0",
    "[1]": "[1]",
    "[3]": "[1, 2, 3]",
    "[2, 1]": "[[1], [2]]",
    "[2, 2]": "[[1, 2], [3, 4]]",
    "[0]": "[]",
}
# Pairs that would broadcast, that would not, of other rank, and of one size.
_SHAPES = [
    ((2, 3), (2, 1)),
    ((2, 3), (1, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 3), (3, 2)),
    ((2, 3), (6,)),
    ((2, 3), (2, 4)),
    ((2, 3), (0, 3)),
    ((0, 3), (0, 4)),
    ((2, 3), ()),
    ((2, 3, 1), (2, 3)),
]

_FORWARD = f"""
for backend in BACKENDS:
    with tfvae.use_backend(backend):
        def op(mean, log_var, seed):
            return tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)

        late = dynamic(op)
        for shape, seed in {_SEEDS!r}.items():
            seed = tf.constant(json.loads(seed), tf.int64)
            case(f"{{backend}} static seed {{shape}}", op, zeros(2, 3), zeros(2, 3), seed)
            case(f"{{backend}} dynamic seed {{shape}}", late, zeros(2, 3), zeros(2, 3), seed)
        for mean, log_var in {_SHAPES!r}:
            case(f"{{backend}} static {{mean}} {{log_var}}", op, zeros(*mean), zeros(*log_var), SEED)
            case(f"{{backend}} dynamic {{mean}} {{log_var}}", late, zeros(*mean), zeros(*log_var), SEED)
        case(f"{{backend}} dynamic rank 0", late, zeros(), zeros(), SEED)
        z, kl = late(zeros(2, 3), zeros(2, 3), SEED)
        RESULTS[f"{{backend}} alive"] = [z.shape.as_list(), kl.numpy().tolist()]
"""

_BACKWARD = """
if "native" in BACKENDS:
    from tfvae import _native
    ops = _native.load()
    GOOD = {"mean": (2, 3), "log_var": (2, 3), "seed": (2,), "dz": (2, 3), "dkl": (2,)}
    WRONG = [(), (1,), (2,), (3,), (6,), (2, 1), (1, 3), (3, 2), (2, 4), (0, 3), (2, 0), (2, 3), (2, 3, 1), (1, 2, 3)]

    def grad(per_dimension, **tensors):
        return ops.tfvae_reparameterize_kl_grad(**tensors, prior=[], per_dimension=per_dimension)[:2]

    def tensors_of(shapes):
        return {name: tf.zeros(shape, tf.int64 if name == "seed" else tf.float32) for name, shape in shapes.items()}

    def in_graph(per_dimension, shapes, known):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            holders = {name: tf.compat.v1.placeholder(tensor.dtype, shapes[name] if known else None)
                       for name, tensor in tensors.items()}
            outputs = grad(per_dimension, **holders)
            session.run(outputs, {holders[name]: np.zeros(shape) for name, shape in shapes.items()})

    for per_dimension in (False, True):
        good = {**GOOD, "dkl": (2, 3) if per_dimension else (2,)}
        for name in good:
            for shape in WRONG:
                if shape == good[name]:
                    continue
                shapes = {**good, name: shape}
                tensors = tensors_of(shapes)
                case(f"grad {per_dimension} {name} {shape} eager", grad, per_dimension, **tensors)
                case(f"grad {per_dimension} {name} {shape} known", in_graph, per_dimension, shapes, True)
                case(f"grad {per_dimension} {name} {shape} unknown", in_graph, per_dimension, shapes, False)
        result = grad(per_dimension, **tensors_of(good))
        RESULTS[f"grad {per_dimension} alive"] = [list(tensor.shape) for tensor in result]
"""


@pytest.fixture(scope="module")
def results(run_python):
    code = f"{_HEAD}\nBACKENDS = {BACKENDS}\n{_FORWARD}\n{_BACKWARD}\nprint(json.dumps(RESULTS))"
    done = run_python(code)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def words(text):
    """Without what differs between Python's, TensorFlow's and an assertion's way to print a shape."""
    return " ".join(re.findall(r"\w+", text)) + " "


def assert_says(result, kinds, message):
    """``kinds`` are the acceptable error classes, by name."""
    mro, text = result
    assert any(kind in mro.split() for kind in kinds), result
    assert words(message) in words(text), text


def show(shape):
    return str(list(shape))


@pytest.mark.parametrize("shape", _SEEDS)
@pytest.mark.parametrize("name", BACKENDS)
def test_seed_of_wrong_shape_req_1(results, name, shape):
    message = f"seed must have shape [2], not {shape}"
    assert results[f"{name} static seed {shape}"] == ["ValueError Exception BaseException object", message + "."]
    assert_says(results[f"{name} dynamic seed {shape}"], ["InvalidArgumentError"], message)


@pytest.mark.parametrize(("mean", "log_var"), _SHAPES)
@pytest.mark.parametrize("name", BACKENDS)
def test_parameters_of_different_shape_req_2(results, name, mean, log_var):
    message = f"log_var must have the shape of mean, {show(mean)}, not {show(log_var)}"
    static = results[f"{name} static {mean} {log_var}"]
    assert static == ["ValueError Exception BaseException object", message + "."]
    assert_says(results[f"{name} dynamic {mean} {log_var}"], ["InvalidArgumentError"], message)


@pytest.mark.parametrize("name", BACKENDS)
def test_rank_0_at_run_time_req_4(results, name):
    message = "mean must have rank 1 or more (its last axis is the latent one), not shape"
    assert_says(results[f"{name} dynamic rank 0"], ["InvalidArgumentError"], message)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_process_is_alive_and_well_after_all_of_it(results, name):
    assert results[f"{name} alive"] == [[2, 3], [0.0, 0.0]]


if BUILT:

    def test_backward_by_itself_checks_every_input_req_5(results):
        """Each input of each wrong shape, eagerly (the kernel), in a graph of known shapes (the shape function), and
        in one of unknown shapes (the kernel again)."""
        cases = {name: result for name, result in results.items() if name.startswith("grad") and "alive" not in name}
        assert len(cases) == 2 * 5 * 13 * 3
        expected = {
            "log_var": "the shape of mean",
            "dz": "the shape of z",
            "dkl": "the shape of kl",
            "seed": "shape [2]",
        }
        for name, result in cases.items():
            wrong = name.split()[2]
            # Another mean is right by itself, and any of the rest is what does not fit.
            message = f"{wrong} must have {expected[wrong]}" if wrong != "mean" else "must have"
            assert_says(result, ["ValueError", "InvalidArgumentError"], message)
            if wrong != "mean":
                came = re.search(r"\(.*\)", name).group()
                assert words(f"not {came}") in words(result[1]), (name, result)
        assert results["grad False alive"] == results["grad True alive"] == [[2, 3], [2, 3]]

    @pytest.mark.parametrize("dtype", [tf.int32, tf.int64, tf.uint8, tf.bool, tf.string, tf.complex64, tf.resource])
    def test_raw_op_of_unsupported_dtype_req_15(dtype):
        from tfvae import _native

        if dtype == tf.resource:
            tensor = tf.Variable([1.0]).handle
        else:
            tensor = tf.fill([2, 3], "a" if dtype == tf.string else tf.cast(0, dtype))
        with pytest.raises((TypeError, tf.errors.InvalidArgumentError), match=r"allowed values|must be|expected"):
            _native.load().tfvae_reparameterize_kl(tensor, tensor, [1, 2], prior=[], sum_dtype=tf.float32)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(3, np.int32),
        np.zeros(3, np.int64),
        np.zeros(3, np.complex64),
        np.zeros(3, bool),
        np.array(["a", "b"]),
        [1, 2],
        ["a"],
        tf.zeros([2], tf.uint8),
    ],
)
def test_unsupported_dtype_req_15(backend, value):
    name = tf.convert_to_tensor(value).dtype.name
    with pytest.raises(TypeError, match=f"mean must be one of float16, bfloat16, float32, float64, not {name}"):
        reparameterize_kl(value, value, seed=[1, 2])


def test_parameters_of_different_dtype_req_15(backend):
    with pytest.raises(TypeError, match="log_var must have the dtype of mean, float32, not float64"):
        reparameterize_kl(tf.zeros([3]), tf.zeros([3], tf.float64), seed=[1, 2])


RAGGED, SPARSE = tf.ragged.constant([[1.0, 2.0], [3.0]]), tf.sparse.eye(3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mean", None), ("mean", RAGGED), ("log_var", None), ("log_var", SPARSE), ("prior_mean", RAGGED)],
)
def test_what_is_no_dense_tensor(backend, name, value):
    arguments = dict.fromkeys(["mean", "log_var", "prior_mean", "prior_log_var"], tf.zeros([3])) | {name: value}
    with pytest.raises(TypeError, match=f"{name} must be a dense tensor, or what converts to one, not "):
        reparameterize_kl(**arguments, seed=[1, 2])


@pytest.mark.parametrize("value", [None, 1, "no", tf.constant(True)])
def test_per_dimension_that_is_not_a_bool(backend, value):
    with pytest.raises(TypeError, match="per_dimension must be True or False, not"):
        reparameterize_kl(tf.zeros([3]), tf.zeros([3]), seed=[1, 2], per_dimension=value)


def test_num_samples_over_the_largest_int64(backend):
    with pytest.raises(ValueError, match=rf"num_samples must be below 2\*\*63, not {2**63}\."):
        reparameterize_log_ratio(tf.zeros([3]), tf.zeros([3]), seed=[1, 2], num_samples=2**63)


@pytest.mark.parametrize(
    "seed",
    [
        [1.5, 2],
        [1.0, 2.0],
        (1, 2.0),
        ["1", "2"],
        "12",
        [True, False],
        [1j, 2],
        [None, 1],
        None,
        object(),
        [2**63, 0],
        [0, -(2**63) - 1],
        [2**70, 0],
        [[1, 2], [3]],
        {"a": 1, "b": 2},
        [{"a": 1}, 2],
        np.array([1.0, 2.0]),
        np.array(["1", 2], object),
        np.array([1, 2], np.uint64),
        tf.constant([1.0, 2.0]),
    ],
)
def test_seed_that_is_not_two_integers(backend, seed):
    """Nothing is rounded or read out of a string on the way."""
    with pytest.raises(TypeError, match=r"seed must be (two integers|int32 or int64)"):
        reparameterize_kl(tf.zeros([3]), tf.zeros([3]), seed=seed)


@pytest.mark.parametrize(
    "seed",
    [
        (3, 4),
        [np.int32(3), np.int64(4)],
        np.array([3, 4], np.int32),
        tf.Variable([3, 4]),
        [tf.constant(3), tf.constant(4)],
    ],
)
def test_seed_in_any_integer_form(backend, seed):
    expected, _ = reparameterize_kl(tf.zeros([3]), tf.zeros([3]), seed=[3, 4])
    got, _ = reparameterize_kl(tf.zeros([3]), tf.zeros([3]), seed=seed)
    np.testing.assert_array_equal(got, expected)
