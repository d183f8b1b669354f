"""Keras layers that own their state."""

from tfvae.layers._noise import NoiseState

__all__ = ["NoiseState"]
