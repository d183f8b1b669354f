"""The decomposition of the evidence, along training."""

from __future__ import annotations

from typing import Any

from tfvae import evidence
from tfvae._checks import as_count
from tfvae.callbacks._held_out import HeldOutCallback
from tfvae.evidence._joint import Joint
from tfvae.layers._noise import as_python_seed

_PARTS = ("log_evidence", "elbo", "gap", "amortisation_gap", "approximation_gap")


class EvidenceDecomposition(HeldOutCallback):
    r"""Logs ``log p(x)``, the ELBO and the gap between them, in its parts, on held-out data during training.

    Training does two things at once: ``log p(x) = ELBO + KL(q(z|x) || p(z|x))``, so a rising ELBO is evidence that
    rises or a gap that closes. This tells the two apart, by ``tfvae.evidence.decompose``; draw the history with
    ``tfvae.plots.evidence_history``. Logs, as means over the examples in nats:

    - ``decomposition_log_evidence``, ``decomposition_elbo``, ``decomposition_gap``;
    - ``decomposition_amortisation_gap``: what the encoder loses against the best ``q`` of its family for each example;
    - ``decomposition_approximation_gap``: what that family loses against the true posterior;
    - each with ``_error`` at the end: the Monte-Carlo standard error of the mean.

    In the epochs between two looks they are NaN. Every look has the same noise, so that what differs is the model.

    Args:
        x_val: held-out data ``[N, *event]``. A look costs ``N num_samples`` passes through the decoder and more, so
            give a hundred examples or so.
        every: epochs from one look to the next, the first being after epoch 1; the last epoch is looked at too (one
            where ``EarlyStopping`` ends training if that stands before this among the callbacks).
        num_samples: draws per example.
        seed: an integer; the noise of all looks.

    Raises:
        ValueError: for a bad argument.

    Source: Cremer, Li & Duvenaud, "Inference Suboptimality in Variational Autoencoders" (2018), equations 3 to 5.

    Example:

    >>> import numpy as np, tfvae
    >>> x_val = np.zeros([100, 8])
    >>> look = tfvae.callbacks.EvidenceDecomposition(x_val, every=10)
    >>> look.names[0]  # of 10, logged by vae.fit(..., callbacks=[look])
    'decomposition_log_evidence'
    """

    names = tuple(f"decomposition_{part}{suffix}" for part in _PARTS for suffix in ("", "_error"))

    def __init__(self, x_val: Any, *, every: int = 5, num_samples: int = 100, seed: int = 0) -> None:
        super().__init__(x_val, every)
        self.num_samples = as_count(num_samples, "num_samples")
        self.seed = as_python_seed(seed, type(self).__name__) or 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the data, and that the evidence of such a model can be decomposed."""
        super().on_train_begin(logs)
        Joint(self.model, "EvidenceDecomposition")

    def look(self) -> dict[str, float]:
        """Return the means over the examples and their errors."""
        found = evidence.decompose(self.model, self.x_val, num_samples=self.num_samples, seed=[self.seed, 0])
        return {f"decomposition_{name}": float(value) for name, value in found.mean().items()}
