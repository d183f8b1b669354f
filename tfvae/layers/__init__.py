"""Keras layers that own their state."""

from tfvae.layers._append_log_var import AppendLogVar
from tfvae.layers._gaussian_latent import GaussianLatent
from tfvae.layers._noise import NoiseState

__all__ = ["AppendLogVar", "GaussianLatent", "NoiseState"]
