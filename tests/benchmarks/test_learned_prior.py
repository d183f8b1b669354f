"""The benchmark of learned priors measures what it says."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from benchmarks import _report, learned_prior

if tfvae.build_info()["problem"] is None:

    def test_every_pass_prior_and_rival_has_a_row(tmp_path):
        path = tmp_path / "learned_prior.csv"
        assert learned_prior.main(["--quick", "--shapes", "6x4", "3x2100", "--output", str(path)]) == 0
        found = {(row["pass"], row["prior"], row["rival"], row["shape"]) for row in _report.read_csv(path)}
        kinds = [(prior, rival) for prior in ("none", "full", "shared") for rival in ("native", "stock")]
        passes = [(which, shape) for which in ("forward", "both") for shape in ("6x4", "3x2100")]
        assert found == {(which, *kind, shape) for which, shape in passes for kind in kinds}

    @pytest.mark.parametrize("name", ["native", "stock"])
    def test_the_noise_is_drawn_in_every_call(name):
        """Of a seed that is part of the graph it would be computed once, when the graph is optimised."""
        call = learned_prior.build(getattr(learned_prior, name), "none", (7, 5), "forward")
        z, other = call.func(*call.args)[0], call.func(tf.constant([1, 2]), *call.args[1:])[0]
        assert np.all(z != other)

    @pytest.mark.parametrize("prior", learned_prior.PRIORS)
    def test_rivals_compute_the_same(prior):
        calls = [
            learned_prior.build(getattr(learned_prior, name), prior, (70, 33), "both") for name in ("native", "stock")
        ]
        native, stock = (tf.nest.flatten(call()) for call in calls)
        assert len(native) == len(stock) == (4 if prior == "none" else 6)
        for ours, theirs in zip(native, stock, strict=True):
            # Float32: terms of order 1, and gradients by a shared prior that are sums of 70 of them.
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=5e-5)
