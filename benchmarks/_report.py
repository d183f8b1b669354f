"""Rows into CSV files and onto the terminal."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def append_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Append ``rows`` to the CSV file ``path``, which gets a header if it is new.

    Raises:
        ValueError: if the file has other columns.
    """
    check_header(path, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows({name: _rounded(value) for name, value in row.items()} for row in rows)


def check_header(path: Path, columns: Sequence[str]) -> None:
    """Raise ValueError if ``path`` is a CSV file with other columns than ``columns``."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open(newline="", encoding="utf-8") as file:
        found = next(csv.reader(file), [])
    if found != list(columns):
        raise ValueError(
            f"{path} has the columns {','.join(found)}, not {','.join(columns)}. "
            "Move it away or choose another --output."
        )


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of the CSV file ``path``."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], indent: str = "  ") -> str:
    """Return ``rows`` as aligned plain text: the first column to the left, the others to the right.

    Args:
        rows: what to show; a missing or empty value is shown as ``-``.
        columns: the heading of every column, by its name in the rows.
        indent: what every line begins with.
    """
    cells = [list(columns.values())]
    cells += [[_shown(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = []
    for line in cells:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append(indent + "  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def with_spread(median: float, lower: float, upper: float) -> str:
    """Return a median with its quartiles, to four digits: ``12.31 [12.20, 12.55]``."""
    return f"{_digits(median)} [{_digits(lower)}, {_digits(upper)}]"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return _digits(value) if isinstance(value, float) else str(value)


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) < 0.1 else f"{value:#.4g}"


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
