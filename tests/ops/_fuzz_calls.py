"""Random calls of the raw ops, right and wrong ones, for test_fuzz.py: ``python _fuzz_calls.py SEED CALLS LOG``.

Each call is written to LOG before it is made, so that a crash can be told. Prints how many calls were answered, and how
many refused by a Python error.
"""

import contextlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvae import _native

OPS = _native.load()
FLOATS = [tf.float32, tf.float32, tf.float64, tf.float16, tf.bfloat16]
OTHERS = [tf.int32, tf.string, tf.complex64, tf.bool, tf.uint16]
HUGE = [2**31, 2**32 + 1, 2**40, 2**62]
REFUSALS = (tf.errors.OpError, TypeError, ValueError)
# What a call must do. "either": where dtypes were mixed up, or memory may not suffice.
ANSWER, REFUSE, EITHER = "answer", "refuse", "either"

rng = np.random.default_rng()


def one_of(options):
    return options[rng.integers(len(options))]


def rarely(chance):
    return rng.random() < chance


def draw_shape():
    dims = [int(n) for n in rng.integers(0, 10, size=rng.integers(0, 7))]
    while math.prod(dims) > 5000:
        dims.pop()
    if dims and rarely(0.08):
        # None in memory; the row sums of the second kind would be, were they not more than any machine has.
        dims = [0, *dims[:2], one_of(HUGE)] if rarely(0.5) else [*dims[:1], one_of(HUGE[2:]), 0]
    return dims


def altered(dims):
    kind = rng.integers(4)
    if kind == 0 or not dims:
        return draw_shape()
    if kind == 1:
        return dims[:-1]
    if kind == 2:
        return [*dims, 1]
    at = rng.integers(len(dims))
    return [*dims[:at], one_of([0, 1, dims[at] + 1]), *dims[at + 1 :]]


