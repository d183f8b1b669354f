"""Time whole training steps of VAEs: ``python -m benchmarks.train_step``.

The same networks, optimizer (Adam) and data in three variants, timed in interleaved rounds:

- ``native``: ``tfvae.VAE`` with the compiled op; ``reference``: the same on plain TensorFlow;
- ``keras``: the code of the Keras VAE tutorial, a ``Sampling`` layer and a ``train_step`` of one's own.

Models: ``mlp`` (784-256-10, batch 128), ``convolutional`` (28x28 pixels to 16 dimensions, batch 128) and ``spatial``
(32x32x3 pixels to 16x16x32 dimensions, batch 64). One step is one call of the model's ``train_function`` as ``fit``
calls it, with the next batch from a ``tf.data`` pipeline that repeats one in memory; ``jit_compile`` is off.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import _command, _machine, _report, _timing
from benchmarks._cases import Unavailable

MODELS = ("mlp", "convolutional", "spatial")
VARIANTS = ("native", "reference", "keras")
COLUMNS = (
    *_machine.COLUMNS, "model", "variant", "batch", "latent", "weights", "samples",
    "median_ms", "lower_quartile_ms", "upper_quartile_ms", "steps_per_second", "over_native",
)  # fmt: skip

_HEADINGS = {
    "variant": "variant",
    "time": "median [quartiles] ms",
    "steps_per_second": "steps/s",
    "over_native": "/ native",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark with command-line ``arguments``; return the exit code."""
    parser = _command.parser("train_step", __doc__)
    _command.choice(parser, "models", MODELS)
    _command.choice(parser, "variants", VARIANTS)
    options = parser.parse_args(arguments)
    effort = _timing.QUICK if options.quick else _timing.Effort(seconds=20.0, rounds=31)

    def measure_all(write: _command.Write) -> None:
        for model in options.models:
            write(measure(model, options.variants, effort))

    return _command.run("train_step", options, COLUMNS, measure_all)


def measure(model: str, variants: Sequence[str], effort: _timing.Effort) -> list[dict[str, Any]]:
    """Time, print and return one row per variant of ``model``."""
    from benchmarks._networks import MODELS as NETWORKS

    networks, calls, weights = NETWORKS[model], {}, {}
    for variant in variants:
        try:
            calls[variant], weights[variant] = _step(model, variant)
        except Unavailable as reason:
            print(f"{variant} is not measured: {reason}\n")
    timings = {name: _timing.summarize(samples) for name, samples in _timing.measure(calls, effort).items()}
    rows: list[dict[str, Any]] = []
    for variant, timing in timings.items():
        row: dict[str, Any] = {"model": model, "variant": variant, "batch": networks.batch, "latent": networks.latent}
        row |= {"weights": weights[variant], "samples": timing.samples, "median_ms": 1e3 * timing.median}
        row |= {"lower_quartile_ms": 1e3 * timing.lower, "upper_quartile_ms": 1e3 * timing.upper}
        row["steps_per_second"] = 1 / timing.median
        row["over_native"] = timing.median / timings["native"].median if "native" in timings else None
        rows.append(row)
    print(f"{model}  batch {networks.batch}  latent {networks.latent}")
    print(f"{_report.table([_shown(row) for row in rows], _HEADINGS)}\n", flush=True)
    return rows


def _step(model: str, variant: str) -> tuple[_timing.Call, int]:
    """Return a call that takes one training step, traced already, and the number of weights."""
    import tensorflow as tf

    import tfvae
    from benchmarks._networks import MODELS as NETWORKS

    problem = tfvae.build_info()["problem"] if variant == "native" else None
    if problem is not None:
        raise Unavailable(problem)
    networks = NETWORKS[model]
    built = networks.build(variant)
    data = tf.data.Dataset.from_tensors(networks.data()).repeat()
    backend = contextlib.nullcontext() if variant == "keras" else tfvae.use_backend(variant)
    with backend:
        built.fit(data, epochs=1, steps_per_epoch=2, shuffle=False, verbose=0)
        step = functools.partial(built.train_function, iter(data))
        step()  # Traces here, in the chosen backend, if it has to trace again.
    weights = sum(math.prod(weight.shape) for weight in built.trainable_weights)
    return step, weights


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    spread = _report.with_spread(row["median_ms"], row["lower_quartile_ms"], row["upper_quartile_ms"])
    return {**row, "time": spread}


if __name__ == "__main__":
    sys.exit(main())
