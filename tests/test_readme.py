"""The README: its example runs, its commands are those of CI, its links lead somewhere, its messages exist."""

import re
from pathlib import Path

import pytest

from tfvae.cli import _parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Of other packages, so not found in this one's sources.
FOREIGN = ("TensorFlow:", "Keras:")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_python_blocks_run():
    names = {}
    for block in blocks("python"):
        exec(block, names)
    assert names["new_digits"].shape == names["same_digits"].shape == (16, 64)
    assert names["vae"].elbo(names["x"]).shape == (1797,)
    # From 64 ln 2 = 44 nats below 0 untrained; 5 epochs end near -23.
    assert names["vae"].history.history["val_elbo"][-1] > -28
    assert names["z"].shape == (None, 2)


def test_example_is_short():
    """Fifteen lines, without the imports and the blank ones."""
    lines = [line for line in blocks("python")[0].splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 15


def steps(command):
    """The words of a README command, step by step, without the virtual environment's folder."""
    return [step.removeprefix(".venv/bin/") for step in command.strip().split(" && ")]


def ci_commands():
    """The commands of .ci/run in the same form, without the options that only quieten or speed up."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    script = re.sub(r'^(?:PATH=\S+ )?"\$bin/(\w+)"', r"\1", script, flags=re.MULTILINE)
    script = script.replace('"$work/venv"', ".venv")
    return [re.sub(r" (-q|-n \d+|--dist \w+|--durations=\d+)(?= |$)", "", line) for line in script.splitlines()]


def test_commands_are_those_of_ci():
    main, tests = (steps(command) for command in blocks("sh"))
    assert tests == ["python3 -m venv .venv", 'pip install -e ".[dev]"', "pytest"]
    assert [step for step in ci_commands() if step in tests][:3] == tests
    assert main[:2] == ["python3 -m venv .venv", "pip install ."]
    command, *words = main[2].split()
    assert command == "tfvae"
    parsed = _parser.build().parse_args(words)
    assert (parsed.data, parsed.output) == ("digits", "runs/digits")


def prose(path):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """The names of a page's headings in links: lower case, without punctuation, blanks as hyphens."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_exist(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(ROOT / page))
    for link in links:
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = (ROOT / page).parent / name if name else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_items_of_lists_begin_lines(page):
    assert not re.findall(r"^.*\S - \*\*.*$", prose(ROOT / page), flags=re.MULTILINE)


def sources():
    """All messages of Python and C++, their pieces joined."""
    paths = [ROOT / "setup.py", *(ROOT / "tfvae").rglob("*.py"), *(ROOT / "csrc").rglob("*.cc")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_messages_of_the_troubleshooting_table_exist():
    table = README.split("## If something goes wrong")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| .*\|$", table, flags=re.MULTILINE)[1:]
    own = [re.fullmatch(r"`(.*)`", row).group(1) for row in rows if not row.startswith(FOREIGN)]
    assert len(own) >= 10
    text = sources()
    # What the message fills in is not in the source.
    fillings = {"values that are 0 or 1": "values that are {self.support}"}
    assert [words for words in own if fillings.get(words, words) not in text] == []
