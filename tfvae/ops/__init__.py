"""The functional ops: TensorFlow only, no Keras."""

from tfvae.ops._backend import use_backend
from tfvae.ops._reparameterize_kl import reparameterize_kl

__all__ = ["reparameterize_kl", "use_backend"]
