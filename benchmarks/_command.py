"""The command line that benchmarks share: common options, checks before, rows to a file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import _machine, _report

Row = dict[str, Any]
Write = Callable[[Sequence[Row]], list[Row]]


def parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Return one with the common options, described by the first paragraph of ``doc``, the rest below the options."""
    summary, _, details = (doc or "").partition("\n\n")
    result = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--quick", action="store_true", help="tiny, few samples, no file: only to see it work")
    result.add_argument("--threads", type=int, help="processors to use (default: all this process may use)")
    result.add_argument("--output", type=Path, help=f"CSV file to append to (default: benchmarks/results/{name}.csv)")
    return result


def choice(to: argparse.ArgumentParser, option: str, choices: Sequence[str]) -> None:
    """Add an option that takes some of ``choices``, by default all."""
    listed = " ".join(choices)
    to.add_argument(f"--{option}", nargs="+", choices=choices, default=choices, metavar="NAME", help=listed)


def run(name: str, options: argparse.Namespace, columns: Sequence[str], measure: Callable[[Write], None]) -> int:
    """Call ``measure(write)``, where ``write(rows)`` completes and keeps rows at once; return the exit code."""
    output = options.output or (None if options.quick else _report.RESULTS / f"{name}.csv")
    try:
        _machine.use_threads(options.threads)
        if output is not None:
            _report.check_header(output, columns)
    except ValueError as error:
        print(f"benchmarks.{name}: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    machine, count = _machine.describe(), 0
    print("\n".join(f"{key}: {value}" for key, value in machine.items()), end="\n\n", flush=True)

    def write(rows: Sequence[Row]) -> list[Row]:
        nonlocal count
        whole = [{**machine, **row} for row in rows]
        count += len(whole)
        if output is not None:
            _report.append_csv(output, columns, whole)
        return whole

    measure(write)
    if output is not None:
        print(f"Wrote {count} rows to {output}")
    return 0
