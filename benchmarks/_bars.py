"""The speeds the op is held to, read off the rows of one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import _report

Row = Mapping[str, Any]
_OTHERS = ("torch", "torch_compile", "jax")


@dataclass(frozen=True)
class Bar:
    """One number with what it must reach and what it should; ``at_most`` where small is good.

    With ``isa``, it is one of runs on that instruction set or one whose name goes on from it.
    """

    text: str
    must: float | None
    aim: float | None
    value: Callable[[Sequence[Row]], float | None]
    at_most: bool = False
    isa: str | None = None

    def line(self, rows: Sequence[Row]) -> dict[str, Any] | None:
        """Return the bar's line of the table, or None where the run does not tell."""
        if self.isa is not None and not all(row["isa"].startswith(self.isa) for row in rows):
            return None
        value = self.value(rows)
        if value is None:
            return None
        sign = "<=" if self.at_most else ">="
        verdict = "below"
        for name, limit in (("aim", self.aim), ("must", self.must)):
            if limit is not None and (value <= limit if self.at_most else value >= limit):
                verdict = name
                break
        shown = {
            name: f"{sign} {limit:g}" if limit is not None else ""
            for name, limit in (("must", self.must), ("aim", self.aim))
        }
        return {"text": self.text, "value": value, **shown, "reached": verdict}


def ratio(
    which: str, shape: str, over: Sequence[str], under: str = "native", per: str = "call"
) -> Callable[[Sequence[Row]], float | None]:
    """Return how many times the time of ``under`` the fastest rival among ``over`` takes, in float32."""

    def value(rows: Sequence[Row]) -> float | None:
        below = _median(rows, which, shape, under, per)
        above = [time for rival in over if (time := _median(rows, which, shape, rival, per)) is not None]
        return min(above) / below if above and below is not None else None

    return value


def in_cache(rows: Sequence[Row]) -> float | None:
    """Return the op's own nanoseconds per element and core at 256x512, float32."""
    found = [row for row in rows if _is(row, "forward", "256x512", "native") and row["per"] == "op"]
    return found[-1]["ns_per_element_core"] if found else None


def slowest(*cases: tuple[str, str]) -> Callable[[Sequence[Row]], float | None]:
    """Return the smallest ratio of a rival's time to native's over ``cases``, passes with their rivals."""

    def value(rows: Sequence[Row]) -> float | None:
        found = [row["over_native"] for row in rows if (row["pass"], row["rival"]) in cases and row["over_native"]]
        return min(found, default=None)

    return value


def bfloat16_gain(shape: str | None = None) -> Callable[[Sequence[Row]], float | None]:
    """Return native's float32 time over its bfloat16 time, forward: the smallest over all shapes, or at one."""

    def value(rows: Sequence[Row]) -> float | None:
        shapes = {row["shape"] for row in rows} if shape is None else {shape}
        found = [row for row in rows if any(_is(row, "forward", s, "native_float32", "bfloat16") for s in shapes)]
        return min((row["over_native"] for row in found if row["over_native"]), default=None)

    return value


REPARAMETERIZE_KL = (
    *(
        Bar(f"{text}, stock TF / native", must, aim, ratio(which, "4096x1024", [stock], per=per), isa="avx512")
        for per, place in (("op", "in a graph"), ("call", "from Python"))
        for text, must, aim, which, stock in (
            (f"forward 4096x1024 {place}", 10, 18, "forward", "stock"),
            (f"backward 4096x1024 {place}", 7, 12, "backward", "stock_from_inputs"),
            (f"backward 4096x1024 {place}, noise kept", 7, 12, "backward", "stock"),
        )
    ),
    Bar("forward 8192x4096, native / stream", 1.6, 1.15, ratio("forward", "8192x4096", ["native"], "stream"), True),
    Bar("backward 8192x4096, native / stream", 1.4, 1.1, ratio("backward", "8192x4096", ["native"], "stream"), True),
    Bar("forward 4096x1024, XLA's code / native in XLA", 6, None, ratio("forward", "4096x1024", ["xla"], "native_xla")),
    *(
        Bar(f"{which} 8192x4096, native in XLA / native", 1.1, 1, ratio(which, "8192x4096", ["native_xla"]), True)
        for which in ("forward", "backward")
    ),
    Bar("forward 256x512, ns per element and core", 0.75, 0.5, in_cache, True),
    *(
        Bar(
            f"avx2: forward 4096x1024 {place}, stock TF / native",
            5,
            9,
            ratio("forward", "4096x1024", ["stock"], per=per),
            isa="avx2",
        )
        for per, place in (("op", "in a graph"), ("call", "from Python"))
    ),
    Bar(
        "baseline: slowest case, noise drawn, stock TF / native",
        1,
        2,
        slowest(("forward", "stock"), ("backward", "stock_from_inputs"), ("both", "stock")),
        isa="baseline",
    ),
    Bar("baseline: backward, noise kept, stock TF / native", 1, 2, slowest(("backward", "stock")), isa="baseline"),
    Bar("bfloat16: slowest shape, float32 / bfloat16", 1, None, bfloat16_gain()),
    Bar("bfloat16: forward 8192x4096, float32 / bfloat16", None, 1.3, bfloat16_gain("8192x4096")),
    Bar("forward 4096x1024, best of PyTorch and JAX / native", 6, 12, ratio("forward", "4096x1024", _OTHERS)),
    Bar("both 4096x1024, best of PyTorch and JAX / native", 6, 12, ratio("both", "4096x1024", _OTHERS)),
)
REPARAMETERIZE_LOG_RATIO = (
    Bar("forward 50x128x32 in a graph, stock TF / native", 8, 15, ratio("forward", "50x128x32", ["stock"], per="op")),
    Bar("forward 50x128x32 from Python, stock TF / native", 8, 15, ratio("forward", "50x128x32", ["stock"])),
    Bar("both 50x128x32 from Python, stock TF / native", 8, 15, ratio("both", "50x128x32", ["stock"])),
)


def table(rows: Sequence[Row], bars: Sequence[Bar]) -> str:
    """Return those of ``bars`` that ``rows``, those of one run, tell about, as text; empty if there is none."""
    lines = [line for bar in bars if (line := bar.line(rows)) is not None]
    if not lines:
        return ""
    headings = {
        "text": "bar (float32 unless said)",
        "value": "measured",
        "must": "must",
        "aim": "aim",
        "reached": "reached",
    }
    return _report.table(lines, headings)


def _median(rows: Sequence[Row], which: str, shape: str, rival: str, per: str) -> float | None:
    found = [row for row in rows if _is(row, which, shape, rival) and row["per"] == per]
    return found[-1]["median_us"] if found else None


def _is(row: Row, which: str, shape: str, rival: str, dtype: str = "float32") -> bool:
    return (row["pass"], row["shape"], row["rival"], row["dtype"]) == (which, shape, rival, dtype)
