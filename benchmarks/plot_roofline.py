"""Draw docs/images/roofline.png from the measurements: ``python -m benchmarks.plot_roofline``.

Time per call over the bytes a pass has to move, for every rival of the last run of several shapes, beside the measured
loop that only moves those bytes: no op that reads its inputs and writes its outputs can be below that line. Where the
time of the op alone was measured, in a graph, that is drawn; small shapes have no loop: its threads take longer to
start than to run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import _machine, _report

IMAGE = _machine.ROOT / "docs" / "images" / "roofline.png"
_COLOURS = {
    "native": "#c1272d", "native_xla": "#f08a8a", "reference": "#0072b2", "stock": "#009e73", "tfp": "#cc79a7",
    "xla": "#e69f00", "torch": "#56b4e9", "torch_compile": "#5d4a9c", "jax": "#8c6d31", "stream": "#222222",
    "stream_around": "#555555", "stream_fresh": "#999999",
}  # fmt: skip

_SMALLEST_STREAM = 4e6

Row = dict[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the plot with command-line ``arguments``; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plot_roofline", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--input", type=Path, default=_report.RESULTS / "reparameterize_kl.csv", help="CSV file to read"
    )
    parser.add_argument("--output", type=Path, default=IMAGE, help="image file to write")
    parser.add_argument("--dtype", default="float32", help="default: float32")
    options = parser.parse_args(arguments)
    if not options.input.is_file():
        print(f"{options.input} does not exist. Run python -m benchmarks.reparameterize_kl first.", file=sys.stderr)
        return 2
    rows = last_run(_report.read_csv(options.input), options.dtype)
    if not rows:
        print(
            f"{options.input} holds no {options.dtype} rows. Measure some, or choose another --dtype.", file=sys.stderr
        )
        return 2
    draw(rows, options.output)
    print(f"Wrote {options.output}")
    return 0


def last_run(rows: Sequence[Row], dtype: str) -> list[Row]:
    """Return the rows of ``dtype`` of one run: the last one of several shapes, or, if there is none, the last."""
    chosen = [row for row in rows if row["dtype"] == dtype]
    shapes: dict[str, set[str]] = {}
    for row in chosen:
        shapes.setdefault(row["date"], set()).add(row["shape"])
    last = max([date for date, found in shapes.items() if len(found) > 1] or shapes, default="")
    return [row for row in chosen if row["date"] == last]


def points(rows: Sequence[Row], which: str, rival: str) -> list[tuple[float, float]]:
    """Return ``(bytes, microseconds)`` of one rival by size, the time of the op alone where there is one."""
    smallest = _SMALLEST_STREAM if rival.startswith("stream") else 0
    found: dict[float, float] = {}
    for row in sorted(rows, key=lambda row: row["per"]):  # "call", then "op"
        if (row["pass"], row["rival"]) == (which, rival) and float(row["bytes"]) >= smallest:
            found[float(row["bytes"])] = float(row["median_us"])
    return sorted(found.items())


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw forward and backward beside each other and write the image to ``path``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), dpi=120, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, which in zip(axes, ("forward", "backward"), strict=True):
        for rival, colour in _COLOURS.items():
            curve = points(rows, which, rival)
            style = "--" if rival.startswith("stream") else "o-"
            if curve:
                axis.plot(*zip(*curve, strict=True), style, color=colour, label=rival.replace("_", " "), markersize=4)
        axis.set(xscale="log", yscale="log", xlabel="bytes to move", title=which)
        axis.grid(which="major", alpha=0.3)
    axes[0].set_ylabel("time, microseconds")
    axes[1].legend(frameon=False, fontsize="small")
    first = rows[0]
    figure.suptitle(f"{first['op']}, {first['dtype']}: {first['cpu']}, {first['threads']} threads, {first['isa']}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
