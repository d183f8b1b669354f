"""Variational autoencoders for Keras 3 on TensorFlow, with a fused reparameterize + KL op."""

from keras.config import backend as _keras_backend

from tfvae import callbacks, datasets, distributions, evidence, exact, layers, metrics, models, objectives, ops, plots
from tfvae._info import build_info
from tfvae._version import __version__ as __version__
from tfvae.distributions import sample_and_kl
from tfvae.models import VAE
from tfvae.ops import use_backend

if _keras_backend() != "tensorflow":
    raise ImportError(
        f"tfvae works with Keras on TensorFlow, and Keras runs on {_keras_backend()} here. Before keras is imported, "
        'set KERAS_BACKEND=tensorflow in the environment, or "backend" in ~/.keras/keras.json.'
    )

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
