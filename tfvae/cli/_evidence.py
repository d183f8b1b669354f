"""The evidence of a run's examples and the gap below it: computed, told, saved and drawn."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tfvae
from tfvae import evidence, metrics, plots
from tfvae._files import write_text
from tfvae.cli import _pictures
from tfvae.cli._data import Examples
from tfvae.cli._measure import as_json, in_words_of_not_finite, not_finite, not_to_be_trusted, standard_error
from tfvae.cli._run_folder import RunFolder
from tfvae.evidence._importance import FEWEST_JUDGED, LARGEST_K
from tfvae.evidence._store import StoreError

# Of ``tfvae evaluate --evidence``.
LARGEST = 500
# Of the end of ``tfvae train``: images that take long to decode are fewer.
_QUICK_ELEMENTS = 2**13
_QUICK_FEWEST, _QUICK_LARGEST = 8, 96
# The least for which the weights are judged, there being two q.
QUICK_SAMPLES = FEWEST_JUDGED // 2

_ROWS = (
    ("log_evidence", "log p(x)", ""),
    ("elbo", "ELBO", ""),
    ("gap", "gap", "KL(q(z|x) ‖ p(z|x))"),
    ("amortisation_gap", "  amortisation gap", "one encoder for all x, against the best q of its family for each"),
    ("approximation_gap", "  approximation gap", "the family of q, against the true posterior"),
)
_MOST_CLASSES = 40


class Request(NamedTuple):
    """Of how many examples the evidence is decomposed, by how many draws, and from which seed."""

    examples: int
    num_samples: int
    seed: int


def quick_count(x: np.ndarray) -> int:
    """Return how many examples the end of a training looks at."""
    return min(len(x), int(np.clip(_QUICK_ELEMENTS // max(1, x[0].size), _QUICK_FEWEST, _QUICK_LARGEST)))


def longer_request(folder: RunFolder, vae: tfvae.VAE, examples: Examples, request: Request) -> Request:
    """Return what ``evidence.json`` answers, if that is more than ``request`` of the same model and examples."""
    if not folder.evidence_values.exists():
        return request
    try:
        told = json.loads(folder.evidence.read_text(encoding="utf-8"))
        earlier = Request(*(int(told[name]) for name in Request._fields))
        if earlier.num_samples * earlier.examples <= request.num_samples * request.examples:
            return request
        x = examples.some(earlier.examples).x
        with _quietly():
            _computed(folder.evidence_values, vae, x, earlier.num_samples, earlier.seed)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return request  # There is none, or one of another model.
    return earlier


@np.errstate(over="ignore", invalid="ignore")  # Told by ``describe``.
def decompose(
    folder: RunFolder, vae: tfvae.VAE, examples: Examples, num_samples: int, seed: int
) -> tuple[dict[str, Any], list[Path]]:
    """Decompose the evidence of examples, save it per example and in sum, and draw it.

    Returns:
        The report, in nats, as ``evidence.json`` has it; and the files written.
    """
    with _quietly():
        values, parts = _resumed_or_anew(folder, vae, examples.x, num_samples, seed)
    with np.load(values, allow_pickle=False) as archive:
        pareto_k = archive["pareto_k"]
    report: dict[str, Any] = {"examples": len(examples.x), "num_samples": num_samples, "seed": seed}
    report |= _means(parts)
    # Twice as many: decompose weighs draws of the encoder's q and of the best one.
    report["not_to_be_trusted"] = not_to_be_trusted(pareto_k, 2 * num_samples)
    report |= not_finite(np.asarray(parts.gap))
    if isinstance(vae.likelihood_family, tfvae.distributions.Bernoulli):
        report["bits_per_dimension"] = {
            name: metrics.bits_per_dimension(report[name], examples.x[0].size).item()
            for name in ("log_evidence", "elbo")
        }
    pictures = _pictures.draw_if_finite(folder.path / "evidence.png", lambda: plots.evidence(parts))
    by_class = folder.path / "evidence_by_class.png"
    if examples.labels is not None and 1 < len(np.unique(examples.labels)) <= _MOST_CLASSES:
        report["classes"] = _of_classes(parts, examples)
        pictures += _pictures.draw_if_finite(
            by_class, lambda: plots.evidence(parts, examples.labels, examples.class_names)
        )
    else:
        by_class.unlink(missing_ok=True)  # That of an earlier evaluation.
    write_text(folder.evidence, as_json(report) + "\n")
    os.replace(values, folder.evidence_values)
    return report, [folder.evidence, folder.evidence_values, *pictures]


def describe(report: dict[str, Any], of: int, more: str) -> list[str]:
    """Return the report as a table to read; ``of`` is how many examples there are, ``more`` how to take more draws."""
    count, bits = report["examples"], report.get("bits_per_dimension", {})
    examples = f"{count} of the {of} examples" if count < of else f"{count} example{'' if count == 1 else 's'}"
    header = f"  {'':20}{'mean':>10}{'± draws':>10}{'± examples':>12}{'bits/dimension' if bits else '':>16}"
    lines = [f"log p(x) = ELBO + gap, on {examples}, in nats per example, {report['num_samples']} draws each:"]
    lines.append(header.rstrip())
    for name, label, meaning in _ROWS:
        told = f"{bits[name]:16.4f}" if name in bits else f"   {meaning}"
        numbers = f"{report[name]:10.3f} {_error(report[f'{name}_error']):>9}"
        lines.append(f"  {label:20}{numbers} {_error(report[f'{name}_standard_error']):>11}{told}".rstrip())
    lines += in_words_of_not_finite(report)
    bad = report["not_to_be_trusted"]
    if bad:
        lines.append(
            f"  For {bad} of the {count} log p(x) may be too low and its error too small: a few draws outweigh "
            f"the rest (Pareto k above {LARGEST_K}). {more}"
        )
    return lines


def announce(count: int, of: int, stream: Any) -> None:
    """Say what takes a while."""
    which = f"{count} of the {of} examples" if count < of else f"{count} example{'' if count == 1 else 's'}"
    print(f"Decomposing the evidence of {which} ...", file=stream, flush=True)


def _error(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _resumed_or_anew(
    folder: RunFolder, vae: tfvae.VAE, x: np.ndarray, num_samples: int, seed: int
) -> tuple[Path, evidence.Decomposition]:
    """Go on with the finished examples in a file that answers this request; return the file too.

    That of another request stays until this one is answered.
    """
    unfinished = folder.unfinished_evidence_values
    for path in (folder.evidence_values, unfinished):
        if path.exists():
            with contextlib.suppress(StoreError):
                return path, _computed(path, vae, x, num_samples, seed)
    unfinished.unlink(missing_ok=True)
    return unfinished, _computed(unfinished, vae, x, num_samples, seed)


def _computed(path: Path, vae: tfvae.VAE, x: np.ndarray, num_samples: int, seed: int) -> evidence.Decomposition:
    # Progress goes where an output that is read by a program does not.
    with contextlib.redirect_stdout(sys.stderr):
        return evidence.decompose(
            vae, x, num_samples=num_samples, seed=seed, save_to=path, verbose=int(sys.stderr.isatty())
        )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """``describe`` says in its own words what the warning does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", evidence.EvidenceWarning)
        yield


def _means(parts: evidence.Decomposition) -> dict[str, float]:
    """Means, the errors of the draws, and the standard errors of a mean over examples."""
    means = parts.mean()
    for name, _, _ in _ROWS:
        means[f"{name}_standard_error"] = standard_error(np.asarray(getattr(parts, name)))
    return means


def _of_classes(parts: evidence.Decomposition, examples: Examples) -> dict[str, dict[str, Any]]:
    labels, names = np.asarray(examples.labels), examples.class_names
    classes = {}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        name = names[label] if names is not None and 0 <= label < len(names) else str(label)
        of_class = evidence.Decomposition(*(np.asarray(field)[rows] for field in parts))
        classes[name] = {"examples": len(rows), **of_class.mean()}
    return classes
