"""Time ``tfvae.ops.reparameterize_kl`` with a learned prior: ``python -m benchmarks.learned_prior``.

The forward pass, and both passes with the gradients by ``mean``, ``log_var`` and the prior, in a graph of TensorFlow. A
``full`` prior has the shape of ``mean``, as a network gives it; a ``shared`` one is a row for all rows, whose gradients
are sums over them; ``none`` is the standard normal, to tell what a prior costs. Rivals: ``native``, the compiled op;
``stock``, what a user writes of stock ops.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import _command, _machine, _report, _timing
from benchmarks._cases import parse_shape

if TYPE_CHECKING:
    import tensorflow as tf

SHAPES = ((128, 10), (128, 32), (1024, 10), (256, 512), (64, 8192), (4096, 1024), (40, 100000))
PRIORS = ("none", "full", "shared")
PASSES = ("forward", "both")
COLUMNS = (
    *_machine.COLUMNS, "pass", "prior", "rival", "shape", "dtype", "samples",
    "median_us", "lower_quartile_us", "upper_quartile_us", "ns_per_element", "over_native",
)  # fmt: skip
_HEADINGS = {"prior": "prior", "rival": "rival", "time": "median [quartiles] us", "over_native": "/ native"}

Forward = Callable[..., "tuple[tf.Tensor, tf.Tensor]"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark with command-line ``arguments``; return the exit code."""
    parser = _command.parser("learned_prior", __doc__)
    parser.add_argument("--shapes", nargs="+", type=parse_shape, metavar="ROWSxLATENT", default=SHAPES)
    options = parser.parse_args(arguments)
    effort = _timing.QUICK if options.quick else _timing.FULL

    def measure_all(write: _command.Write) -> None:
        for shape in options.shapes:
            for which in PASSES:
                rows = write(measure(shape, which, effort))
                shown = [{**row, "time": _report.with_spread(*_times(row))} for row in rows]
                print(f"{which}  {rows[0]['shape']}\n{_report.table(shown, _HEADINGS)}\n", flush=True)

    return _command.run("learned_prior", options, COLUMNS, measure_all)


def measure(shape: tuple[int, int], which: str, effort: _timing.Effort) -> list[dict[str, Any]]:
    """Return one row per prior and rival, all timed in interleaved rounds."""
    rivals = {"native": native, "stock": stock}
    calls = {(prior, name): build(rivals[name], prior, shape, which) for prior in PRIORS for name in rivals}
    timings = {key: _timing.summarize(samples) for key, samples in _timing.measure(calls, effort).items()}
    rows = []
    for (prior, name), timing in timings.items():
        row: dict[str, Any] = {"pass": which, "prior": prior, "rival": name, "shape": "x".join(map(str, shape))}
        row |= {"dtype": "float32", "samples": timing.samples, "median_us": 1e6 * timing.median}
        row |= {"lower_quartile_us": 1e6 * timing.lower, "upper_quartile_us": 1e6 * timing.upper}
        row["ns_per_element"] = 1e9 * timing.median / (shape[0] * shape[1])
        row["over_native"] = timing.median / timings[prior, "native"].median
        rows.append(row)
    return rows


def build(forward: Forward, prior: str, shape: tuple[int, int], which: str) -> _timing.Call:
    """Return a call of a graph with one pass, or with both.

    The seed is an argument: of a constant one TensorFlow would compute the stock ops' noise as it optimises the graph.
    """
    import tensorflow as tf

    random = np.random.default_rng(2013)
    of_prior: dict[str, list[tuple[int, ...]]] = {"none": [], "full": [shape] * 2, "shared": [shape[1:]] * 2}
    shapes = [shape, shape, *of_prior[prior]]
    parameters = [tf.constant(0.5 * random.standard_normal(size, dtype=np.float32)) for size in shapes]
    dz, dkl = (tf.constant(random.standard_normal(size, dtype=np.float32)) for size in (shape, shape[:1]))

    def run(seed: tf.Tensor, *parameters: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            outputs = forward(*parameters, seed=seed)
        return outputs if which == "forward" else (outputs, tape.gradient(outputs, parameters, [dz, dkl]))

    arguments = tf.constant([2013, 1312]), *parameters
    return functools.partial(tf.function(run, autograph=False).get_concrete_function(*arguments), *arguments)


def native(mean: tf.Tensor, log_var: tf.Tensor, *prior: tf.Tensor, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """The compiled op."""
    import tfvae

    named = dict(zip(("prior_mean", "prior_log_var"), prior, strict=False))
    with tfvae.use_backend("native"):
        return tfvae.ops.reparameterize_kl(mean, log_var, seed=seed, **named)


def stock(mean: tf.Tensor, log_var: tf.Tensor, *prior: tf.Tensor, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """What a user writes by the textbook."""
    import tensorflow as tf

    z = mean + tf.exp(0.5 * log_var) * tf.random.stateless_normal(tf.shape(mean), seed, alg="philox")
    prior_mean, prior_log_var = prior or (tf.zeros([]), tf.zeros([]))
    ratio, distance = log_var - prior_log_var, mean - prior_mean
    terms = tf.square(distance) * tf.exp(-prior_log_var) + tf.exp(ratio) - ratio - 1.0
    return z, 0.5 * tf.reduce_sum(terms, axis=-1)


def _times(row: dict[str, Any]) -> tuple[float, float, float]:
    return row["median_us"], row["lower_quartile_us"], row["upper_quartile_us"]


if __name__ == "__main__":
    sys.exit(main())
