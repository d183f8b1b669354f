"""The benchmarks run, write the rows they promise, and measure what they say they measure."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from benchmarks import (
    _bars,
    _cases,
    _machine,
    _op_bench,
    _report,
    _rivals_tensorflow,
    _timing,
    plot_roofline,
    reparameterize_kl,
    train_step,
)

ROOT = Path(__file__).resolve().parents[2]
BUILT = tfvae.build_info()["problem"] is None
IN_XLA = tfvae.build_info()["problem_inside_xla"] is None
STREAMS = ["stream", "stream_around", "stream_fresh"]
COMPILED = {"native", *STREAMS} if BUILT else set()


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmarks") / "reparameterize_kl.csv"
    rivals = ["native", "native_xla", "reference", "stock", "tfp", "xla", *STREAMS, "empty"]
    options = ["--quick", "--shapes", "6x4", "--dtypes", "float32", "--output", str(path), "--rivals", *rivals]
    assert reparameterize_kl.BENCH.main(options) == 0
    return path


def test_every_pass_and_rival_has_a_row(measured):
    rows = read(measured)
    assert list(rows[0]) == list(_op_bench.COLUMNS)
    chained = {"reference", "stock", "tfp", "empty"} | (COMPILED & {"native"})
    single = chained | COMPILED | {"xla"} | ({"native_xla"} if IN_XLA else set())
    for which in ("forward", "backward", "both"):
        found = {(row["rival"], row["per"]) for row in rows if row["pass"] == which}
        expected = {(rival, "call") for rival in single}
        assert found == expected | ({(rival, "op") for rival in chained} if which != "both" else set())
    assert len({row["date"] for row in rows}) == 1
    assert all(row[name] for row in rows for name in _machine.COLUMNS)
    assert all(float(row["lower_quartile_us"]) <= float(row["median_us"]) for row in rows)


def test_ratios_are_to_rivals_of_the_same_measurement(measured):
    rows = read(measured)
    times = {(row["pass"], row["per"], row["rival"]): float(row["median_us"]) for row in rows}
    for row in rows:
        for other in ("native", "stream", "stream_fresh"):
            base = times.get((row["pass"], row["per"], other))
            if base is None:
                assert row[f"over_{other}"] == ""
            else:
                # The CSV holds six significant digits.
                assert float(row[f"over_{other}"]) == pytest.approx(float(row["median_us"]) / base, rel=1e-4)
        assert float(row["ns_per_element"]) == pytest.approx(float(row["median_us"]) * 1e3 / 24, rel=1e-4)


def test_bytes_moved_are_counted_by_hand(measured):
    # 24 elements in 6 rows of float32: forward 3 arrays and kl, backward 5 arrays and dkl.
    expected = {"forward": 4 * (3 * 24 + 6), "backward": 4 * (5 * 24 + 6), "both": 4 * (8 * 24 + 12)}
    assert {row["pass"]: int(row["bytes"]) for row in read(measured)} == expected
    assert _cases.Case(6, 4, "bfloat16").bytes_moved("forward") == 2 * 3 * 24 + 4 * 6
    assert _cases.Case(6, 4, "float64").bytes_moved("forward") == 8 * (3 * 24 + 6)


def test_rows_are_appended_under_one_header_and_other_columns_are_refused(measured, tmp_path, capsys):
    path = tmp_path / "copy.csv"
    path.write_bytes(measured.read_bytes())
    rows = read(path)
    _report.append_csv(path, _op_bench.COLUMNS, rows[:2])
    assert read(path) == rows + rows[:2]
    path.write_text("date,time\n")
    assert reparameterize_kl.BENCH.main(["--quick", "--output", str(path)]) == 2
    assert "has the columns date,time, not date,commit" in capsys.readouterr().err
    assert path.read_text() == "date,time\n"


def test_roofline_is_drawn_from_the_rows(measured, tmp_path):
    image = tmp_path / "roofline.png"
    assert plot_roofline.main(["--input", str(measured), "--output", str(image)]) == 0
    assert image.read_bytes().startswith(b"\x89PNG")
    rows = plot_roofline.last_run([*read(measured), {**read(measured)[0], "date": "1999"}], "float32")
    runs = [
        {"dtype": "float32", "date": date, "shape": shape} for date, shape in (("1", "2x2"), ("1", "3x3"), ("2", "2x2"))
    ]
    assert {row["date"] for row in plot_roofline.last_run(runs, "float32")} == {"1"}
    assert {row["date"] for row in plot_roofline.last_run(runs[1:], "float32")} == {"2"}
    assert rows == read(measured)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_tensorflow_rivals_compute_the_same(dtype):
    inputs = _cases.make_inputs(_cases.Case(5, 3, dtype))
    wide = "float64" if dtype == "float64" else "float32"
    eps = tf.random.stateless_normal([5, 3], [2013, 1312], dtype=wide, alg="philox").numpy().astype("float64")
    mean, log_var, dz = (array.astype("float64") for array in (inputs.mean, inputs.log_var, inputs.dz))
    z = mean + np.exp(log_var / 2) * eps
    kl = 0.5 * np.sum(mean**2 + np.expm1(log_var) - log_var, axis=-1)
    dkl = inputs.dkl[:, np.newaxis]
    dmean = dz + dkl * mean
    dlog_var = 0.5 * (dz * np.exp(log_var / 2) * eps + dkl * np.expm1(log_var))
    # Half-precision rivals round at every step (8 bits in bfloat16, 11 in float16), and so are their seeds' normals.
    tolerance = {"float32": 1e-5, "float64": 1e-10, "float16": 2e-2, "bfloat16": 0.2}[dtype]
    rivals = [_rivals_tensorflow.reference, _rivals_tensorflow.stock]
    for forward in rivals + ([_rivals_tensorflow.native] if BUILT else []):
        rival = _rivals_tensorflow.GraphRival(forward)
        got_z, got_kl = rival.build(inputs, "forward", 1)()
        got_dmean, got_dlog_var = rival.build(inputs, "backward", 1)()
        pairs = [(got_z, z), (got_kl, kl), (got_dmean, dmean), (got_dlog_var, dlog_var)]
        for got, expected in pairs:
            np.testing.assert_allclose(got.numpy().astype("float64"), expected, rtol=tolerance, atol=tolerance)
        from_inputs = _rivals_tensorflow.GradientFromInputs(forward)
        for got, expected in zip(from_inputs.build(inputs, "backward", 1)(), (dmean, dlog_var), strict=True):
            np.testing.assert_allclose(got.numpy().astype("float64"), expected, rtol=tolerance, atol=tolerance)
        with pytest.raises(_cases.Unavailable, match="gradient alone"):
            from_inputs.build(inputs, "both", 1)


def test_backward_alone_takes_what_forward_kept_as_input():
    tensors = _rivals_tensorflow._tensors(_cases.make_inputs(_cases.Case(5, 3, "float32")))
    gradient = _rivals_tensorflow.Gradient(_rivals_tensorflow.stock, tensors)
    # With zeros for the mean, eps and both exponentials, only dz and -dkl / 2 are left: nothing is computed again.
    dmean, dlog_var = gradient(tensors["dz"], gradient.dkl, tuple(tf.zeros_like(kept) for kept in gradient.kept))
    np.testing.assert_array_equal(dmean, tensors["dz"])
    np.testing.assert_array_equal(dlog_var, np.repeat(-0.5 * gradient.dkl.numpy()[:, np.newaxis], 3, axis=1))


def test_chain_runs_every_op():
    inputs = _cases.make_inputs(_cases.Case(5, 3, "float32"))
    z, first_kls = _rivals_tensorflow.GraphRival(_rivals_tensorflow.stock).build(inputs, "forward", 3)()
    expected, kls = inputs.mean, 0.0
    for i in range(3):
        expected, kl = _rivals_tensorflow.stock(expected, inputs.log_var, tf.constant([2013 + i, 1312]))
        kls += kl[0]
    np.testing.assert_allclose(first_kls, kls, rtol=1e-5)  # Grappler may reorder float32 arithmetic.
    np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-6)


def test_rounds_are_interleaved_and_rotate():
    order = []

    def call(name):
        return lambda: (order.append(name), time.sleep(0.003))  # Longer than a sample, so called once in each.

    calls = {name: call(name) for name in "abc"}
    samples = _timing.measure(calls, _timing.Effort(seconds=0.0, rounds=4))
    assert {name: len(times) for name, times in samples.items()} == {"a": 4, "b": 4, "c": 4}
    assert "".join(order[-12:]) == "abcbcacababc"
    assert all(seconds >= 0.003 for times in samples.values() for seconds in times)


def test_time_per_op_is_what_one_more_op_in_a_call_takes():
    samples = {("native", 1): [10.0, 11.0, 12.0], ("native", 5): [18.0, 19.0, 20.0]}
    timings = _op_bench._per_call_and_op(samples)
    assert timings["call"]["native"].median == 11.0
    assert timings["op"]["native"].median == 2.0


@pytest.mark.parametrize("isa", ["avx512", "avx512_bf16"])
def test_bars_are_judged(isa):
    row = {"pass": "forward", "shape": "4096x1024", "dtype": "float32", "per": "call", "isa": isa}
    bars = _bars.REPARAMETERIZE_KL
    native = {**row, "rival": "native", "median_us": 10.0, "over_native": 1.0}

    def reached(stock_us):
        lines = _bars.table(
            [native, {**row, "rival": "stock", "median_us": stock_us, "over_native": stock_us / 10}], bars
        )
        return [line.split()[-1] for line in lines.splitlines()[1:] if "stock" in line]

    assert (reached(200.0), reached(120.0), reached(50.0)) == (["aim"], ["must"], ["below"])
    assert _bars.table([native], bars) == ""


@pytest.mark.skipif(not BUILT, reason="measures the compiled op in two dtypes, and there is none")
def test_half_precision_is_compared_to_float32_in_the_same_rounds():
    case = _cases.Case(6, 4, "bfloat16")
    rows = reparameterize_kl.BENCH.measure([case], ["forward"], ["native", "native_float32"], _timing.QUICK, list)
    times = {(row["rival"], row["per"]): row["median_us"] for row in rows}
    wide = [row for row in rows if row["rival"] == "native_float32"]
    assert {row["bytes"] for row in wide} == {4 * (3 * 24 + 6)}
    for row in wide:
        assert row["over_native"] == pytest.approx(row["median_us"] / times["native", row["per"]])
    assert _bars.bfloat16_gain("6x4")(rows) == min(row["over_native"] for row in wide)


def test_train_step_trains_each_variant_on_its_backend(tmp_path, monkeypatch):
    path, fused, step = tmp_path / "train_step.csv", {}, train_step._step
    kernel, traced = tfvae.ops._kernels.reparameterize_kl, []
    monkeypatch.setattr(tfvae.ops._kernels, "reparameterize_kl", lambda *args: traced.append(1) or kernel(*args))

    def counting(model, variant):
        traced.clear()
        result = step(model, variant)
        fused[variant] = bool(traced)
        return result

    monkeypatch.setattr(train_step, "_step", counting)
    assert train_step.main(["--quick", "--models", "mlp", "--output", str(path)]) == 0
    assert fused == {"reference": False, "keras": False} | ({"native": True} if BUILT else {})
    rows = read(path)
    assert list(rows[0]) == list(train_step.COLUMNS)
    assert [row["variant"] for row in rows] == (["native"] if BUILT else []) + ["reference", "keras"]
    assert len({row["weights"] for row in rows}) == 1
    for row in rows:
        assert float(row["steps_per_second"]) == pytest.approx(1e3 / float(row["median_ms"]), rel=1e-4)
        ratio = float(row["median_ms"]) / float(rows[0]["median_ms"])
        assert not BUILT or float(row["over_native"]) == pytest.approx(ratio, rel=1e-4)


def test_threads_are_the_processors_of_the_process(tmp_path):
    path = tmp_path / "rows.csv"
    command = [sys.executable, "-m", "benchmarks.reparameterize_kl", "--quick", "--output", str(path)]
    options = ("--threads", "1", "--passes", "forward", "--dtypes", "float32", "--rivals", "empty")
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {row["threads"] for row in read(path)} == {"1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "0"], "threads must be from 1 to"),
        (["--shapes", "12"], "written ROWSxLATENT"),
        (["--rivals", "numpy"], "invalid choice"),
    ],
)
def test_bad_arguments_are_refused(options, message, capsys):
    try:
        code = reparameterize_kl.BENCH.main(["--quick", *options])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_rows_say_where_onednn_was_not_left_to_choose(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert "ONEDNN" not in _machine.describe()["versions"]
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert _machine.describe()["versions"].endswith(" TF_ENABLE_ONEDNN_OPTS=1")