def sums_of(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def draw():
    """The op's name, (shape, dtype) of each of its inputs, its attributes, and the shapes of its outputs."""
    op = one_of(["kl", "kl_grad", "log_ratio", "log_ratio_grad"])
    dims, dtype = draw_shape(), one_of(FLOATS)
    if op.startswith("kl"):
        attributes = {"per_dimension": bool(rng.integers(2))}
        z, sums = dims, dims if attributes["per_dimension"] else dims[:-1]
    else:
        attributes = {"num_samples": one_of([1, 2, 3, 17])}
        z, sums = ([attributes["num_samples"], *shape] for shape in (dims, dims[:-1]))
        attributes["stop_density_gradient"] = bool(rng.integers(2))
    inputs = {"mean": (dims, dtype), "log_var": (dims, dtype), "seed": ([2], one_of([tf.int32, tf.int64]))}
    outputs = [z, sums]
    if op.endswith("grad"):
        inputs |= {"dz": (z, dtype), "dkl" if op == "kl_grad" else "dlog_ratio": (sums, sums_of(dtype))}
        outputs = [dims, dims]
    else:
        attributes["sum_dtype"] = sums_of(dtype)
    if rarely(0.5):
        prior = one_of([dims, dims[-1:]])
        inputs |= {"prior 0": (prior, dtype), "prior 1": (prior, dtype)}
        outputs += [prior, prior] if op.endswith("grad") else []
    return op, inputs, attributes, outputs


def spoil(inputs, attributes):
    """Change something, or nothing; return what the call must do now."""
    dims = inputs["mean"][0]
    verdict = ANSWER if dims else REFUSE
    if max(dims, default=0) > 9:
        verdict = EITHER
    if rarely(0.1):
        name = one_of(list(inputs))
        inputs[name] = (inputs[name][0], one_of(FLOATS + OTHERS))
        verdict = EITHER
    if "sum_dtype" in attributes and rarely(0.05):
        attributes["sum_dtype"] = one_of([tf.float16, tf.float32, tf.float64, tf.int32])
        verdict = EITHER
    if "num_samples" in attributes and rarely(0.05):
        attributes["num_samples"] = one_of([0, -1, 2**62])
        # Of no elements, 2^62 samples are an answer.
        verdict = REFUSE if attributes["num_samples"] < 1 else EITHER
    if rarely(0.05):
        priors = [name for name in inputs if "prior" in name]
        if priors and rarely(0.5):
            del inputs[priors[-1]]
        else:
            inputs[f"prior {len(priors)}"] = inputs["mean"]
        verdict = REFUSE
    if rarely(0.4):
        name = one_of(list(inputs))
        shape, dtype = inputs[name]
        other = altered(shape)
        inputs[name] = (other, dtype)
        if other != shape:
            verdict = REFUSE
    return verdict


def make(shape, dtype):
    if math.prod(shape) > 1_000_000:
        raise ValueError("too large to make")
    if dtype == tf.string:
        return tf.fill(shape, "x")
    if not dtype.is_floating:
        values = np.zeros(shape)
    elif rarely(0.1):
        values = np.full(shape, one_of([np.nan, np.inf, -np.inf]))
    else:
        values = rng.normal(size=shape) * one_of([1, 1, 100, 1e-30])
    with np.errstate(all="ignore"):
        return tf.constant(values.astype(dtype.as_numpy_dtype))


def call(op, tensors, attributes):
    prior = [tensor for name, tensor in tensors.items() if "prior" in name]
    rest = {name: tensor for name, tensor in tensors.items() if "prior" not in name}
    return tf.nest.flatten(getattr(OPS, f"tfvae_reparameterize_{op}")(**rest, prior=prior, **attributes))


def eagerly(op, inputs, attributes, shapes, verdict):
    tensors = {name: make(*inputs[name]) for name in inputs}
    outputs = call(op, tensors, attributes)
    assert verdict != REFUSE, "answered what it should refuse"
    if verdict == ANSWER:
        assert [list(output.shape) for output in outputs] == shapes
        if op == "kl" and len(inputs) == 3 and not attributes["per_dimension"]:
            check_kl(tensors, outputs[1])


def check_kl(tensors, got):
    m, lv = (tensors[name].numpy().astype(np.longdouble) for name in ("mean", "log_var"))
    with np.errstate(all="ignore"):
        kl = ((m * m + np.expm1(lv) - lv) / 2).sum(-1)
        # Too large for float32 is inf there, and the difference of two such may be NaN.
        fair = np.isfinite(kl) & (np.abs(kl) < 1e37)
        np.testing.assert_allclose(np.asarray(got)[fair], kl[fair].astype(np.float64), rtol=1e-5, atol=1e-37)


def in_a_graph(op, inputs, attributes, shapes, verdict):
    """Only the shape function runs, on shapes that are known in part."""

    def known(shape):
        return None if rarely(0.2) else [None if rarely(0.3) else size for size in shape]

    holders = {name: tf.compat.v1.placeholder(dtype, known(shape)) for name, (shape, dtype) in inputs.items()}
    outputs = call(op, holders, attributes)
    if verdict == ANSWER:
        for output, shape in zip(outputs, shapes, strict=True):
            assert output.shape.is_compatible_with(shape), output.shape


def main(seed, calls, log):
    global rng
    rng = np.random.default_rng(seed)
    counts = {"answered": 0, "refused": 0}
    for number in range(calls):
        if number % 500 == 0:
            graph = tf.Graph()
        op, inputs, attributes, shapes = draw()
        verdict = spoil(inputs, attributes)
        how = in_a_graph if rarely(0.3) else eagerly
        log.write_text(f"call {number} of seed {seed}, {how.__name__}: {op} {inputs} {attributes}, to {verdict}")
        try:
            with graph.as_default() if how is in_a_graph else contextlib.nullcontext():
                how(op, inputs, attributes, shapes, verdict)
            counts["answered"] += 1
        except REFUSALS:
            assert verdict != ANSWER, "refused what it should answer"
            counts["refused"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
