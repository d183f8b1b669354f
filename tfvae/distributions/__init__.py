"""Families: parameter tensor to TFP distribution; and a sample of q with its KL to p."""

from tfvae.distributions._discrete import Bernoulli, Categorical
from tfvae.distributions._family import Family
from tfvae.distributions._normal import DiagonalNormal, Normal, StandardNormal
from tfvae.distributions._sample_and_kl import SampleAndKL, sample_and_kl

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiagonalNormal",
    "Family",
    "Normal",
    "SampleAndKL",
    "StandardNormal",
    "sample_and_kl",
]
