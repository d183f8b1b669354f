"""Exports in processes of their own: without tfvae, with the compiled op not loaded yet, and damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfvae

LOAD_AND_RUN = """
import json, os, shutil, sys
import numpy as np, tensorflow as tf

def outputs(loaded, x):
    got = dict(loaded.signatures["encode"](x=x))
    got["decoded"] = loaded.signatures["decode"](z=got["mean"])["mean"]
    got["reconstructed"] = loaded.signatures["reconstruct"](x=x)["mean"]
    got["samples"] = loaded.signatures["sample"](count=tf.constant(3), seed=tf.constant([1, 2]))["samples"]
    got["elbo"] = loaded.signatures["score"](x=x, seed=tf.constant([1, 2]))["elbo"]
    return {name: value.numpy().tolist() for name, value in got.items()}

x = tf.constant(np.load(folder + "/x.npy"))
report = {}
try:
    tf.saved_model.load(folder + "/native")
except Exception as error:
    report["native_error"] = str(error)
"""

WITHOUT_TFVAE = """
report["stock"] = outputs(tf.saved_model.load(folder + "/stock"), x)

# Damage: every file that loading reads, in every way a copy over a bad line or a full disk does.
report["undamaged_after"] = {}
for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
    good = open(f"{folder}/stock/{name}", "rb").read()
    size = len(good)
    noise = np.random.default_rng(0).bytes(size)
    damages = {"missing": None, "empty": b"", "zeros": bytes(size), "noise": noise}
    damages["half noise"] = good[:size // 2] + noise[size // 2:]
    damages |= {f"cut to {n}": good[:n] for n in (1, size // 4, size // 2, size - 1)}
    for damage, content in damages.items():
        shutil.copytree(f"{folder}/stock", "damaged", dirs_exist_ok=True)
        os.remove(f"damaged/{name}")
        if content is not None:
            open(f"damaged/{name}", "wb").write(content)
        try:
            outputs(tf.saved_model.load("damaged"), x)
            report["undamaged_after"][f"{name}: {damage}"] = True
        except Exception as error:
            pass
    # Single bits: TensorFlow need not notice, but must live.
    rng = np.random.default_rng(1)
    for _ in range(5):
        flipped = bytearray(good)
        flipped[rng.integers(size)] ^= 1 << rng.integers(8)
        shutil.copytree(f"{folder}/stock", "damaged", dirs_exist_ok=True)
        open(f"damaged/{name}", "wb").write(flipped)
        try:
            outputs(tf.saved_model.load("damaged"), x)
        except Exception:
            pass
print("REPORT" + json.dumps(report))
"""

WITH_TFVAE = """
import tfvae
try:
    tf.saved_model.load(folder + "/native")
except Exception as error:
    report["native_error_after_import"] = str(error)
tfvae.build_info()
report["native"] = outputs(tf.saved_model.load(folder + "/native"), x)
print("REPORT" + json.dumps(report))
"""


def report_of(text: str) -> dict[str, Any]:
    return json.loads(text[text.index("REPORT") + len("REPORT") :])


@pytest.fixture(scope="module")
def folder(dense_vae: tfvae.VAE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stock and, where there is a compiled op, a native export of one model, and data."""
    folder = tmp_path_factory.mktemp("two")
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=[5, 8]).astype("float32"))
    dense_vae.export(folder / "stock")
    if tfvae.build_info()["problem"] is None:
        dense_vae.export(folder / "native", ops="native")
    return folder


@pytest.fixture(scope="module")
def without_tfvae(folder: Path, run_without_tfvae: Callable[[str], str]) -> dict[str, Any]:
    return report_of(run_without_tfvae(f"folder = {str(folder)!r}" + LOAD_AND_RUN + WITHOUT_TFVAE))


def assert_gives_the_same(got: dict[str, Any], vae: tfvae.VAE, folder: Path) -> None:
    x = np.load(folder / "x.npy")
    q = vae.posterior(x)
    expected = {
        "mean": q.mean(),
        "log_var": tf.math.log(q.variance()),
        "decoded": vae.likelihood(q.mean()).mean(),
        "reconstructed": vae.reconstruct(x),
        "samples": vae.sample(3, [1, 2]),
        "elbo": vae.elbo(x, [1, 2]),
    }
    assert set(got) == set(expected)
    for name, value in expected.items():
        # A few roundings of float32, in another order.
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def test_stock_export_runs_where_tfvae_is_not_importable_req_46(without_tfvae, dense_vae, folder):
    assert_gives_the_same(without_tfvae["stock"], dense_vae, folder)


def test_damaged_files_raise_and_never_end_the_process_req_49(without_tfvae):
    # That the process came to its report shows that it lived.
    assert without_tfvae["undamaged_after"] == {}


def test_native_export_without_tfvae_says_what_is_missing_req_48(native_library, without_tfvae):
    assert "Op type not registered 'TfvaeReparameterizeKl'" in without_tfvae["native_error"]


def test_native_export_loads_once_the_library_is_loaded_req_48(native_library, run_python, dense_vae, folder):
    done = run_python(f"folder = {str(folder)!r}" + LOAD_AND_RUN + WITH_TFVAE)
    assert done.returncode == 0, done.stderr[-4000:]
    report = report_of(done.stdout)
    for moment in ("native_error", "native_error_after_import"):
        assert "Op type not registered 'TfvaeReparameterizeKl'" in report[moment]
    assert_gives_the_same(report["native"], dense_vae, folder)


def test_native_export_keeps_the_compiled_op_in_score_only_req_48(native_library, folder):
    loaded = tf.saved_model.load(str(folder / "native"))
    for name, signature in loaded.signatures.items():
        graph = signature.graph.as_graph_def()
        nodes = [node.op for function in graph.library.function for node in function.node_def]
        assert ("TfvaeReparameterizeKl" in nodes) == (name == "score")
    assert json.loads((folder / "native" / "assets.extra" / "tfvae.json").read_text())["ops"] == "native"
