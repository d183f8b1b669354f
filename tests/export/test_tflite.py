"""Conversion of encode and decode to TensorFlow Lite."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

# TensorFlow Lite's own ops compute in float32: models of other policies do not convert, and docs/serving.md says so.
FLOAT32_MODELS = ["dense", "images", "integers", "subclassed"]


@pytest.mark.parametrize("exported", FLOAT32_MODELS, indirect=True)
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_encode_and_decode_convert_to_tflite_builtins_req_47(exported):
    signatures = exported.loaded.signatures
    # The converter's default: TensorFlow Lite's own ops only, or it raises.
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported.folder), signature_keys=["encode", "decode"])
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    assert set(interpreter.get_signature_list()) == {"encode", "decode"}
    encoded = interpreter.get_signature_runner("encode")(x=exported.x)
    expected = signatures["encode"](x=exported.x)
    decoded = interpreter.get_signature_runner("decode")(z=encoded["mean"])
    # A few roundings of float32, in another order.
    for name in ("mean", "log_var"):
        np.testing.assert_allclose(encoded[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(decoded["mean"], signatures["decode"](z=expected["mean"])["mean"], rtol=1e-5, atol=1e-5)
