"""What a saved file can say: plain values of a few names, checked by the constructors."""

import json

import keras
import pytest

import tfvae
from tfvae import distributions, layers

FAMILIES = [
    distributions.StandardNormal(2),
    distributions.DiagonalNormal(2),
    distributions.Normal((2, 3), scale=0.5),
    distributions.Bernoulli((2, 3)),
    distributions.Categorical((2, 3), num_classes=4),
]
LAYERS = [layers.NoiseState(seed=1), layers.GaussianLatent(seed=1), layers.AppendLogVar()]
OURS = {"size", "event_shape", "scale", "num_classes", "seed", "kl_weight", "return_kl", "initial"}
OF_KERAS = {"name", "trainable", "dtype"}


def test_every_registered_class_is_looked_at_here_req_35(make_vae):
    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("tfvae>")}
    seen = {f"tfvae>{type(thing).__name__}" for thing in [*FAMILIES, *LAYERS, make_vae()]}
    assert registered == seen


@pytest.mark.parametrize("thing", FAMILIES + LAYERS, ids=lambda thing: type(thing).__name__)
def test_configs_hold_plain_values_and_no_code_or_path_req_35(thing):
    config = thing.get_config()
    assert set(config) <= OURS | OF_KERAS
    json.dumps(config)
    for name in OURS & set(config):
        values = config[name] if isinstance(config[name], list) else [config[name]]
        assert all(value is None or isinstance(value, (bool, int, float)) or value == "learned" for value in values)


def test_config_of_a_vae_adds_only_its_parts_req_35(make_vae):
    config = make_vae().get_config()
    parts = {"encoder", "decoder", "posterior", "likelihood", "prior"}
    assert set(config) <= parts | OURS | OF_KERAS
    json.dumps(config)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("seed",), "x", "seed of NoiseState must be"),
        (("kl_weight",), float("nan"), "weight of the KL must be"),
        (("posterior", "config", "size"), -2, "event shape of DiagonalNormal must be"),
        (("likelihood", "config", "scale"), "os.system", "scale of Normal must be"),
        (("prior",), "builtins.print", "prior must be a family"),
        (("encoder",), {"module": "os", "class_name": "system", "config": {}, "registered_name": None}, "encoder|os"),
    ],
)
def test_a_tampered_config_is_refused_req_35(make_vae, path, value, message):
    config = make_vae().get_config()
    place = config
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises((TypeError, ValueError), match=message):
        tfvae.VAE.from_config(config)
