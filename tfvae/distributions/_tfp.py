"""TensorFlow Probability, imported without the deprecation warnings it raises on itself."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow_probability as tfp

    # TFP loads on first access, so the access has to happen in here.
    tfd = tfp.distributions
    from tensorflow_probability.python.internal.parameter_properties import ShapeParameterProperties

__all__ = ["ShapeParameterProperties", "tfd", "tfp"]
