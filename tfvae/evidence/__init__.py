"""Estimates of ``log p(x)`` with their errors."""

from tfvae.evidence._importance import LogLikelihood, importance_weighted

__all__ = ["LogLikelihood", "importance_weighted"]
