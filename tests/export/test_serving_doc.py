"""Every code block of docs/serving.md runs: those that need tfvae here, the others where it cannot be imported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tfvae

DOC = Path(__file__).resolve().parents[2] / "docs" / "serving.md"
WITH_TFVAE = ["Export", "The compiled op"]
WITHOUT_TFVAE = ["Load in plain TensorFlow", "TensorFlow Lite", "TensorFlow Serving"]

SERVE = """
import json
for request in map(json.loads, {requests!r}):
    signature = model.signatures[request["signature_name"]]
    takes = signature.structured_input_signature[1]
    signature(**{{name: tf.constant(value, takes[name].dtype) for name, value in request["inputs"].items()}})
    print("served", request["signature_name"])
"""


def blocks(kind: str) -> dict[str, list[str]]:
    sections = re.split(r"^## (.*)\n", DOC.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {
        title: re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        for title, text in zip(sections[::2], sections[1::2], strict=True)
    }
    return {title: code for title, code in found.items() if code}


def test_every_block_is_run():
    assert set(blocks("python")) | set(blocks("json")) == {*WITH_TFVAE, *WITHOUT_TFVAE}
    opening = DOC.read_text(encoding="utf-8").count("```") // 2
    assert sum(map(len, [*blocks("python").values(), *blocks("json").values()])) == opening


def test_blocks_run(tmp_path, monkeypatch, run_without_tfvae):
    python, json = blocks("python"), blocks("json")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec("".join(python["Export"]), names)
    with tfvae.use_backend("auto"):
        if tfvae.build_info()["problem"] is None:
            exec("".join(python["The compiled op"]), names)
    code = "".join(block for title in WITHOUT_TFVAE for block in python.get(title, []))
    requests = [request for title in WITHOUT_TFVAE for request in json.get(title, [])]
    here = f"import os\nos.chdir({str(tmp_path)!r})\n"
    printed = run_without_tfvae(here + code + SERVE.format(requests=requests))
    assert printed.split("\n")[:7] == [
        "(5, 2) (5, 2)",
        "(5, 8)",
        "(16, 8)",
        "(5,)",
        "(5, 8)",
        "(3, 2)",
        "served sample",
    ]


@pytest.mark.parametrize("words", ["A SavedModel is a program", "trust", "Op type not registered"])
def test_the_page_says_what_it_must_req_48_49(words):
    assert words in DOC.read_text(encoding="utf-8")
