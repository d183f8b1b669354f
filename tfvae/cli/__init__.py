"""The command ``tfvae``: train, evaluate, sample, reconstruct, export, info."""

from tfvae.cli._main import main

__all__ = ["main"]
