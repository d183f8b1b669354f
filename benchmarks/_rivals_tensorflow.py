"""The rivals made of TensorFlow graphs: tfvae's two backends, stock ops, TensorFlow Probability, XLA."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

import tfvae
from benchmarks._cases import Inputs, Unavailable
from benchmarks._timing import Call

Forward = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def native(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The compiled op."""
    with tfvae.use_backend("native"):
        return tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)


def reference(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The specification in plain TensorFlow."""
    with tfvae.use_backend("reference"):
        return tfvae.ops.reparameterize_kl(mean, log_var, seed=seed)


def stock(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What a user writes by the textbook."""
    eps = tf.random.stateless_normal(tf.shape(mean), seed, dtype=mean.dtype, alg="philox")
    z = mean + tf.exp(0.5 * log_var) * eps
    kl = 0.5 * tf.reduce_sum(tf.square(mean) + tf.exp(log_var) - log_var - 1.0, axis=-1)
    return z, kl


def probability(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The same with TensorFlow Probability's distributions."""
    latent = mean.shape[-1]
    q = tfp.distributions.MultivariateNormalDiag(mean, tf.exp(0.5 * log_var))
    p = tfp.distributions.MultivariateNormalDiag(tf.zeros([latent], mean.dtype), tf.ones([latent], mean.dtype))
    return q.sample(seed=seed), q.kl_divergence(p)


@dataclass(frozen=True)
class GraphRival:
    """A forward computation as a ``tf.function``, and its gradient by TensorFlow's autodiff.

    ``xla`` compiles the graph; ``compiled`` says that it needs tfvae's compiled library.

    Inputs are arguments of the function and every result is returned, or of a chain one element of it, so nothing is
    folded or pruned away.
    A call runs ``ops`` ops chained in one graph, each reading what the one before it wrote, so that the time of one op
    can be told from that of calling a function from Python. One only for XLA, which would fuse the chain.

    Backward alone is the part of the graph that autodiff adds to the forward one. Every tensor of the forward graph
    that it reads (stock ops: eps and both exponentials) is an input, computed beforehand: it is what ``tf.function``
    keeps from the forward pass when a tape is recording.
    """

    forward: Forward
    xla: bool = False
    compiled: bool = False

    def build(self, inputs: Inputs, which: str, ops: int) -> Call:
        """Return a call that runs one pass (``forward``, ``backward`` or ``both``) of ``ops`` ops."""
        if self.compiled:
            _require_native(self.xla)
        if ops > 1 and (self.xla or which == "both"):
            raise Unavailable("only single ops and passes are chained.")
        tensors = inputs.once("tensorflow", lambda: _tensors(inputs))
        make = {"forward": self._forward, "backward": self._backward, "both": self._both}[which]
        function, arguments = make(inputs, tensors, ops)
        compiled = tf.function(function, jit_compile=self.xla or None, autograph=False)
        return functools.partial(compiled.get_concrete_function(*arguments), *arguments)

    def _forward(self, inputs: Inputs, tensors: dict[str, tf.Tensor], ops: int) -> tuple[Any, tuple[Any, ...]]:
        def run(mean: tf.Tensor, log_var: tf.Tensor, seeds: tf.Tensor) -> Any:
            kls = []
            for seed in tf.unstack(seeds):
                z, kl = self.forward(mean, log_var, seed)
                kls.append(kl)
                mean = z if z.shape == mean.shape else z[0]
            return z, kls[0] if ops == 1 else _first_elements(kls)

        return run, (tensors["mean"], tensors["log_var"], _seeds(ops))

    def _backward(self, inputs: Inputs, tensors: dict[str, tf.Tensor], ops: int) -> tuple[Any, tuple[Any, ...]]:
        gradient = inputs.once(self.forward, lambda: Gradient(self.forward, tensors))

        def run(dz: tf.Tensor, dkl: tf.Tensor, *kept: tf.Tensor) -> Any:
            return _chained_gradients(dz, dkl, [lambda dz, dkl: gradient(dz, dkl, kept)] * ops)

        return run, (tensors["dz"], gradient.dkl, *gradient.kept)

    def _both(self, inputs: Inputs, tensors: dict[str, tf.Tensor], ops: int) -> tuple[Any, tuple[Any, ...]]:
        dkl = tf.cast(tensors["dkl"], _kl_dtype(self.forward, tensors))
        return self._taped, (tensors["mean"], tensors["log_var"], tensors["dz"], dkl, tensors["seed"])

    def _taped(self, mean: tf.Tensor, log_var: tf.Tensor, dz: tf.Tensor, dkl: tf.Tensor, seed: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([mean, log_var])
            z, kl = self.forward(mean, log_var, seed)
        return z, kl, tape.gradient([z, kl], [mean, log_var], [dz, tf.cast(dkl, kl.dtype)])


@dataclass(frozen=True)
class GradientFromInputs(GraphRival):
    """The gradient alone of what the op has for it: ``mean``, ``log_var``, the seed and the upstream gradients.

    Nothing is kept from a forward pass, so the graph draws its noise and computes its exponentials, as the op does.
    """

    def build(self, inputs: Inputs, which: str, ops: int) -> Call:
        if which != "backward":
            raise Unavailable("it has the gradient alone.")
        return super().build(inputs, which, ops)

    def _backward(self, inputs: Inputs, tensors: dict[str, tf.Tensor], ops: int) -> tuple[Any, tuple[Any, ...]]:
        def run(mean: tf.Tensor, log_var: tf.Tensor, dz: tf.Tensor, dkl: tf.Tensor, seeds: tf.Tensor) -> Any:
            def of_seed(seed: tf.Tensor) -> Callable[..., Any]:
                return lambda dz, dkl: self._taped(mean, log_var, dz, dkl, seed)[2]

            return _chained_gradients(dz, dkl, [of_seed(seed) for seed in tf.unstack(seeds)])

        _, (*arguments, _) = self._both(inputs, tensors, ops)
        return run, (*arguments, _seeds(ops))


def _seeds(ops: int) -> tf.Tensor:
    """Return a seed for every op, in one tensor, because a call takes some 20 us for every argument it has."""
    return tf.constant([[2013 + i, 1312] for i in range(ops)], tf.int32)


def _chained_gradients(dz: tf.Tensor, dkl: tf.Tensor, gradients: Sequence[Callable[..., Any]]) -> Any:
    """Return ``dmean`` of the last of ``gradients`` of ``dz`` and ``dkl``, and ``dlog_var`` or what stands for all."""
    dmean, dlog_vars = dz, []
    for gradient in gradients:
        dz, dkl = _chained(dz, dkl, dmean)
        dmean, dlog_var = gradient(dz, dkl)
        dlog_vars.append(dlog_var)
    return dmean, dlog_vars[0] if len(dlog_vars) == 1 else _first_elements(dlog_vars)


def _chained(dz: tf.Tensor, dkl: tf.Tensor, dmean: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return ``dz`` and ``dkl`` of the next op in a chain, one of which hangs on the ``dmean`` of the one before."""
    if dz.shape == dmean.shape:
        return dmean, dkl
    # Of several draws: a term too small to change dkl, which no optimizer of graphs removes.
    return dz, dkl + 2.0**-100 * tf.cast(tf.reshape(dmean, [-1])[0], dkl.dtype)


def _first_elements(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Return the sum of the first element of each: so all are computed, and one more op returns no further tensor."""
    return tf.add_n([tf.reshape(tensor, [-1])[0] for tensor in tensors])


class Gradient:
    """The gradient part of a forward graph, as a function of ``dz``, ``dkl`` and the forward tensors it reads."""

    def __init__(self, forward: Forward, tensors: dict[str, tf.Tensor]) -> None:
        self.dkl = tf.cast(tensors["dkl"], _kl_dtype(forward, tensors))
        values = [tensors["mean"], tensors["log_var"], tensors["seed"], tensors["dz"], self.dkl]
        placeholders: list[tf.Tensor] = []
        self._read: list[tf.Tensor] = []

        def trace(*arguments: tf.Tensor) -> list[tf.Tensor]:
            placeholders.extend(arguments)
            mean, log_var, seed, dz, dkl = arguments
            z, kl = forward(mean, log_var, seed)
            first = {op.name for op in mean.graph.get_operations()}
            gradients = tf.gradients([z, kl], [mean, log_var], [dz, dkl])
            added = [op for op in mean.graph.get_operations() if op.name not in first]
            read = {t.name: t for op in added for t in op.inputs if t.op.name in first and t.op.type != "Const"}
            self._read.extend(read.values())
            return gradients

        specs = [tf.TensorSpec(value.shape, value.dtype) for value in values]
        whole = tf.compat.v1.wrap_function(trace, specs)
        given = {placeholder.name: value for placeholder, value in zip(placeholders, values, strict=True)}
        self._dz, self._dkl = placeholders[3].name, placeholders[4].name
        computed = [tensor for tensor in self._read if tensor.name not in given]
        results = whole.prune(placeholders, computed)(*values) if computed else []
        given.update(zip((tensor.name for tensor in computed), results, strict=True))
        self._function = whole.prune(self._read, whole.outputs)
        self.kept = [given[t.name] for t in self._read if t.name not in (self._dz, self._dkl)]

    def __call__(self, dz: tf.Tensor, dkl: tf.Tensor, kept: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return ``(dmean, dlog_var)``."""
        upstream, others = {self._dz: dz, self._dkl: dkl}, iter(kept)
        feeds = [upstream[t.name] if t.name in upstream else next(others) for t in self._read]
        dmean, dlog_var = self._function(*feeds)
        return dmean, dlog_var


def build_empty(inputs: Inputs, which: str, ops: int) -> Call:
    """Return calls of an op that only allocates an output of the shape of ``z``: what calling anything at all costs."""
    count = 2 * ops if which == "both" else ops
    tensors = inputs.once("tensorflow", lambda: _tensors(inputs))

    def run(mean: tf.Tensor, log_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape, empties = mean.shape.as_list(), [mean]
        for _ in range(count):
            with tf.control_dependencies([empties[-1], log_var]):
                empties.append(tf.raw_ops.Empty(shape=shape, dtype=mean.dtype, init=False))
        return empties[-1], empties[1] if count == 1 else _first_elements(empties[1:])

    arguments = (tensors["mean"], tensors["log_var"])
    return functools.partial(tf.function(run, autograph=False).get_concrete_function(*arguments), *arguments)


def build_native_float32(inputs: Inputs, which: str, ops: int) -> Call:
    """Return calls of the compiled op on the same inputs in float32, beside those of a half precision."""
    case = dataclasses.replace(inputs.case, dtype="float32")
    arrays = {name: getattr(inputs, name).astype("float32") for name in ("mean", "log_var", "dz")}
    wide = inputs.once("float32", lambda: Inputs(case, **arrays, dkl=inputs.dkl))
    return GraphRival(native, compiled=True).build(wide, which, ops)


def _require_native(inside_xla: bool) -> None:
    problem = tfvae.build_info()["problem_inside_xla" if inside_xla else "problem"]
    if problem is not None:
        raise Unavailable(problem)


def _tensors(inputs: Inputs) -> dict[str, tf.Tensor]:
    dtype = tf.dtypes.as_dtype(inputs.case.dtype)
    arrays = {"mean": inputs.mean, "log_var": inputs.log_var, "dz": inputs.dz}
    tensors = {name: tf.convert_to_tensor(array, dtype) for name, array in arrays.items()}
    return {**tensors, "dkl": tf.constant(inputs.dkl), "seed": tf.constant([2013, 1312], tf.int32)}


def _kl_dtype(forward: Forward, tensors: dict[str, tf.Tensor]) -> tf.DType:
    row = tf.zeros([1, *tensors["mean"].shape[1:]], tensors["mean"].dtype)
    return forward(row, row, tensors["seed"])[1].dtype
