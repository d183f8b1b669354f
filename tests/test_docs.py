"""Every Python block of the pages in docs/ runs, page by page, and the files they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Run by tests/export/test_serving_doc.py, in part where tfvae cannot be imported.
ELSEWHERE = {"serving.md"}
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
FILES = ["README.md", "CONTRIBUTING.md", *(f"docs/{page}" for page in PAGES)]


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_there_are_pages():
    assert {"design.md", "numerics.md", "randomness.md", "adding_an_op.md", "evidence.md", *ELSEWHERE} <= set(PAGES)


@pytest.mark.parametrize("page", sorted(set(PAGES) - ELSEWHERE))
def test_python_blocks_run(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    names = {"__name__": page}
    for block in blocks(text):
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("file", FILES)
def test_no_block_is_missed(file):
    """A block that is not fenced by lines of its own, or in an unknown language, would be run by no test."""
    fences = re.findall(r"^ *```.*$", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(fences[0::2]) <= {"```python", "```sh", "```json", "```text"}
    assert set(fences[1::2]) <= {"```"}
    assert len(fences) % 2 == 0


@pytest.mark.parametrize("file", FILES)
def test_files_named_exist(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    named = re.findall(r"`((?:csrc|tfvae|tests|benchmarks|docs|examples|\.ci)/[\w./-]+)`", text)
    # tfvae/_lib is made by a build, where there is a compiler.
    assert [name for name in named if name.rstrip("/") != "tfvae/_lib" and not (ROOT / name).exists()] == []


def test_error_bounds_told_are_those_tested():
    tested = (ROOT / "tests" / "ops" / "test_elementary.py").read_text(encoding="utf-8")
    table = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8").split("| function | bound | found |")[1]
    rows = re.findall(r"^\| `.*?\| (.*?) \| .*\|$", table.split("\n\n")[0], flags=re.MULTILINE)
    bounds = {bound for row in rows for bound in re.findall(r"(?:^|; )(\d+\.\d+)", row)}
    assert len(rows) == 6
    assert bounds == set(re.findall(r"<= (\d+\.\d+)", tested))
