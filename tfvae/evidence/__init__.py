"""Estimates of ``log p(x)`` with their errors."""

from tfvae.evidence._annealed import (
    AnnealedEvidence,
    Bracket,
    annealed_importance_sampling,
    bidirectional_monte_carlo,
)
from tfvae.evidence._importance import EvidenceWarning, LogLikelihood, importance_weighted

__all__ = [
    "AnnealedEvidence",
    "Bracket",
    "EvidenceWarning",
    "LogLikelihood",
    "annealed_importance_sampling",
    "bidirectional_monte_carlo",
    "importance_weighted",
]
