"""PosteriorCollapse: what it sees, what it says, and when."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.callbacks import EvidenceDecomposition, PosteriorCollapse
from tfvae.distributions import DiagonalNormal, Family, Normal
from tfvae.distributions._tfp import tfd

COLLAPSE, UNKNOWN = "Posterior collapse: all 2", "nothing can be told"


@pytest.fixture(scope="module")
def all_used(make_vae):
    return make_vae(0, 1)


@pytest.fixture(scope="module")
def none_used(make_vae):
    return make_vae()


def run(vae, watch, epochs=1, stop_after=None):
    """Call the callback as ``fit`` does, in no time; return what it logged."""
    watch.set_model(vae)
    watch.set_params({"epochs": epochs})
    vae.stop_training = False
    watch.on_train_begin()
    logged = []
    for epoch in range(epochs if stop_after is None else stop_after):
        vae.stop_training = epoch + 1 == stop_after
        logged.append({})
        watch.on_epoch_end(epoch, logged[-1])
    watch.on_train_end()
    return {name: [logs[name] for logs in logged] for name in watch.names}


def test_all_dimensions_in_use(all_used, x):
    watch = PosteriorCollapse(x)
    history = all_used.fit(x[:8], callbacks=[watch], verbose=0).history
    # x has 700 rows, two blocks; the closed form in float64 against a float32 encoder.
    q = all_used.posterior(x)
    kl = tfvae.metrics.kl_per_dimension(q.mean(), q.log_var)
    np.testing.assert_allclose(history["val_rate"], [kl.sum()], rtol=1e-5)
    assert history["val_active_units"] == history["val_active_units_by_kl"] == [2.0]
    assert watch.report == (
        "Every latent dimension (2 of 2) carries information on held-out data; the rate is "
        f"{kl.sum():.2f} nats per example."
    )


@pytest.mark.parametrize("callback", [PosteriorCollapse, EvidenceDecomposition])
def test_held_out_data_are_checked_before_an_epoch_is_spent(none_used, x, callback):
    steps = int(none_used.optimizer.iterations.numpy())
    with pytest.raises(ValueError, match=r"ends in \[4\], the event shape of Normal"):
        none_used.fit(x[:8], callbacks=[callback(x[:8, :3])], verbose=0)
    with pytest.raises(ValueError, match="Normal expects values that are finite real numbers; 1 of 32 values is not"):
        none_used.fit(x[:8], callbacks=[callback(np.where(np.arange(32).reshape(8, 4) == 5, np.nan, x[:8]))], verbose=0)
    assert int(none_used.optimizer.iterations.numpy()) == steps


class Halved(DiagonalNormal):
    """A diagonal Gaussian that remembers no log-variances."""

    def make(self, *parameters):
        return tfd.MultivariateNormalDiag(parameters[0], 0.5 * tf.exp(0.5 * parameters[1]))


def test_families_of_diagonal_gaussians_need_not_remember_log_variances(none_used, x):
    encoder = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Dense(4)])
    family = none_used.likelihood_family
    vae = tfvae.VAE(encoder, none_used.decoder, posterior=Halved(2), likelihood=family)
    rate = run(vae, PosteriorCollapse(x))["val_rate"]
    q = vae.posterior(x)
    expected = tfvae.metrics.kl_per_dimension(q.mean(), 2 * np.log(q.stddev())).sum()
    np.testing.assert_allclose(rate, [expected], rtol=1e-5)  # float32


def test_an_encoder_that_is_not_finite_is_no_collapse(make_vae, x):
    vae = make_vae(0)
    kernel, bias = vae.encoder.get_weights()
    vae.encoder.set_weights([1e3 * kernel, bias])
    data = x[:100].copy()
    data[[3, 70]] = 1e38  # Finite, as held-out data have to be; what the encoder makes of it is not.
    watch = PosteriorCollapse(data)
    told_at_the_end = r"not finite for 2 of 100 held-out examples, so nothing can be told .*lower the learning rate\."
    with pytest.warns(UserWarning, match=told_at_the_end) as told:
        history = run(vae, watch, epochs=5)
    assert len(told) == 1
    np.testing.assert_array_equal(list(history.values()), np.full([3, 5], np.nan))


def test_one_dimension_collapsed_is_told_at_the_end(make_vae, x):
    watch = PosteriorCollapse(x[:100])
    with pytest.warns(UserWarning, match=r"1 of 2 latent dimensions are collapsed .*at most 0.01 nats\): 1\.") as told:
        history = run(make_vae(0), watch, epochs=4)
    assert len(told) == 1
    assert history["val_active_units"] == history["val_active_units_by_kl"] == [1.0] * 4
    assert "KLWarmup" in watch.report
    assert "a smaller latent size loses nothing" in watch.report


def test_a_collapse_of_all_is_told_once_and_while_training(none_used, x):
    watch = PosteriorCollapse(x[:100], patience=2)
    with pytest.warns(UserWarning, match="Posterior collapse: all 2 latent dimensions") as told:
        run(none_used, watch, epochs=4)
    assert len(told) == 1
    for advice in ("KLWarmup", "free bits", "weaken the decoder", "scaled to about one"):
        assert advice in watch.report
    assert "kl_weight" not in watch.report
    assert "the same posterior mean" not in watch.report
    watch.on_train_begin()
    watch.look()
    with pytest.warns(UserWarning, match="Posterior collapse"):
        watch.look()  # the second: training has not ended


@pytest.mark.parametrize(
    ("scales", "patience", "expected"),
    [
        ([0, 1, 0], 1, [[COLLAPSE], [], [COLLAPSE], []]),
        ([0, np.nan], 1, [[COLLAPSE], [], [UNKNOWN]]),
        ([0, np.nan, 0], 2, [[], [], [], [COLLAPSE]]),
    ],
    ids=["recovery", "NaN after a collapse", "NaN in a streak"],
)
def test_what_is_told_when(make_vae, x, scales, patience, expected):
    """At looks at an encoder whose weights come times ``scales``, and at the end."""
    vae, watch, told = make_vae(0, 1), PosteriorCollapse(x[:100], patience=patience), []
    weights = vae.encoder.get_weights()
    watch.set_model(vae)
    watch.on_train_begin()
    for scale in [*scales, None]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if scale is None:
                watch.on_train_end()
            else:
                vae.encoder.set_weights([scale * value for value in weights])
                watch.look()
        told.append([words for words in (COLLAPSE, UNKNOWN) for warning in caught if words in str(warning.message)])
    assert told == expected


def test_words_and_numbers_of_a_collapse(none_used, x):
    watch = PosteriorCollapse(x[:100], every=2)
    none_used.kl_weight.assign(4.0)
    with pytest.warns(UserWarning, match="lower kl_weight, which is 4; raise the weight of the KL slowly"):
        history = run(none_used, watch, epochs=4)
    none_used.kl_weight.assign(1.0)
    # Looks after epochs 1, 3 and 4, the last; NaN between.
    np.testing.assert_array_equal(history["val_active_units"], [0.0, np.nan, 0.0, 0.0])
    np.testing.assert_allclose(history["val_rate"], [0.0, np.nan, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("mean", [3.0, 10000.2])
def test_a_mean_that_does_not_vary_is_told_apart(make_vae, x, mean):
    vae = make_vae(0)
    kernel, bias = vae.encoder.get_weights()
    vae.encoder.set_weights([kernel, bias + np.array([0, mean, 0, 0])])
    watch = PosteriorCollapse(x, threshold=0.001)  # The variance of 700 times 10000.2 is 0.004 in float32.
    history = run(vae, watch)
    assert (history["val_active_units"], history["val_active_units_by_kl"]) == ([1.0], [2.0])
    assert "the same posterior mean for all x (variance of at most 0.001) cost rate and tell little: 1." in watch.report


def test_it_looks_where_training_stops(all_used, x):
    watch = PosteriorCollapse(x[:50], every=10)
    history = run(all_used, watch, epochs=5, stop_after=3)
    assert np.isfinite(history["val_rate"]).tolist() == [True, False, True]


def test_the_last_word_is_of_the_model_as_it_was_left(make_vae, x):
    """Training ends in an epoch that was not looked at, and all is collapsed since the last look."""

    class Collapse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.encoder.set_weights([np.zeros_like(value) for value in self.model.encoder.get_weights()])
                self.model.stop_training = True

    watch = PosteriorCollapse(x[:50], every=10)
    with pytest.warns(UserWarning, match="Posterior collapse: all 2 latent dimensions"):
        history = make_vae(2).fit(x, epochs=5, callbacks=[watch, Collapse()], verbose=0).history
    assert np.isfinite(history["val_rate"]).tolist() == [True, False]


@keras.saving.register_keras_serializable(package="tests")
class Laplace(Family):
    parameters_per_element = 2

    def make(self, *parameters):
        return tfd.Independent(tfd.Laplace(parameters[0], keras.ops.exp(parameters[1])), 1)


def test_other_models_are_refused(x):
    vae = tfvae.VAE(
        keras.Sequential([keras.Input([4]), keras.layers.Dense(4)]),
        keras.Sequential([keras.Input([2]), keras.layers.Dense(4)]),
        posterior=Laplace(2),
        likelihood=Normal(4),
    )
    vae.compile("sgd")
    with pytest.raises(
        ValueError, match=r"works on a tfvae.VAE of DiagonalNormal posterior.* not on a VAE of .*Laplace"
    ):
        run(vae, PosteriorCollapse(x))
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(4)])
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="not on a Sequential"):
        model.fit(x[:8], x[:8], callbacks=[PosteriorCollapse(x)], verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x_val": np.zeros([0, 4])}, r"x_val must be an array of held-out data \[N, \*event\].*not of shape \[0, 4\]"),
        ({"x_val": np.zeros(4)}, r"x_val must be an array.*not of shape \[4\]"),
        ({"every": 0}, "every must be a positive integer, not 0"),
        ({"threshold": -1.0}, r"threshold must be a finite number of at least 0, not -1\.0"),
        ({"threshold": float("nan")}, "threshold must be a finite number"),
        ({"patience": 1.5}, r"patience must be a positive integer, not 1\.5"),
    ],
)
def test_bad_arguments_are_refused_req_35(arguments, message):
    with pytest.raises(ValueError, match=message):
        PosteriorCollapse(**{"x_val": np.zeros([2, 4]), **arguments})
