"""Thousands of random calls of the raw ops: each gives an answer or a Python error, none ends the process."""

import json
from pathlib import Path

CALLS = 10_000
SCRIPT = Path(__file__).with_name("_fuzz_calls.py")


def test_fuzzed_calls_req_16(run_python, tmp_path):
    """Rank 0 to 6, sizes 0 to 9 and huge, every op, dtype and attribute, with a prior and without."""
    log = tmp_path / "last_call.txt"
    arguments = ["1", str(CALLS), str(log)]
    code = f"import runpy, sys; sys.argv[1:] = {arguments}; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    # oneDNN's allocator would wait ten seconds for memory before it refuses each huge tensor.
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    try:
        done = run_python(code, env=env)
    except AssertionError as error:
        raise AssertionError(f"{log.read_text()}\n{error}") from None
    assert done.returncode == 0, log.read_text() + done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert sum(counts.values()) == CALLS
    # Neither side may be empty, or the test has stopped testing.
    assert min(counts.values()) > CALLS / 5
