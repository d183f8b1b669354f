"""Models: a VAE from any Keras encoder and decoder."""

from tfvae.models._vae import VAE

__all__ = ["VAE"]
