"""Families: sizes, layouts, distributions, support, serialization."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfvae.distributions import Bernoulli, Categorical, DiagonalNormal, Family, Normal, StandardNormal
from tfvae.distributions._tfp import tfd

FAMILIES = [
    StandardNormal(3),
    DiagonalNormal(3),
    DiagonalNormal((2, 3, 2)),
    Bernoulli((4, 4, 1)),
    Normal((2, 3, 2), scale=0.5),
    Normal((2, 3, 2), scale="learned"),
    Categorical((2, 3), num_classes=5),
]
WITH_PARAMETERS = FAMILIES[1:]


@pytest.mark.parametrize(("family", "size"), list(zip(FAMILIES, (0, 6, 24, 16, 12, 24, 30), strict=True)), ids=repr)
def test_params_size(family, size):
    assert family.params_size == size


@pytest.mark.parametrize("family", WITH_PARAMETERS, ids=repr)
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)])
def test_flat_parameters_give_the_event_and_batch_shape(family, batch):
    distribution = family(np.zeros([*batch, family.params_size], np.float32))
    assert distribution.event_shape == family.event_shape
    assert distribution.batch_shape == batch
    assert family.mean(distribution).shape[: len(batch)] == batch


@pytest.mark.parametrize("family", WITH_PARAMETERS, ids=repr)
def test_event_shaped_parameters_give_the_event_and_batch_shape(family):
    *head, channels = family.event_shape
    distribution = family(np.zeros([5, *head, channels * family.parameters_per_element], np.float32))
    assert distribution.event_shape == family.event_shape
    assert distribution.batch_shape == (5,)


def test_layouts_place_mean_then_log_var():
    family = Normal((2, 1, 2), scale="learned")
    mean, log_var = np.arange(4.0).reshape(2, 1, 2), np.arange(4.0, 8.0).reshape(2, 1, 2)
    flat = family(np.concatenate([mean.ravel(), log_var.ravel()])[None])
    shaped = family(np.concatenate([mean, log_var], axis=-1)[None])
    for distribution in (flat, shaped):
        np.testing.assert_array_equal(distribution.mean()[0], mean)
        np.testing.assert_allclose(distribution.variance()[0], np.exp(log_var), rtol=1e-12)  # float64 rounding


def test_layouts_of_categorical_agree_and_keep_the_logits_of_an_element_together():
    family = Categorical((2, 3), num_classes=4)
    logits = np.random.default_rng(0).normal(size=[5, 2, 3, 4])
    for layout in ([5, 24], [5, 2, 12]):
        np.testing.assert_allclose(
            family.mean(family(logits.reshape(layout))), keras.ops.softmax(logits), rtol=1e-12
        )  # float64 rounding


def test_where_both_layouts_fit_the_event_shaped_one_is_taken():
    assert Bernoulli((1, 1, 5))(tf.zeros([7, 1, 1, 5])).batch_shape == (7,)
    assert Bernoulli((1, 1, 5))(tf.zeros([7, 5])).batch_shape == (7,)


@pytest.mark.parametrize("batch", [None, 1, 7])
def test_a_batch_of_flat_parameters_is_no_axis_of_the_event(batch):
    """``[None, 10]`` and ``[1, 10]`` would also be the event-shaped layout of one event of shape ``[1, 5]``."""
    family = Normal((1, 5), "learned")

    @tf.function(input_signature=[tf.TensorSpec([batch, 10])])
    def log_prob(params):
        return family(params).log_prob(tf.zeros([tf.shape(params)[0], 1, 5]))

    params = np.random.default_rng(1).normal(size=[batch or 3, 10]).astype(np.float32)
    expected = stats.norm.logpdf(0, params[:, :5], np.exp(params[:, 5:] / 2)).sum(axis=1)
    np.testing.assert_allclose(log_prob(params), expected, rtol=1e-5)  # float32


@pytest.mark.parametrize("family", WITH_PARAMETERS, ids=repr)
def test_unknown_batch_shapes_stay_unknown_and_events_known(family):
    @tf.function(input_signature=[tf.TensorSpec([None, family.params_size])])
    def shapes(params):
        distribution = family(params)
        assert distribution.event_shape == family.event_shape
        assert distribution.batch_shape.as_list() == [None]
        return tf.shape(distribution.sample(seed=[1, 2]))

    np.testing.assert_array_equal(shapes(tf.zeros([3, family.params_size])), [3, *family.event_shape])


@pytest.mark.parametrize(
    ("given", "computed"),
    [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
@pytest.mark.parametrize("family", WITH_PARAMETERS, ids=repr)
def test_half_precision_is_computed_in_float32(family, given, computed):
    distribution = family(tf.zeros([2, family.params_size], given))
    value = tf.zeros([2, *family.event_shape], distribution.dtype)
    assert distribution.log_prob(value).dtype == computed


def test_log_probabilities_against_scipy():
    x = np.array([[0.3, -1.2]])
    learned = Normal(2, scale="learned")(np.array([[0.1, 0.2, -0.5, 0.7]]))
    expected = stats.norm(loc=[0.1, 0.2], scale=np.exp([-0.25, 0.35])).logpdf(x).sum(-1)
    np.testing.assert_allclose(learned.log_prob(x), expected, rtol=1e-12)  # float64 rounding
    fixed = Normal(2, scale=0.5)(np.array([[0.1, 0.2]]))
    np.testing.assert_allclose(fixed.log_prob(x), stats.norm([0.1, 0.2], 0.5).logpdf(x).sum(-1), rtol=1e-12)
    diagonal = DiagonalNormal(2)(np.array([[0.1, 0.2, -0.5, 0.7]]))
    np.testing.assert_allclose(diagonal.log_prob(x), expected, rtol=1e-12)
    bits = Bernoulli(2)(np.array([[0.4, -0.3]]))
    probabilities = 1 / (1 + np.exp(-np.array([0.4, -0.3])))
    np.testing.assert_allclose(bits.log_prob([[1.0, 0.0]]), [np.log(probabilities[0] * (1 - probabilities[1]))])


def test_diagonal_normal_remembers_log_var_without_a_round_trip():
    log_var = tf.constant([[-300.0, 1e-7]])
    np.testing.assert_array_equal(DiagonalNormal(2)(tf.concat([log_var, log_var], -1)).log_var, log_var)


@pytest.mark.parametrize("shape", [[0], [5, 0]], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standard_normal_takes_the_dtype_of_an_empty_tensor(dtype, shape):
    prior = StandardNormal(2)(tf.zeros(shape, dtype))
    assert prior.dtype == dtype
    assert prior.batch_shape == ()


@pytest.mark.parametrize("family", WITH_PARAMETERS, ids=repr)
def test_wrong_parameter_shapes_are_refused_by_name(family):
    with pytest.raises(
        ValueError, match=rf"must have shape .*{family.params_size}.*{type(family).__name__}.*not \[2, 7\]"
    ):
        family(tf.zeros([2, 7]))
    with pytest.raises(TypeError, match="must be floating, not int32"):
        family(tf.zeros([2, family.params_size], tf.int32))


class Made(Family):
    """A family whose ``make`` is given."""

    def __init__(self, make):
        super().__init__((2, 3))
        self.make = make


def test_what_make_gives_must_be_over_the_events_and_the_batch():
    with pytest.raises(ValueError, match=r"over events of shape \[2, 3\], not \[\]. .*reinterpreted_batch_ndims=2"):
        Made(lambda mean: tfd.Normal(mean, 1.0))(tf.zeros([5, 6]))
    with pytest.raises(ValueError, match=r"over events of shape \[2, 3\], not \[3\]"):
        Made(lambda mean: tfd.Independent(tfd.Normal(mean, 1.0), 1))(tf.zeros([5, 2, 3]))
    for shape in ([5, 6], [5, 2, 3]):
        with pytest.raises(ValueError, match=r"for every row .* of batch shape \[5\], not \[\]"):
            Made(lambda mean: tfd.Independent(tfd.Normal(mean[0], 1.0), 2))(tf.zeros(shape))
    unknown = tf.function(Made(lambda mean: tfd.Independent(tfd.Normal(mean, 1.0), 2)).__call__)
    unknown.get_concrete_function(tf.TensorSpec([None, None, 6]))


@pytest.mark.parametrize(
    ("family", "good", "bad"),
    [
        (Bernoulli(2), [[0, 1]], [[0, 0.5]]),
        (Bernoulli(2), [[True, False]], [[0, 255]]),
        (Normal(2), [[0.5, -3e30]], [[0, np.inf]]),
        (Categorical(2, 3), [[0, 2]], [[0, 3]]),
        (Categorical(2, 3), [[0.0, 2.0]], [[0, 1.5]]),
        (Categorical(2, 3), np.array([[1, 2]], np.uint8), [[0, -1]]),
        (Bernoulli(2), tf.constant([[0, 1]], tf.bfloat16), tf.constant([[0, 0.5]], tf.bfloat16)),
        (DiagonalNormal(2), [[0.0, 1.0]], [[0, -np.inf]]),
    ],
    ids=repr,
)
def test_support(family, good, bad):
    family.check_support(good)
    value = np.asarray(bad)[0, 1].item()
    with pytest.raises(ValueError, match=rf"{type(family).__name__} expects .*1 of 2 .*{value}.*\[0, 1\]"):
        family.check_support(bad)
    with pytest.raises(ValueError, match=r"nan at index \[0, 0\]"):
        family.check_support([[np.nan, np.nan]])
    with pytest.raises(ValueError, match=r"ends in \[2\].*not \[1, 3\]"):
        family.check_support([[0.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="expects numbers"):
        family.check_support([["a", "b"]])


def test_greys_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"Binarise the data first .* or choose another likelihood"):
        Bernoulli(1).check_support([[0.5]])


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_keras_serialization_round_trip_is_plain_json(family):
    config = keras.saving.serialize_keras_object(family)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert again == family
    assert hash(again) == hash(family)
    assert again != Bernoulli(99)
    assert config["registered_name"] == f"tfvae>{type(family).__name__}"


@pytest.mark.parametrize(
    ("family", "config"),
    [
        (DiagonalNormal, {"size": -1}),
        (DiagonalNormal, {"size": "x"}),
        (DiagonalNormal, {"size": True}),
        (DiagonalNormal, {"size": [2, 0]}),
        (StandardNormal, {"size": 0}),
        (StandardNormal, {"size": 2.5}),
        (Bernoulli, {"event_shape": []}),
        (Bernoulli, {"event_shape": [2, -1]}),
        (Bernoulli, {"event_shape": "ab"}),
        (Bernoulli, {"event_shape": None}),
        (Normal, {"event_shape": [2], "scale": 0}),
        (Normal, {"event_shape": [2], "scale": float("nan")}),
        (Normal, {"event_shape": [2], "scale": "fixed"}),
        (Normal, {"event_shape": [2], "scale": None}),
        (Normal, {"event_shape": [2], "scale": True}),
        (Categorical, {"event_shape": [2], "num_classes": 1}),
        (Categorical, {"event_shape": [2], "num_classes": "3"}),
        (Categorical, {"event_shape": [2], "num_classes": 2.0}),
    ],
)
def test_constructors_validate_their_config_req_35(family, config):
    with pytest.raises(ValueError, match=family.__name__):
        family.from_config(config)
