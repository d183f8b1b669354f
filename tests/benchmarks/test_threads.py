"""The benchmark of the kernels by number of threads measures what it says, without TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest

import tfvae
from benchmarks import _cases, _machine, _report, _rivals_numpy, threads

pytestmark = pytest.mark.skipif(
    tfvae.build_info()["problem"] is not None, reason="times the compiled kernels, and there are none"
)


def test_every_count_of_threads_is_compared_with_one_and_with_the_faster_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "keep_memory", lambda: None)  # It would last for the tests behind this one.
    monkeypatch.setattr(_machine, "threads", lambda: 3)
    path = tmp_path / "threads.csv"
    assert threads.main(["--quick", "--output", str(path)]) == 0
    rows = _report.read_csv(path)
    kinds = {(row["pass"], row["rival"], row["threads"]) for row in rows}
    rivals = ("native", "stream", "stream_around")
    assert kinds == {(which, rival, n) for which in threads.PASSES for rival in rivals for n in "123"}
    times = {(row["pass"], row["rival"], row["threads"]): float(row["median_us"]) for row in rows}
    for row in rows:
        which, n = row["pass"], row["threads"]
        own, one = times[which, row["rival"], n], times[which, row["rival"], "1"]
        loop = min(times[which, "stream", n], times[which, "stream_around", n])
        assert float(row["speedup"]) == pytest.approx(one / own, rel=1e-4)
        assert float(row["over_stream"]) == pytest.approx(own / loop, rel=1e-4)
        elements, arrays = 32 * 64, {"forward": 3, "backward": 5}[which]
        assert float(row["ns_per_element_core"]) == pytest.approx(1e3 * own * int(n) / elements, rel=1e-4)
        assert float(row["gb_per_second"]) == pytest.approx((4 * arrays * elements + 4 * 32) / own / 1e3, rel=1e-4)


def test_the_loop_moves_every_array():
    inputs = _cases.make_inputs(_cases.Case(4, 8, "float32"))
    _rivals_numpy.build_stream(inputs, "backward", 1, around_caches=True, threads=2)()
    bits = [array.view(np.uint32) for array in (inputs.mean, inputs.log_var, inputs.dz)]
    for target in inputs.memo["stream"]:
        np.testing.assert_array_equal(target.view(np.uint32), bits[0] ^ bits[1] ^ bits[2])


def test_tensorflow_is_not_imported():
    code = (
        "import sys; from benchmarks import _machine, threads; _machine.kernels(); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_machine.ROOT)
    assert done.stdout == "False\n"
