"""What is made for machines with a GPU says so where there is none. That it works there, no CI machine can tell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks import _gpu, gpu_reparameterize_kl, gpu_sanitize

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def no_gpu():
    try:
        _gpu.driver()
    except _gpu.NoGpu as reason:
        return str(reason)
    pytest.skip("what is said without a GPU cannot be seen: there is one")


@pytest.mark.parametrize("command", [lambda: gpu_reparameterize_kl.main([]), gpu_sanitize.main])
def test_commands_need_a_gpu_and_say_so(no_gpu, command, capsys):
    assert command() == 2
    assert f"needs a GPU: {no_gpu}" in capsys.readouterr().err


def test_the_script_is_sound_as_far_as_bash_can_tell():
    script = ROOT / "benchmarks" / "run_gpu.sh"
    done = subprocess.run([shutil.which("bash"), "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = script.read_text(encoding="utf-8")
    for module in ("gpu_sanitize", "gpu_reparameterize_kl"):
        assert f"-m benchmarks.{module}" in text
        assert (ROOT / "benchmarks" / f"{module}.py").is_file()


def test_bfloat16_is_rounded_to_nearest_even():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    import numpy as np

    values = np.random.default_rng(5).normal(size=10_000).astype(np.float32)
    bits = _gpu.bits_of_values(values, "bfloat16")
    np.testing.assert_array_equal(bits, values.astype(ml_dtypes.bfloat16).view(np.uint16))
    found = _gpu.values_of_bits(bits, "bfloat16")
    np.testing.assert_array_equal(found, values.astype(ml_dtypes.bfloat16).astype(np.float32))
