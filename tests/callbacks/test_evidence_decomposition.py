"""EvidenceDecomposition: what it asks of ``tfvae.evidence.decompose``, and what it logs."""

import math

import keras
import numpy as np
import pytest

from tfvae import evidence
from tfvae.callbacks import EvidenceDecomposition
from tfvae.callbacks._evidence_decomposition import _PARTS
from tfvae.exact import ProbabilisticPCA


@pytest.fixture
def correlated():
    """A model whose dimensions of ``z`` share what they do, and it as a VAE that does not change in training."""
    truth = ProbabilisticPCA([[1.0, 0.5], [0.5, 1.0], [0.5, 0.5], [1.0, 1.0]], 0.5)
    vae = truth.as_vae(seed=0)
    vae.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return truth, vae


@pytest.fixture
def asked(monkeypatch):
    """Answer for ``decompose``; return the list of what it was asked."""
    calls = []

    class Answer:
        def mean(self):
            return {name: 10.0 * len(calls) + i for i, part in enumerate(_PARTS) for name in (part, f"{part}_error")}

    def decompose(model, x, *, num_samples, seed):
        calls.append((model, x, num_samples, list(seed)))
        return Answer()

    monkeypatch.setattr(evidence, "decompose", decompose, raising=False)
    return calls


def test_it_logs_every_so_often_and_at_the_end(make_vae, x, asked):
    vae = make_vae(0, 1)
    look = EvidenceDecomposition(x[:20], every=3, num_samples=7, seed=5)
    history = vae.fit(x[:8], epochs=6, validation_data=(x[:8],), callbacks=[look], verbose=0).history
    # After epochs 1, 4 and 6, the last.
    nan = math.nan
    np.testing.assert_array_equal(history["decomposition_log_evidence"], [10, nan, nan, 20, nan, 30])
    np.testing.assert_array_equal(history["decomposition_gap_error"], [12, nan, nan, 22, nan, 32])
    assert {name for name in history if name.startswith("decomposition")} == set(look.names)
    assert len(look.names) == 10
    assert history["val_elbo"] != history["decomposition_elbo"]
    # The same noise at every look.
    assert [(call[0] is vae, call[2], call[3]) for call in asked] == [(True, 7, [5, 0])] * 3
    assert all(call[1] is look.x_val for call in asked)


def test_what_it_logs_is_the_exact_evidence_of_a_known_model(x, correlated):
    """With the real ``decompose``, through ``fit``: a model that does not learn, of correlated dimensions."""
    truth, vae = correlated
    look = EvidenceDecomposition(x[:20], num_samples=50)
    history = vae.fit(x[:8], epochs=1, callbacks=[look], verbose=0).history
    (logged,) = (dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True))
    exact = truth.log_evidence(x[:20]).numpy()
    gap = (exact - truth.elbo(x[:20], truth.diagonal_posterior(x[:20])).numpy()).mean()
    assert gap > 0.3
    # By quadrature: what is left is float32's, some 1e-6 of 10 nats.
    assert logged["decomposition_log_evidence"] == pytest.approx(exact.mean(), abs=1e-4)
    # 5 standard errors: false alarms below 1e-6. The encoder's q is the best one.
    assert abs(logged["decomposition_gap"] - gap) < 5 * logged["decomposition_gap_error"] + 1e-4
    assert logged["decomposition_elbo"] == pytest.approx(exact.mean() - logged["decomposition_gap"], abs=1e-4)
    assert logged["decomposition_amortisation_gap"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x_val": np.zeros([0, 4])}, "x_val must be an array of held-out data"),
        ({"every": -1}, "every must be a positive integer"),
        ({"num_samples": 0}, "num_samples must be a positive integer"),
        ({"seed": 1.5}, "The seed of EvidenceDecomposition must be None or an integer"),
    ],
)
def test_bad_arguments_are_refused_req_35(arguments, message):
    with pytest.raises(ValueError, match=message):
        EvidenceDecomposition(**{"x_val": np.zeros([2, 4]), **arguments})
