"""Thousands of random calls of the raw ops: each gives the right answer or a Python error, none ends the process."""

import json

CALLS = 10_000

_CODE = """
import json
import math
import numpy as np
import tensorflow as tf
from tfvae import _native

ops = _native.load()
rng = np.random.default_rng(SEED)
FLOATS = [tf.float32, tf.float32, tf.float64, tf.float16, tf.bfloat16]
OTHERS = [tf.int32, tf.string, tf.complex64, tf.bool, tf.uint16]
HUGE = [2**31, 2**32 + 1, 2**40, 2**62]
ERRORS = (tf.errors.OpError, TypeError, ValueError)


def one_of(options):
    return options[rng.integers(len(options))]


def rarely(chance):
    return rng.random() < chance


def shape():
    dims = [int(n) for n in rng.integers(0, 10, size=rng.integers(0, 7))]
    while np.prod(dims) > 5000:
        dims.pop()
    if dims and rarely(0.08):
        # None in memory; the KL of the second kind would be, were it not more than any machine has.
        dims = [0, *dims[:2], one_of(HUGE)] if rarely(0.5) else [*dims[:1], one_of(HUGE[2:]), 0]
    return dims


def altered(dims):
    kind = rng.integers(4)
    if kind == 0 or not dims:
        return shape()
    if kind == 1:
        return dims[:-1]
    if kind == 2:
        return [*dims, 1]
    at = rng.integers(len(dims))
    return [*dims[:at], one_of([0, 1, dims[at] + 1]), *dims[at + 1 :]]


def tensor(dims, dtype):
    if math.prod(dims) > 1_000_000:
        raise ValueError("too large to make")
    if dtype == tf.string:
        return tf.fill(dims, "x")
    if not dtype.is_floating:
        values = np.zeros(dims)
    elif rarely(0.1):
        values = np.full(dims, one_of([np.nan, np.inf, -np.inf]))
    else:
        values = rng.normal(size=dims) * one_of([1, 1, 100, 1e-30])
    with np.errstate(all="ignore"):
        return tf.constant(values.astype(dtype.as_numpy_dtype))


def draw():
    dtype = one_of(FLOATS) if not rarely(0.05) else one_of(OTHERS)
    dims, per_dimension = shape(), bool(rng.integers(2))
    kl_dtype = tf.float64 if dtype == tf.float64 else tf.float32
    if rarely(0.05):
        kl_dtype = one_of([tf.float16, tf.float32, tf.float64, tf.int32])
    seed_dtype = one_of([tf.int32, tf.int64]) if not rarely(0.03) else one_of([tf.float32, tf.uint8])
    shapes = {"mean": dims, "log_var": dims, "seed": [2], "dz": dims, "dkl": dims if per_dimension else dims[:-1]}
    dtypes = {"mean": dtype, "log_var": dtype, "seed": seed_dtype, "dz": dtype, "dkl": kl_dtype}
    if rarely(0.4):
        name = one_of(list(shapes))
        shapes[name] = altered(shapes[name])
    if rarely(0.05):
        dtypes[one_of(list(dtypes))] = one_of(FLOATS + OTHERS)
    return shapes, dtypes, per_dimension, kl_dtype


def expected_shapes(name, shapes, per_dimension):
    dims = shapes["mean"]
    return [dims, dims] if name == "grad" else [dims, dims if per_dimension else dims[:-1]]


def fits(name, shapes, per_dimension):
    dims = shapes["mean"]
    fine = len(dims) > 0 and shapes["log_var"] == dims and shapes["seed"] == [2]
    return fine and (name == "forward" or (shapes["dz"] == dims and
                                           shapes["dkl"] == (dims if per_dimension else dims[:-1])))


def call(name, inputs, per_dimension, kl_dtype):
    if name == "grad":
        return ops.tfvae_reparameterize_kl_grad(**inputs, prior=[], per_dimension=per_dimension)[:2]
    inputs = {key: inputs[key] for key in ("mean", "log_var", "seed")}
    return ops.tfvae_reparameterize_kl(**inputs, prior=[], sum_dtype=kl_dtype, per_dimension=per_dimension)


def eager(name, shapes, dtypes, per_dimension, kl_dtype):
    used = shapes if name == "grad" else ("mean", "log_var", "seed")
    inputs = {key: tensor(shapes[key], dtypes[key]) for key in used}
    outputs = call(name, inputs, per_dimension, kl_dtype)
    assert fits(name, shapes, per_dimension), f"no error for {shapes}"
    got = [list(output.shape) for output in outputs]
    assert got == expected_shapes(name, shapes, per_dimension), (got, shapes)
    if name == "forward" and not per_dimension and max(shapes["mean"]) < 10:
        m, lv = (inputs[key].numpy().astype(np.longdouble) for key in ("mean", "log_var"))
        with np.errstate(all="ignore"):
            kl = ((m * m + np.expm1(lv) - lv) / 2).sum(-1)
            # Too large for float32 is inf there, and the difference of two such may be NaN.
            fair = np.isfinite(kl) & (np.abs(kl) < 1e37)
            np.testing.assert_allclose(np.asarray(outputs[1])[fair], kl[fair].astype(np.float64), rtol=1e-5, atol=1e-37)


def partly_known(dims):
    if rarely(0.2):
        return None
    return [None if rarely(0.3) else n for n in dims]


def graph(name, shapes, dtypes, per_dimension, kl_dtype):
    holders = {key: tf.compat.v1.placeholder(dtypes[key], partly_known(dims)) for key, dims in shapes.items()}
    outputs = call(name, holders, per_dimension, kl_dtype)
    for output, dims in zip(outputs, expected_shapes(name, shapes, per_dimension)):
        if fits(name, shapes, per_dimension):
            assert output.shape.is_compatible_with(dims), (output.shape, shapes)


counts = {"right": 0, "refused": 0}
space = tf.Graph()
for number in range(CALLS):
    arguments = draw()
    name = one_of(["forward", "grad"])
    how = "graph" if rarely(0.3) else "eager"
    with open(LOG, "w") as log:  # What a crash would have been in.
        log.write(f"call {number} of seed {SEED}: {how} {name} {arguments}")
    try:
        if how == "eager":
            eager(name, *arguments)
        else:
            if number % 500 == 0:
                space = tf.Graph()
            with space.as_default():
                graph(name, *arguments)
        counts["right"] += 1
    except ERRORS:
        counts["refused"] += 1
print(json.dumps(counts))
"""


def test_fuzzed_calls_req_16(run_python, tmp_path):
    """Rank 0 to 6, sizes 0 to 9 and huge, every dtype and attribute; shape functions with partly known shapes."""
    log = tmp_path / "last_call.txt"
    try:
        done = run_python(f"SEED, CALLS, LOG = 1, {CALLS}, {str(log)!r}\n{_CODE}", env={"TF_CPP_MIN_LOG_LEVEL": "3"})
    except AssertionError as error:
        raise AssertionError(f"{log.read_text()}\n{error}") from None
    assert done.returncode == 0, log.read_text() + done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert counts["right"] + counts["refused"] == CALLS
    # Neither side may be empty, or the test has stopped testing.
    assert counts["right"] > CALLS / 5
    assert counts["refused"] > CALLS / 5
