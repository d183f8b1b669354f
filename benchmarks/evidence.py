"""Time the importance-weighted ``log p(x)``: ``python -m benchmarks.evidence``.

5000 samples for each of 500 binary digits, in three variants of the same networks, timed in interleaved rounds:

- ``native``: ``tfvae.evidence.importance_weighted`` with the compiled op; ``reference``: the same on plain TensorFlow;
- ``stock``: the estimate alone, without its errors and the tail of its weights, in stock TensorFlow ops;
- ``stock_draws``: the part of ``stock`` that draws ``z`` and takes its densities. Its share of ``stock`` says how far
  sampling dominates.

Models: ``sampling-64``, ``sampling`` and ``sampling-1024`` (64, 256, 1024 latent dimensions, a hidden layer of 8: the
time goes into drawing ``z``, more and more) and ``decoder`` (8 dimensions, two hidden layers of 512: it goes into the
decoder, which is the same for all).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from benchmarks import _command, _machine, _report, _timing
from benchmarks._cases import Unavailable

MODELS = ("sampling-64", "sampling", "sampling-1024", "decoder")
VARIANTS = ("native", "reference", "stock", "stock_draws")
FULL, QUICK = (500, 5000), (40, 64)  # examples and samples
COLUMNS = (
    *_machine.COLUMNS, "model", "variant", "examples", "num_samples", "latent", "samples",
    "median_s", "lower_quartile_s", "upper_quartile_s", "ns_per_draw", "over_native",
)  # fmt: skip
_HEADINGS = {
    "variant": "variant",
    "time": "median [quartiles] s",
    "ns_per_draw": "ns/draw",
    "over_native": "/ native",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark with command-line ``arguments``; return the exit code."""
    parser = _command.parser("evidence", __doc__)
    _command.choice(parser, "models", MODELS)
    _command.choice(parser, "variants", VARIANTS)
    options = parser.parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    effort = _timing.QUICK if options.quick else _timing.Effort(seconds=60.0, rounds=5)

    def measure_all(write: _command.Write) -> None:
        for model in options.models:
            write(measure(model, options.variants, *sizes, effort))

    return _command.run("evidence", options, COLUMNS, measure_all)


def measure(
    model: str, variants: Sequence[str], examples: int, num_samples: int, effort: _timing.Effort
) -> list[dict[str, Any]]:
    """Time, print and return one row per variant of ``model``."""
    from benchmarks._rivals_evidence import MODELS as NETWORKS

    calls: dict[str, _timing.Call] = {}
    for variant in variants:
        try:
            calls[variant] = call_of(model, variant, examples, num_samples)
        except Unavailable as reason:
            print(f"{variant} is not measured: {reason}\n")
    timings = {name: _timing.summarize(samples) for name, samples in _timing.measure(calls, effort).items()}
    rows: list[dict[str, Any]] = []
    for variant, timing in timings.items():
        row: dict[str, Any] = {"model": model, "variant": variant, "examples": examples, "num_samples": num_samples}
        row |= {"latent": NETWORKS[model].latent, "samples": timing.samples, "median_s": timing.median}
        row |= {"lower_quartile_s": timing.lower, "upper_quartile_s": timing.upper}
        row["ns_per_draw"] = 1e9 * timing.median / (examples * num_samples)
        row["over_native"] = timing.median / timings["native"].median if "native" in timings else None
        rows.append(row)
    print(f"{model}  {examples} examples  {num_samples} samples")
    print(f"{_report.table([_shown(row) for row in rows], _HEADINGS)}\n", flush=True)
    return rows


def call_of(model: str, variant: str, examples: int, num_samples: int) -> _timing.Call:
    """Return a call that gives the estimates of ``examples`` digits by ``num_samples`` samples each, ``[N]``."""
    import tfvae
    from benchmarks import _rivals_evidence as rivals

    problem = tfvae.build_info()["problem"] if variant == "native" else None
    if problem is not None:
        raise Unavailable(problem)
    networks, x = rivals.MODELS[model], rivals.digits(examples)
    vae = networks.build()
    if variant in ("stock", "stock_draws"):
        return rivals.stock(vae, x, num_samples, networks.draws, decode=variant == "stock")

    def call() -> object:
        with tfvae.use_backend(variant), warnings.catch_warnings():
            warnings.simplefilter("ignore", tfvae.evidence.EvidenceWarning)  # The networks are not trained.
            return tfvae.evidence.importance_weighted(vae, x, num_samples=num_samples, seed=1).estimate

    return call


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    spread = _report.with_spread(row["median_s"], row["lower_quartile_s"], row["upper_quartile_s"])
    return {**row, "time": spread}


if __name__ == "__main__":
    sys.exit(main())
