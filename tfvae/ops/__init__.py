"""The functional ops: TensorFlow only, no Keras."""

from tfvae.ops._backend import use_backend
from tfvae.ops._reparameterize_kl import reparameterize_kl
from tfvae.ops._reparameterize_log_ratio import reparameterize_log_ratio

__all__ = ["reparameterize_kl", "reparameterize_log_ratio", "use_backend"]
