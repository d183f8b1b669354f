"""The benchmarks of several draws and of latent sizes measure what they say."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from benchmarks import (
    _cases,
    _report,
    _rivals_log_ratio,
    _rivals_tensorflow,
    _timing,
    latent_sizes,
    reparameterize_log_ratio,
)

BUILT = tfvae.build_info()["problem"] is None
IN_XLA = {"native_xla"} if tfvae.build_info()["problem_inside_xla"] is None else set()
COMPILED = {"native"} if BUILT else set()


def test_every_pass_and_rival_has_a_row(tmp_path):
    path = tmp_path / "reparameterize_log_ratio.csv"
    options = ["--quick", "--shapes", "6x4", "--dtypes", "float32", "--output", str(path)]
    assert reparameterize_log_ratio.BENCH.main(options) == 0
    rows = _report.read_csv(path)
    rivals = {"reference", "stock", "tfp", "empty"} | COMPILED
    for which in ("forward", "backward", "both"):
        found = {(row["rival"], row["per"]) for row in rows if row["pass"] == which}
        chained = {(rival, "op") for rival in rivals} if which != "both" else set()
        assert found == {(rival, "call") for rival in {*rivals, *IN_XLA, "xla"}} | chained
    assert {row["shape"] for row in rows} == {"50x6x4"}
    # 24 elements of each parameter and of its gradient, 1200 of z, 300 ratios, in float32.
    sizes = {row["pass"]: int(row["bytes"]) for row in rows}
    forward, backward = 4 * (2 * 24 + 1200 + 300), 4 * (4 * 24 + 1200 + 300)
    assert sizes == {"forward": forward, "backward": backward, "both": forward + backward}


RIVALS = ["reference", "stock", "probability", *COMPILED]


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_compute_the_same(name):
    inputs = _cases.make_inputs(_cases.DrawsCase(5, 3, "float32"))
    rival = _rivals_tensorflow.GraphRival(getattr(_rivals_log_ratio, name)(50))
    got_z, got_log_ratio = rival.build(inputs, "forward", 1)()
    got_dmean, got_dlog_var = rival.build(inputs, "backward", 1)()
    eps = tf.random.stateless_normal([50, 5, 3], [2013, 1312], alg="philox").numpy().astype("float64")
    std = np.exp(inputs.log_var / 2.0)
    if name == "probability":  # Makes its own of the seed; any draws do to compare with.
        eps = (got_z.numpy() - inputs.mean) / std
    z = inputs.mean + std * eps
    dlog_ratio = inputs.dkl[..., np.newaxis]
    through_z = inputs.dz + dlog_ratio * z
    # Float32 all the way, in sums of 3 and of 50 terms of order 1 that cancel in part.
    close = {"rtol": 1e-5, "atol": 5e-5}
    np.testing.assert_allclose(got_z, z, **close)
    np.testing.assert_allclose(got_log_ratio, 0.5 * np.sum(z**2 - eps**2 - inputs.log_var, axis=-1), **close)
    np.testing.assert_allclose(got_dmean, np.sum(through_z, axis=0), **close)
    dlog_var = 0.5 * np.sum(through_z * std * eps - dlog_ratio, axis=0)
    np.testing.assert_allclose(got_dlog_var, dlog_var, **close)


def test_chained_gradients_all_run():
    inputs = _cases.make_inputs(_cases.DrawsCase(5, 3, "float32"))
    rival = _rivals_tensorflow.GraphRival(_rivals_log_ratio.stock(50))
    _, single = rival.build(inputs, "backward", 1)()
    dmean, first_elements = rival.build(inputs, "backward", 3)()
    assert dmean.shape == [5, 3]
    np.testing.assert_allclose(first_elements, 3 * single[0, 0], rtol=1e-6)


@pytest.mark.skipif(not BUILT, reason="times the compiled kernels by themselves, and there are none")
def test_sizes_are_compared_with_their_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr(latent_sizes, "EFFORT", _timing.QUICK)
    path = tmp_path / "latent_sizes.csv"
    assert latent_sizes.main(["--sizes", "2", "3", "5", "--output", str(path)]) == 0
    rows = [row for row in _report.read_csv(path) if row["pass"] == "forward"]
    assert [(row["latent"], row["rows"]) for row in rows] == [("2", "32768"), ("3", "21845"), ("5", "13107")]
    times = [float(row["ns_per_element"]) for row in rows]
    assert float(rows[0]["over_neighbour"]) == pytest.approx(times[0] / times[1], rel=1e-4)
    assert rows[2]["over_neighbour"] == ""
