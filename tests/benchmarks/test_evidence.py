"""The benchmark of the importance-weighted estimate runs, and its rival estimates the same."""

import numpy as np
import pytest

import tfvae
from benchmarks import _report, evidence

VARIANTS = (
    ["native", "reference", "stock", "stock_draws"]
    if tfvae.build_info()["problem"] is None
    else ["reference", "stock", "stock_draws"]
)


def test_every_variant_has_a_row(tmp_path):
    path = tmp_path / "evidence.csv"
    assert evidence.main(["--quick", "--models", "sampling", "--output", str(path)]) == 0
    rows = _report.read_csv(path)
    assert list(rows[0]) == list(evidence.COLUMNS)
    assert [row["variant"] for row in rows] == VARIANTS
    for row in rows:
        draws = int(row["examples"]) * int(row["num_samples"])
        assert float(row["ns_per_draw"]) == pytest.approx(1e9 * float(row["median_s"]) / draws, rel=1e-4)
    path.write_text("date\n")
    assert evidence.main(["--quick", "--output", str(path)]) == 2


def test_rival_estimates_the_same():
    # Means over 40 digits by 64 samples, from other noise. Of the untrained model with 8 dimensions the estimates have
    # an error of at most 0.3 nats each, and so a difference of means one of 0.07: five of those.
    means = [np.mean(evidence.call_of("decoder", variant, 40, 64)()) for variant in VARIANTS[:-1]]
    assert abs(means[0] - means[-1]) < 0.35
    assert abs(means[0] - means[-2]) < 1e-3  # the same noise
