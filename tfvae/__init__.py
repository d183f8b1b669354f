"""Variational autoencoders for Keras 3 on TensorFlow, with a fused reparameterize + KL op."""

from tfvae import ops
from tfvae._info import build_info
from tfvae.ops import use_backend

__version__ = "0.1.0"

__all__ = ["build_info", "ops", "use_backend"]
