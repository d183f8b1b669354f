"""Count the instructions per element of every pass of the kernels: ``python -m benchmarks.instructions BINARY``.

``BINARY`` is ``tfvae_count`` of a build with ``-DTFVAE_BUILD_TESTS=ON``. valgrind's callgrind counts; AVX-512, which it
does not know, is taken step by step where the processor has it. Counts depend on the compiler and on nothing else, so
they tell what timings on shared machines are too noisy for: with ``--check`` the command fails where a pass takes over
10 % more instructions than recorded, and says so where it takes over 10 % fewer. ``--record`` writes the record anew,
when a change is meant. What cannot be counted here is named, and keeps its record.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import _report, _single_steps

RECORD = _report.RESULTS / "instructions.csv"
PASSES = ("forward", "backward", "log_ratio", "log_ratio_grad")
DTYPES = ("float32", "bfloat16", "float16", "float64")
# Of an instruction set, what it does unlike the one after it.
ISAS = {"avx512_bf16": ("bfloat16",), "avx512": DTYPES, "avx2": DTYPES, "baseline": DTYPES}
COLUMNS = ("isa", "pass", "dtype", "instructions_per_element")
TOLERANCE = 0.10

Key = tuple[str, str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("binary", type=Path, help="tfvae_count")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="fail where a count grew by over 10 %%")
    action.add_argument("--record", action="store_true", help=f"write {RECORD.name}")
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None or not options.binary.is_file():
        print(f"benchmarks.instructions needs valgrind and {options.binary}, a built tfvae_count.", file=sys.stderr)
        return 2
    counts: dict[Key, float] = {}
    for isa, dtypes in ISAS.items():
        try:
            counts |= {
                (isa, which, dtype): per_element(options.binary, isa, which, dtype)
                for which, dtype in itertools.product(PASSES, dtypes)
            }
        except _single_steps.NotSteppedError as reason:
            print(f"{isa} is not counted: {reason}")
    recorded = read(RECORD) if RECORD.is_file() else {}
    print(table(counts, recorded))
    if options.record:
        write(RECORD, recorded | counts)
    lines = changes(counts, recorded) if options.check else []
    print("\n".join(lines))
    return 1 if any("more" in line for line in lines) else 0


def per_element(binary: Path, isa: str, which: str, dtype: str) -> float:
    """Return what one further run of a pass takes, per element, without the program that runs it.

    Raises:
        NotSteppedError: if it can only be counted step by step and not here.
    """
    command = (str(binary), isa, which, dtype)
    if isa.startswith("avx512"):
        count, printed = _single_steps.between_marks([*command, "2"], first=1)
        return count / int(printed)
    (first, elements), (second, _) = (_count([*command, runs]) for runs in ("1", "3"))
    return (second - first) / (2 * elements)


def changes(counts: dict[Key, float], recorded: dict[Key, float]) -> list[str]:
    """Return a line for every count that is off its record by more than the tolerance, or has none."""
    lines = []
    for key, count in counts.items():
        if key not in recorded:
            lines.append(f"{' '.join(key)}: {count:.2f} instructions per element, more than is recorded, nothing")
            continue
        ratio = count / recorded[key]
        if abs(ratio - 1) > TOLERANCE:
            word = "more" if ratio > 1 else "fewer"
            change = f"{100 * abs(ratio - 1):.0f} % {word} than the recorded {recorded[key]:.2f}"
            lines.append(f"{' '.join(key)}: {count:.2f} instructions per element, {change}")
    return lines


def table(counts: dict[Key, float], recorded: dict[Key, float]) -> str:
    """Return the counts beside their records as text."""
    rows = [{"case": " ".join(key), "count": count, "recorded": recorded.get(key, "")} for key, count in counts.items()]
    return _report.table(rows, {"case": "instructions per element", "count": "counted", "recorded": "recorded"})


def read(path: Path) -> dict[Key, float]:
    """Return the recorded counts."""
    return {
        (row["isa"], row["pass"], row["dtype"]): float(row["instructions_per_element"])
        for row in _report.read_csv(path)
    }


def write(path: Path, counts: dict[Key, float]) -> None:
    """Write the record anew."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([*key, f"{count:.2f}"] for key, count in counts.items())


def _count(command: Sequence[str]) -> tuple[int, int]:
    """Return the instructions that ``command`` runs, and the number of elements it prints."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*callgrind, *command], capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"{' '.join(command)} failed under valgrind:\n{done.stderr}")
    return int(found[1]), int(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
