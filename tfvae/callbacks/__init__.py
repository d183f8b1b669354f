"""Keras callbacks for training VAEs."""

from tfvae.callbacks._evidence_decomposition import EvidenceDecomposition
from tfvae.callbacks._kl_warmup import KLWarmup
from tfvae.callbacks._posterior_collapse import PosteriorCollapse

__all__ = ["EvidenceDecomposition", "KLWarmup", "PosteriorCollapse"]
