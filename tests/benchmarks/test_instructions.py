"""The counts of instructions count, and fail where a kernel takes more of them."""

import json
import subprocess
import sys

import pytest

from benchmarks import _single_steps, instructions


def stepped(script, first):
    """Count in a process of its own, because this one has threads, which must not fork."""
    code = (
        "import json, sys; from benchmarks._single_steps import *\n"
        "try: print(json.dumps(between_marks(sys.argv[2:], int(sys.argv[1]))))\n"
        "except NotSteppedError as error: print(json.dumps(str(error)))"
    )
    command = [sys.executable, "-c", code, str(first), "/bin/sh", "-c", script]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_single_steps_are_counted_from_one_mark_to_the_next():
    """Every further line of a script takes as many; a twentieth for what the shell does now and then."""
    mark = "kill -URG $$\n"
    script = mark + "".join(":\n" * lines + mark for lines in (5, 10, 15)) + "echo done"
    counts = [stepped(script, first) for first in range(3)]
    if "ptrace" in counts[0]:
        pytest.skip(counts[0])
    (five, said), (ten, _), (fifteen, _) = counts
    assert said == "done\n"
    assert five > 100
    assert fifteen - ten == pytest.approx(ten - five, rel=0.05)
    assert "ended before its second mark" in stepped(script, 3)


@pytest.mark.parametrize("first", [0, 1])
def test_a_program_that_fails_tells_why(first):
    assert stepped("kill -URG $$; echo no such kernel >&2; exit 3", first) in (
        "no such kernel",
        "the system does not let programs be traced (ptrace).",
    )


def test_more_instructions_than_recorded_fail(tmp_path, monkeypatch, capsys):
    key, other = ("avx2", "forward", "float32"), ("baseline", "forward", "float32")
    recorded = {key: 20.0, other: 40.0}
    assert instructions.changes({key: 21.9, other: 36.1}, recorded) == []
    fewer, more = instructions.changes({other: 35.0, key: 22.1}, recorded)
    assert "12 % fewer than the recorded 40.00" in fewer
    assert "10 % more than the recorded 20.00" in more
    assert "more than is recorded, nothing" in instructions.changes({("avx2", "new", "float32"): 1.0}, recorded)[0]
    # The command itself, on counts that need no valgrind.
    monkeypatch.setattr(instructions, "RECORD", tmp_path / "instructions.csv")
    monkeypatch.setattr(instructions.shutil, "which", lambda name: "/usr/bin/" + name)
    binary = tmp_path / "tfvae_count"
    binary.touch()
    for count, options, code in (
        (10.0, "--record", 0),
        (11.5, "--check", 1),
        (10.5, "--check", 0),
        (5.0, "--check", 0),
    ):
        monkeypatch.setattr(instructions, "per_element", lambda *_, count=count: count)
        assert instructions.main([str(binary), options]) == code
    assert "50 % fewer" in capsys.readouterr().out
    assert instructions.main([str(tmp_path / "missing")]) == 2


def test_what_cannot_be_counted_keeps_its_record(tmp_path, monkeypatch, capsys):
    def count(_binary, isa, _which, _dtype):
        if isa.startswith("avx512") and not everywhere:
            raise _single_steps.NotSteppedError(f"no instruction set {isa} here")
        return 10.0 if everywhere else 10.5

    monkeypatch.setattr(instructions, "RECORD", tmp_path / "instructions.csv")
    monkeypatch.setattr(instructions.shutil, "which", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(instructions, "per_element", count)
    everywhere = True
    assert instructions.main([__file__, "--record"]) == 0
    everywhere = False
    assert instructions.main([__file__, "--record"]) == 0
    assert "avx512 is not counted: no instruction set avx512 here" in capsys.readouterr().out
    recorded = instructions.read(instructions.RECORD)
    assert recorded["avx512", "forward", "float32"] == 10.0
    assert recorded["avx2", "forward", "float32"] == 10.5
    assert instructions.main([__file__, "--check"]) == 0


def test_every_pass_has_a_recorded_count():
    recorded = instructions.read(instructions.RECORD)
    expected = {(i, p, d) for i, dtypes in instructions.ISAS.items() for p in instructions.PASSES for d in dtypes}
    assert set(recorded) == expected
