"""Comma-separated numbers."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tfvae.datasets._examples import Source, as_examples

_LABEL_COLUMNS = ("label", "class")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_MISSING = {"", "-", "?", "na", "n/a", "null", "none", "missing"}
_ABOUT_WORDS = (
    " Every column must be numeric; only one named label or class is taken for labels, which are integers: 0, 1, 2, ..."
)


def read_csv(path: Path) -> Source:
    """Read an example a line; a first line with words in it, or alone in quotes, is the header."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            start = list(_until_second_example(file))
            filled = [line for line in start if line.strip()]
            named = len(filled) == 2 and _is_quoted(filled[0]) and not _is_quoted(filled[1])
            return _read(path, _lines(itertools.chain(start, file)), named)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a readable .csv file ({error}). Save it as UTF-8 text with commas.") from error


def _lines(file: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row


def _until_second_example(lines: Iterator[str]) -> Iterator[str]:
    filled = 0
    while filled < 2 and (line := next(lines, None)) is not None:
        filled += bool(line.strip())
        yield line


def _is_quoted(line: str) -> bool:
    """Whether every cell is in quotes, as R and pandas write text, names that are numbers among it."""
    return all(cell[:1] == cell[-1:] == '"' for cell in map(str.strip, line.split(",")))


def _read(path: Path, lines: Iterator[tuple[int, list[str]]], named: bool) -> Source:
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path} is empty; expected lines of numbers with commas between them.")
    header = _header(path, first[1], named)
    width = len(first[1])
    rows = [] if header else [_numbers(path, first[0], first[1], width, None)]
    rows.extend(_numbers(path, number, row, width, header) for number, row in lines)
    if not rows:
        raise ValueError(
            f"{path} holds no numbers: its only line is {','.join(first[1])[:60]!r}. Put an example on every line."
        )
    return _source(path, np.stack(rows), header)


def _header(path: Path, row: list[str], named: bool) -> list[str] | None:
    """Return the names if the first line has any. One of numbers of which some are missing is an example.

    named: whether the numbers are names.
    """
    names = [cell.strip() for cell in row]
    numbered = [str(i) for i in range(len(names))]
    if (names == numbered and len(names) > 2) or names == ["", *numbered[:-1]]:  # 0,1 is a usual example.
        raise ValueError(
            f"{path} begins with the line {','.join(names)[:60]!r}, which pandas writes as the names of nameless "
            "columns. Write the table without it and without row numbers: to_csv(..., header=False, index=False). If "
            "it is an example, put a line of names before it."
        )
    numbers = all(_is_number(name) or name.lower() in _MISSING for name in names) and any(map(_is_number, names))
    if numbers and not named:
        return None
    if "" in names:
        raise ValueError(
            f"{path} has no name for column {names.index('') + 1}, as where a table was written with its row numbers. "
            "Leave that column out (pandas: to_csv(..., index=False)), or give it a name."
        )
    return names


def _source(path: Path, table: np.ndarray, header: list[str] | None) -> Source:
    columns = [i for i, name in enumerate(header or []) if name.lower() in _LABEL_COLUMNS]
    if len(columns) > 1:
        raise ValueError(
            f"{path} has {len(columns)} columns named label or class; expected at most one. Rename the rest."
        )
    if not columns:
        return Source(str(path), as_examples(table, None, str(path)))
    features = np.delete(table, columns[0], axis=1)
    return Source(str(path), as_examples(features, table[:, columns[0]], str(path)))


def _numbers(path: Path, line: int, row: list[str], width: int, header: list[str] | None) -> np.ndarray:
    if len(row) != width:
        raise ValueError(
            f"{path}, line {line}, has {len(row)} values; expected {width}, as in its first line. "
            f"Give every line the same number of values.{_about_separator(row)}{_about_quotes(row)}"
        )
    try:
        numbers = np.array([_number(cell) for cell in row])
    except ValueError:
        column = next(i for i, cell in enumerate(row) if not _is_number(cell))
        cell = row[column].strip()
        hint = _about_separator(row) or (_ABOUT_WORDS if cell else "")
        raise ValueError(_describe_cell(path, line, column, header, repr(cell)) + hint) from None
    if not np.isfinite(numbers).all():
        column = int(np.argmin(np.isfinite(numbers)))
        raise ValueError(_describe_cell(path, line, column, header, str(numbers[column])))
    return numbers


def _describe_cell(path: Path, line: int, column: int, header: list[str] | None, found: str) -> str:
    name = f" ({header[column]})" if header else ""
    return (
        f"{path}, line {line}, column {column + 1}{name}, holds {found}; expected a finite number. "
        "Fill in, convert or remove that value."
    )


def _about_separator(row: list[str]) -> str:
    found = next((name for sign, name in _OTHER_SEPARATORS.items() if any(sign in cell for cell in row)), None)
    return "" if found is None else f" The values seem to be separated by {found}; put commas between them."


def _about_quotes(row: list[str]) -> str:
    return " A quote before it seems to have no end." if any("\n" in cell for cell in row) else ""


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> float:
    if "_" in cell:  # Which Python takes for a separator of digits.
        raise ValueError(cell)
    return float(cell)
