"""What the ops need in memory is their outputs, no more."""

import pytest
import tensorflow as tf

import tfvae
from benchmarks import _cases, _report, _rivals_log_ratio, _rivals_tensorflow, peak_memory

needs_compiled_op = pytest.mark.skipif(
    tfvae.build_info()["problem"] is not None, reason="the promise is the compiled op's; stock ops keep intermediates"
)

SLACK = 2**20  # Stacks, traces and allocator headers; a single tensor of the case is 64 MB.


@needs_compiled_op
@pytest.mark.parametrize("which", ["forward", "backward", "both"])
def test_compiled_op_needs_no_memory_but_its_outputs(which, returned_memory):
    inputs = _cases.make_inputs(_cases.Case(4096, 4096, "float32"))
    call = _rivals_tensorflow.GraphRival(_rivals_tensorflow.native, compiled=True).build(inputs, which, 1)
    outputs, peak = peak_memory.peak_extra(call)
    arrays = {"forward": 1, "backward": 2, "both": 3}[which]
    assert outputs >= arrays * 4 * 4096**2
    assert outputs - SLACK <= peak <= outputs + SLACK


@needs_compiled_op
@pytest.mark.parametrize("which", ["forward", "backward"])
def test_compiled_draws_need_no_memory_but_their_outputs(which, returned_memory):
    inputs = _cases.make_inputs(_cases.DrawsCase(1024, 512, "float32"))
    rival = _rivals_tensorflow.GraphRival(_rivals_log_ratio.native(50), compiled=True)
    outputs, peak = peak_memory.peak_extra(rival.build(inputs, which, 1))
    assert peak <= outputs + SLACK


@needs_compiled_op
@pytest.mark.parametrize("which", ["forward", "gradient"])
def test_compiled_op_writes_into_inputs_that_nothing_else_needs(which, returned_memory):
    x, dkl = tf.zeros([4096, 4096]), tf.ones([4096])

    @tf.function(autograph=False)
    def forward():
        return tfvae.ops.reparameterize_kl(x + 1.0, x + 2.0, seed=[3, -5])

    @tf.function(autograph=False)
    def gradient():
        op = tfvae._native.load().tfvae_reparameterize_kl_grad
        return op(x + 1.0, x + 2.0, [3, -5], x + 3.0, dkl, [], per_dimension=False)

    _, peak = peak_memory.peak_extra({"forward": forward, "gradient": gradient}[which])
    # Two, or three, intermediate results, and nothing for z or for the two gradients.
    intermediates = {"forward": 2, "gradient": 3}[which] * 4 * 4096**2
    assert abs(peak - intermediates) < SLACK


def test_intermediates_are_seen(returned_memory):
    """The measurement itself: stock ops need several times their outputs."""
    inputs = _cases.make_inputs(_cases.Case(4096, 4096, "float32"))
    outputs, peak = peak_memory.peak_extra(
        _rivals_tensorflow.GraphRival(_rivals_tensorflow.stock).build(inputs, "forward", 1)
    )
    assert peak > 2 * outputs


def test_peak_memory_writes_its_rows(tmp_path, returned_memory):
    path = tmp_path / "peak_memory.csv"
    assert peak_memory.main(["--shape", "16x8", "--rivals", "stock", "--output", str(path)]) == 0
    rows = _report.read_csv(path)
    assert [(row["pass"], row["rival"]) for row in rows] == [(w, "stock") for w in ("forward", "backward", "both")]
    path.write_text("date\n")
    assert peak_memory.main(["--output", str(path)]) == 2


def test_a_process_that_keeps_freed_memory_is_not_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peak_memory, "returns_memory", lambda: False)
    path = tmp_path / "peak_memory.csv"
    assert peak_memory.main(["--output", str(path)]) == 2
    assert "set TF_ENABLE_ONEDNN_OPTS=0" in capsys.readouterr().err
    assert not path.exists()
