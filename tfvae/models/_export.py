"""Write a VAE as a TensorFlow SavedModel: the functions a user of the trained model needs, and their weights."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfvae import _native, ops
from tfvae._files import staging_folder
from tfvae.distributions._normal import log_var_of

_BACKENDS = {"stock": "reference", "native": "native"}
_OP_PREFIX = "Tfvae"
_MARKER = Path("assets.extra", "tfvae.json")
_CONTENTS = {"saved_model.pb", "fingerprint.pb", "variables", "assets", *_MARKER.parts}


def export(vae: Any, path: str | os.PathLike[str], op_set: str) -> None:
    """Write ``vae`` into the folder ``path`` as ``VAE.export`` describes."""
    if op_set not in _BACKENDS:
        raise ValueError(
            f'ops must be "stock" (runs in any TensorFlow) or "native" (keeps the compiled op), not {op_set!r}. '
            "What is written is always a SavedModel; for another format convert that."
        )
    _check_built(vae)
    target = checked_target(path)
    with ops.use_backend(_BACKENDS[op_set]):
        archive = _traced(vae, stock_only=op_set == "stock")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the rename does not leave the file system.
        with staging_folder(target) as staging:
            new = staging / "new"
            archive.write_out(str(new), verbose=False)
            _write_marker(new, op_set)
            _put_in_place(new, target, staging / "old")


def _check_built(vae: Any) -> None:
    for name, network in (("encoder", vae.encoder), ("decoder", vae.decoder)):
        if not network.built:
            raise ValueError(
                f"The {name} is not built yet, so it has no weights to export. Call the model on a batch, vae(x), "
                "or train it with fit() first."
            )


def _traced(vae: Any, stock_only: bool) -> keras.export.ExportArchive:
    """Trace the functions under the backend in use; nothing is written yet."""
    archive = keras.export.ExportArchive()
    for name, (function, specs) in _endpoints(vae).items():
        traced = archive.add_endpoint(name, _checking_shapes(function, specs), specs).get_concrete_function()
        foreign = _custom_ops(traced) if stock_only else set()
        if foreign:
            raise RuntimeError(
                f"The function {name!r} holds the compiled op {', '.join(sorted(foreign))} though stock ops were asked "
                "for: one of the networks is a tf.function that was traced before. Run its first call inside "
                '`with tfvae.use_backend("reference"):`, or export with ops="native".'
            )
    return archive


def _endpoints(vae: Any) -> dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]]:
    """Return the functions with the shapes and dtypes they take; the first becomes the default signature too."""
    x = tf.TensorSpec([None, *vae.likelihood_family.event_shape], _input_dtype(vae.encoder), "x")
    z = tf.TensorSpec([None, *vae.posterior_family.event_shape], _input_dtype(vae.decoder), "z")
    count = tf.TensorSpec([], tf.int32, "count")
    seed = tf.TensorSpec([2], tf.int32, "seed")

    def reconstruct(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mean": vae.reconstruct(x)}

    def encode(x: tf.Tensor) -> dict[str, tf.Tensor]:
        q = vae.posterior(x)
        return {"mean": vae.posterior_family.mean(q), "log_var": log_var_of(q)}

    def decode(z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mean": vae.likelihood_family.mean(vae.likelihood(z))}

    def sample(count: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"samples": vae.sample(count, seed)}

    def score(x: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"elbo": vae.elbo(x, seed)}

    return {
        "reconstruct": (reconstruct, [x]),
        "encode": (encode, [x]),
        "decode": (decode, [z]),
        "sample": (sample, [count, seed]),
        "score": (score, [x, seed]),
    }


def _input_dtype(network: Any) -> tf.DType:
    """Return what a signature takes for a network: integers where it declares them, else never half precision."""
    declared = getattr(network, "inputs", None)
    if declared and tf.as_dtype(declared[0].dtype).is_integer:
        return tf.as_dtype(declared[0].dtype)
    return tf.float64 if network.compute_dtype == "float64" else tf.float32


def _checking_shapes(
    function: Callable[..., dict[str, tf.Tensor]], specs: list[tf.TensorSpec]
) -> Callable[..., dict[str, tf.Tensor]]:
    """Check shapes inside the graph too: what runs a signature need not look at them, and a kernel may not mind."""

    @functools.wraps(function)
    def checked(*args: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(*(tf.ensure_shape(arg, spec.shape) for arg, spec in zip(args, specs, strict=True)))

    return checked


def _custom_ops(function: Any) -> set[str]:
    graph = function.graph.as_graph_def()
    nodes = itertools.chain(graph.node, *(nested.node_def for nested in graph.library.function))
    return {node.op for node in nodes if node.op.startswith(_OP_PREFIX)}


def checked_target(path: str | os.PathLike[str]) -> Path:
    """Return the folder to write, links followed, or say why nothing will be put there."""
    if "://" in os.fspath(path):
        raise ValueError(
            f"The path must be a local folder, not {os.fspath(path)!r}. Export locally, then copy it there."
        )
    target = Path(path).resolve()
    if not target.exists():
        return target
    if Path.cwd().is_relative_to(target):
        raise FileExistsError(
            f"{target} is the working folder, or one above it; an export puts another folder in its place. Give the "
            "name of a folder to be made in it."
        )
    if not target.is_dir():
        raise FileExistsError(f"{target} is a file; an export is a folder. Choose another path.")
    found = {entry.name for folder in (target, target / _MARKER.parent) for entry in _entries(folder)}
    if found and (_MARKER.name not in found or not found <= _CONTENTS):
        some = ", ".join(sorted(found - _CONTENTS or found)[:3])
        raise FileExistsError(
            f"{target} holds what no earlier export wrote ({some}), so it was left as it is. Choose another path, or "
            "remove the folder yourself."
        )
    return target


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _write_marker(folder: Path, op_set: str) -> None:
    """Say what wrote the folder, in the place SavedModels have for files TensorFlow does not read."""
    marker = folder / _MARKER
    marker.parent.mkdir()
    marker.write_text(json.dumps({"ops": op_set, **_native.versions()}, indent=2) + "\n", encoding="utf-8")


def _put_in_place(new: Path, target: Path, old: Path) -> None:
    """Rename ``new`` to ``target``; an earlier export there is moved to ``old``, and back if that fails."""
    replacing = target.exists()
    if replacing:
        target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        if replacing:
            old.rename(target)
        raise
