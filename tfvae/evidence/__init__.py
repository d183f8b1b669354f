"""Estimates of ``log p(x)`` with their errors, and the gap between it and the bound."""

from tfvae.evidence._annealed import (
    AnnealedEvidence,
    Bracket,
    annealed_importance_sampling,
    bidirectional_monte_carlo,
)
from tfvae.evidence._decompose import Decomposition, decompose
from tfvae.evidence._importance import EvidenceWarning, LogLikelihood, importance_weighted
from tfvae.evidence._thermodynamic import ThermodynamicBounds, thermodynamic

__all__ = [
    "AnnealedEvidence",
    "Bracket",
    "Decomposition",
    "EvidenceWarning",
    "LogLikelihood",
    "ThermodynamicBounds",
    "annealed_importance_sampling",
    "bidirectional_monte_carlo",
    "decompose",
    "importance_weighted",
    "thermodynamic",
]
