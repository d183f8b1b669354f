"""The numbers by which a trained model is judged."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

import tfvae
from tfvae import metrics, objectives
from tfvae.cli._data import in_blocks
from tfvae.distributions._normal import log_var_of
from tfvae.evidence import EvidenceWarning
from tfvae.evidence._importance import FEWEST_JUDGED, LARGEST_K

_ELBO_SAMPLES = 16
_ROWS = 512


@np.errstate(over="ignore", invalid="ignore")  # Told by ``describe``.
def measure(vae: tfvae.VAE, x: np.ndarray, num_samples: int, seed: int) -> dict[str, Any]:
    """Return ELBO, rate, distortion, importance-weighted log p(x) and active units on examples, in nats.

    Each standard error is that of a mean over examples: their standard deviation divided by the root of their number.
    ``elbo`` averages 16 draws of ``z`` for every example; ``elbo = -(rate + distortion)``.
    """
    reconstruction, kl = _terms(vae, x, seed)
    elbo = reconstruction - kl
    with warnings.catch_warnings():
        # Told by ``describe``.
        warnings.simplefilter("ignore", EvidenceWarning)
        evidence = vae.log_likelihood(x, num_samples=num_samples, seed=seed)
    log_likelihood = np.asarray(evidence.estimate)
    return {
        "examples": len(x),
        "elbo": float(elbo.mean()),
        "elbo_standard_error": standard_error(elbo),
        "log_likelihood": float(log_likelihood.mean()),
        "log_likelihood_standard_error": standard_error(log_likelihood),
        "log_likelihood_num_samples": num_samples,
        "log_likelihood_not_to_be_trusted": not_to_be_trusted(evidence.pareto_k, num_samples),
        **not_finite(elbo + log_likelihood),
        "effective_sample_size": float(np.mean(evidence.effective_sample_size)),
        "rate": float(kl.mean()),
        "distortion": float(-reconstruction.mean()),
        "active_units": metrics.active_units(in_blocks(vae.encode, x)),
        "likelihood": type(vae.likelihood_family).__name__.lower(),
        "latent_size": vae.posterior_family.event_shape[0],
    }


def not_to_be_trusted(pareto_k: Any, num_weights: int) -> int:
    """Return of how many examples a few importance weights outweigh the rest."""
    return int(np.sum(np.asarray(pareto_k) > LARGEST_K)) if num_weights >= FEWEST_JUDGED else 0


def not_finite(values: np.ndarray) -> dict[str, Any]:
    """Return of how many examples the values are not finite, and the first of them."""
    bad = np.flatnonzero(~np.isfinite(values))
    return {"not_finite": len(bad), "first_not_finite": int(bad[0]) if len(bad) else None}


def in_words_of_not_finite(report: dict[str, Any]) -> list[str]:
    """Return the line that says why means are not finite, if they are not."""
    if not report["not_finite"]:
        return []
    return [
        f"  For {report['not_finite']} of the {report['examples']}, the first at index {report['first_not_finite']}, "
        "what the model computes is not finite, and so is no mean over all. Look at these data for values much larger "
        "than the others, or all in other units than those of the training, and rescale or remove them."
    ]


def as_json(report: dict[str, Any]) -> str:
    """Return a report as JSON, which has no NaN: null stands for what is not known."""
    return json.dumps(_known(report), indent=2)


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def describe(measured: dict[str, Any], held_out: bool) -> list[str]:
    """Return the numbers as lines to read; ``held_out`` says whether the examples are known not to be trained on."""
    density = "" if measured["likelihood"] == "bernoulli" else ", a density in the data's units"
    count = measured["examples"]
    examples = f"{count} {'held-out ' if held_out else ''}{'example' if count == 1 else 'examples'}"
    errors = "± standard error" if count > 1 else "a standard error needs at least two examples"
    bad = measured["log_likelihood_not_to_be_trusted"]
    doubt = (
        f"  For {bad} of the {count} that estimate may be too low: a few samples outweigh the rest (Pareto k above "
        f"{LARGEST_K}). --evidence finds a better q for every example."
    )
    return [
        f"On {examples}, in nats per example ({errors}){density}:",
        f"  ELBO                {_with_error(measured, 'elbo')}"
        f"   = -(rate {measured['rate']:.3f} + distortion {measured['distortion']:.3f})",
        f"  log p(x), estimated {_with_error(measured, 'log_likelihood')}"
        f"   ({measured['log_likelihood_num_samples']} importance samples, effectively "
        f"{measured['effective_sample_size']:.1f})",
        *([doubt] if bad else []),
        *in_words_of_not_finite(measured),
        f"  active latent units {measured['active_units']:6d} of {measured['latent_size']}",
    ]


def _with_error(measured: dict[str, Any], name: str) -> str:
    error = measured[f"{name}_standard_error"]
    return f"{measured[name]:10.3f}" + ("" if math.isnan(error) else f" ± {error:.3f}")


def posterior_parameters(vae: tfvae.VAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior's means and log-variances, ``[N, D]`` each."""
    mean = in_blocks(vae.encode, x, _ROWS)
    log_var = in_blocks(lambda rows: log_var_of(vae.posterior(rows)), x, _ROWS)
    return mean, log_var


def _terms(vae: tfvae.VAE, x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Reconstruction and KL of every example, averaged over draws of the noise."""

    @tf.function(reduce_retracing=True, autograph=False)
    def draw(rows: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        terms = objectives.elbo_terms(vae.posterior(rows), vae.prior(), vae.likelihood, rows, seed=noise)
        return tf.cast(tf.stack([terms.reconstruction, terms.kl], axis=1), tf.float64)

    draws = []
    for i in range(_ELBO_SAMPLES):
        blocks = [
            draw(tf.constant(x[first : first + _ROWS]), tf.constant([seed, i * len(x) + first], tf.int64))
            for first in range(0, len(x), _ROWS)
        ]
        draws.append(np.concatenate(blocks))
    mean = np.mean(draws, axis=0)
    return mean[:, 0], mean[:, 1]


def standard_error(values: np.ndarray) -> float:
    """NaN for a single example, which tells nothing of the spread."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
