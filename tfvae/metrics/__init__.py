"""What a trained VAE's codes and bounds are worth, computed on arrays in float64."""

from tfvae.metrics._aggregate import AggregatePosterior, aggregate_posterior
from tfvae.metrics._codes import (
    active_units,
    active_units_by_kl,
    bits_per_dimension,
    distortion,
    kl_per_dimension,
    rate,
)

__all__ = [
    "AggregatePosterior",
    "active_units",
    "active_units_by_kl",
    "aggregate_posterior",
    "bits_per_dimension",
    "distortion",
    "kl_per_dimension",
    "rate",
]
