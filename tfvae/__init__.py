"""Variational autoencoders for Keras 3 on TensorFlow, with a fused reparameterize + KL op."""

from tfvae import callbacks, datasets, distributions, evidence, exact, layers, metrics, models, objectives, ops, plots
from tfvae._info import build_info
from tfvae._version import __version__ as __version__
from tfvae.distributions import sample_and_kl
from tfvae.models import VAE
from tfvae.ops import use_backend

__all__ = [
    "VAE",
    "build_info",
    "callbacks",
    "datasets",
    "distributions",
    "evidence",
    "exact",
    "layers",
    "metrics",
    "models",
    "objectives",
    "ops",
    "plots",
    "sample_and_kl",
    "use_backend",
]
