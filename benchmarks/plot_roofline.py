"""Draw docs/images/roofline.png from the measurements: ``python -m benchmarks.plot_roofline``.

Time over the bytes a pass has to move, for every rival of the last run of several shapes, beside the measured loop
that only moves those bytes: no op that reads its inputs and writes its outputs can be below that line. Above what a
call from Python takes, below what an op takes within a graph, which was measured of TensorFlow's. Small shapes have no
loop: its threads take longer to start than to run.
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


def points(rows: Sequence[Row], which: str, rival: str, per: str) -> list[tuple[float, float]]:
    """Return ``(bytes, microseconds)`` of one rival by size, per ``"call"`` or ``"op"``; loops have one for both."""
    is_loop = rival.startswith("stream")
    smallest, wanted = (_SMALLEST_STREAM, "call") if is_loop else (0, per)
    return sorted(
        (float(row["bytes"]), float(row["median_us"]))
        for row in rows
        if (row["pass"], row["rival"], row["per"]) == (which, rival, wanted) and float(row["bytes"]) >= smallest
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw forward and backward beside each other and write the image to ``path``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9), dpi=120, layout="constrained")
    axes = figure.subplots(2, 2, sharex="col", sharey=True)
    for row, (per, place) in zip(axes, (("call", "called from Python"), ("op", "within a graph")), strict=True):
        for axis, which in zip(row, ("forward", "backward"), strict=True):
            for rival, colour in _COLOURS.items():
                curve = points(rows, which, rival, per)
                style = "--" if rival.startswith("stream") else "o-"
                if curve:
                    name = rival.replace("_", " ")
                    axis.plot(*zip(*curve, strict=True), style, color=colour, label=name, markersize=4)
            axis.set(xscale="log", yscale="log", title=f"{which}, {place}")
            axis.grid(which="major", alpha=0.3)
        row[0].set_ylabel("time, microseconds")
        row[1].legend(frameon=False, fontsize="small")
    for axis in axes[1]:
        axis.set_xlabel("bytes to move")
    first = rows[0]
    figure.suptitle(f"{first['op']}, {first['dtype']}: {first['cpu']}, {first['threads']} threads, {first['isa']}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
