"""The variational autoencoder."""

from __future__ import annotations

import os
import warnings
from typing import Any

import keras
import tensorflow as tf

from tfvae import objectives
from tfvae.distributions import Family, StandardNormal
from tfvae.layers._kl_weight import WeightedKL
from tfvae.layers._noise import NoiseState
from tfvae.models import _checks, _data, _export, _training
from tfvae.models._inference import Inference
from tfvae.models._trainer import Trainer


@keras.saving.register_keras_serializable(package="tfvae")
class VAE(Inference, WeightedKL, Trainer):
    r"""A variational autoencoder made of any Keras encoder and decoder.

    Maximises the evidence lower bound of every example, in nats,

        elbo(x) = E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)) <= log p(x)

    with one reparameterized sample of ``z``. ``fit`` minimises ``kl_weight * kl - reconstruction`` averaged over the
    examples (weighted by ``sample_weight``), plus the losses the networks add themselves; ``loss``, ``elbo``,
    ``reconstruction`` and ``kl`` are reported as means over the examples, the last three always unweighted by
    ``kl_weight``. Under ``sample_weight`` these are divided by the sum of the weights, and the loss by the number of
    examples, as everywhere in Keras. Targets ``y`` are ignored.

    An update whose gradients are not finite (a NaN in the batch, say) is skipped as a whole, moving means of
    ``BatchNormalization`` included, and counted in ``skipped_updates``; the reported loss is NaN and ``fit`` warns at
    its end. Under ``mixed_float16`` Keras skips such updates itself, uncounted, to find its loss scale.

    Args:
        encoder: Keras model or layer that turns ``x`` into the posterior's parameters.
        decoder: Keras model or layer that turns ``z`` ``[B, *latent]`` into the likelihood's parameters.
        posterior: family of ``q(z|x)``, ``tfvae.distributions.DiagonalNormal(D)`` say.
        likelihood: family of ``p(x|z)``. Bernoulli and Categorical take logits: their decoder ends in no activation.
        prior: family of ``p(z)``, the standard normal if None. One that has parameters is learned with the networks;
            they start at 0: assign ``prior_params`` before training where equal ones stay equal, as in a mixture.
        kl_weight: initial value of the weight of the KL, a saved float32 weight of the model that may be assigned.
        seed: where the noise starts, an integer, or None to draw one from Python's ``random``.
        name: name of the model.

    Raises:
        TypeError: if a family or network is none.
        ValueError: if sizes do not fit together: those of outputs and of ``z`` at construction where the networks are
            built, others at the first call.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013).

    Example:

    >>> import keras, numpy as np, tfvae
    >>> vae = tfvae.VAE(
    ...     keras.Sequential([keras.Input([8]), keras.layers.Dense(4)]),
    ...     keras.Sequential([keras.Input([2]), keras.layers.Dense(8)]),
    ...     posterior=tfvae.distributions.DiagonalNormal(2),
    ...     likelihood=tfvae.distributions.Normal(8),
    ... )
    >>> vae.compile("adam")
    >>> history = vae.fit(np.zeros([32, 8], "float32"), verbose=0)
    >>> sorted(history.history)
    ['elbo', 'kl', 'loss', 'reconstruction']
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        *,
        posterior: Family,
        likelihood: Family,
        prior: Family | None = None,
        kl_weight: float = 1.0,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _checks.check_networks(encoder=encoder, decoder=decoder)
        _checks.check_families(posterior=posterior, likelihood=likelihood)
        prior = StandardNormal(posterior.event_shape) if prior is None else prior
        _checks.check_families(prior=prior)
        _checks.check_sizes(encoder, decoder, posterior, likelihood, prior)
        _checks.warn_of_probabilities(decoder, likelihood)
        self.encoder = encoder
        self.decoder = decoder
        self.posterior_family = posterior
        self.likelihood_family = likelihood
        self.prior_family = prior
        self.noise = NoiseState(seed, name="noise")
        self._add_kl_weight(kl_weight)
        self.skipped_updates = self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="int64",
            trainable=False,
            aggregation="only_first_replica",
            name="skipped_updates",
        )
        self.prior_params = None
        if self.prior_family.params_size:
            self.prior_params = self.add_weight(
                shape=(self.prior_family.params_size,), initializer="zeros", autocast=False, name="prior_params"
            )
        self._term_means = [keras.metrics.Mean(name=name) for name in ("elbo", "reconstruction", "kl")]
        self.built = _checks.is_built(encoder, decoder)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _checks.check_overrides(cls, VAE)

    def build(self, input_shape: Any) -> None:
        """Build both networks for data of shape ``input_shape``, ``(None, *event)``; the first call does it too."""
        _checks.check_input_shape(input_shape, self.likelihood_family)
        for network, family in ((self.encoder, self.likelihood_family), (self.decoder, self.posterior_family)):
            network(keras.KerasTensor((None, *family.event_shape), self.compute_dtype), training=False)

    def export(self, path: str | os.PathLike[str], ops: str = "stock") -> None:
        """Write the model to the folder ``path`` as a TensorFlow SavedModel, for use where tfvae is not installed.

        Unlike ``keras.Model.export`` it writes several signatures, only this format, and renames the finished folder
        into place. For any batch size, in float32 (float64 under that policy), each returns a dictionary:

        - ``encode(x)``: ``mean`` and ``log_var`` of ``q(z|x)``; ``decode(z)``: ``mean`` of ``p(x|z)``;
        - ``reconstruct(x)``, also ``serving_default``: ``mean`` of ``p(x|z)`` at the posterior mean;
        - ``sample(count, seed)``: ``samples`` ``[count, *event]``, as the model's ``sample(count, seed)``;
        - ``score(x, seed)``: ``elbo`` ``[B]``, one-sample, in nats. ``count`` is int32 ``[]``, ``seed`` int32 ``[2]``.

        A SavedModel is a program: load none from a source you do not trust. See ``docs/serving.md``.

        Args:
            path: a local folder that does not exist, is empty, or holds an earlier export, which is replaced.
            ops: ``"stock"``: TensorFlow's own ops only; ``"native"``: ``score`` needs the compiled op where it is run.

        Raises:
            ValueError: if the networks are not built, or ``ops`` is neither.
            FileExistsError: if ``path`` is a file, the working folder, or holds anything but an earlier export.
            RuntimeError: for ``"native"`` without a usable library, or ``"stock"`` where a network holds the native op.

        Example:

        >>> import keras, tempfile, tensorflow as tf, tfvae
        >>> networks = [keras.Sequential([keras.Input([n]), keras.layers.Dense(4)]) for n in (4, 2)]
        >>> normal = tfvae.distributions.Normal(4)
        >>> vae = tfvae.VAE(*networks, posterior=tfvae.distributions.DiagonalNormal(2), likelihood=normal)
        >>> folder = tempfile.mkdtemp()
        >>> vae.export(folder)
        >>> loaded = tf.saved_model.load(folder)
        >>> loaded.signatures["sample"](count=tf.constant(3), seed=tf.constant([1, 2]))["samples"].shape.as_list()
        [3, 4]
        """
        _export.export(self, path, ops)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save to a ``.keras`` file as ``keras.Model.save`` does; what could not be loaded again is refused."""
        _checks.check_saving(self, filepath, VAE)
        super().save(filepath, *args, **kwargs)

    def compile(self, optimizer: Any = "rmsprop", loss: None = None, **kwargs: Any) -> None:
        """Configure training as ``keras.Model.compile`` does, but for a loss: minus the bound is the loss.

        Args:
            optimizer: name or instance of a Keras optimizer.
            loss: must be None.
            **kwargs: ``run_eagerly``, ``steps_per_execution``, ``jit_compile``, ``auto_scale_loss``, as in Keras.

        Raises:
            ValueError: for a loss or metrics; under MultiWorkerMirroredStrategy; and with several replicas for
                ``steps_per_execution``, ``jit_compile`` and gradients that the optimizer accumulates.
        """
        _checks.check_compile(self.distribute_strategy, optimizer, {"loss": loss, **kwargs})
        super().compile(optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what ``get_compile_config`` saved; called by ``keras.saving.load_model``."""
        try:
            self.compile(**keras.saving.deserialize_keras_object(config))
        except ValueError as error:
            raise ValueError(f"{error} To load the model here, pass compile=False and compile it again.") from error
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *args: Any,
        validation_data: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train as ``keras.Model.fit`` does, on ``x`` alone.

        Arrays are first checked against the likelihood's support; of a dataset or generator its first batch is, as it
        is read, and of a ``PyDataset`` its first item, read once more for that (of a PyTorch ``DataLoader`` none).
        Targets are ignored.

        Args:
            x: data ``[N, *event]``: array, ``tf.data.Dataset``, ``PyDataset`` or generator, of ``(x,)``, ``(x, y)``
                or ``(x, y, sample_weight)``.
            y: ignored, but for ``class_weight``.
            *args: ``batch_size``, ``epochs``, ``verbose``, ``callbacks`` and ``validation_split``, in this order.
            validation_data: data to evaluate after every epoch, as ``x`` or as a tuple of arrays.
            sample_weight: one weight per example, ``[N]``.
            **kwargs: further arguments of ``keras.Model.fit``.

        Raises:
            ValueError: for data outside the support of the likelihood; of arrays for NaN too.

        Warns:
            RuntimeWarning: if updates were skipped because their gradients were not finite. The counter is a weight,
                which a callback that restores weights sets back, and then nothing is told.
        """
        with _data.SupportCheck(self.likelihood_family) as check:
            x, y, sample_weight = check.arguments(x, y, sample_weight, kwargs.get("class_weight"))
            if isinstance(validation_data, (tuple, list)):
                validation_data = check.arguments(*keras.utils.unpack_x_y_sample_weight(validation_data))
            elif validation_data is not None:
                validation_data = check.data(validation_data)
            with _training.telling_of_skipped(self.skipped_updates):
                return super().fit(x, y, *args, validation_data=validation_data, sample_weight=sample_weight, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Evaluate as ``keras.Model.evaluate`` does: the means of loss, elbo, reconstruction and kl over the examples.

        Arguments as for ``fit``, checked in the same way.
        """
        with _data.SupportCheck(self.likelihood_family) as check:
            if not kwargs.get("_use_cached_eval_dataset"):
                x, y, sample_weight = check.arguments(x, y, sample_weight)
            return super().evaluate(x, y, *args, sample_weight=sample_weight, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return ``reconstruct`` of all data, in batches, as ``keras.Model.predict`` does."""
        if hasattr(x, "shape"):
            _checks.check_batch(x, self.likelihood_family)
        return super().predict(x, *args, **kwargs)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, **kwargs: Any
    ) -> Any:
        """Take one optimizer step as ``keras.Model.train_on_batch`` does, on an array checked as in ``fit``."""
        check = _data.SupportCheck(self.likelihood_family)
        x, y, sample_weight = check.arguments(x, y, sample_weight, class_weight)
        return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Evaluate one batch as ``keras.Model.test_on_batch`` does, an array checked as in ``fit``."""
        x, y, sample_weight = _data.SupportCheck(self.likelihood_family).arguments(x, y, sample_weight)
        return super().test_on_batch(x, y, sample_weight, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one optimizer step on one batch; called by ``fit``."""
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self._build_on(x)
        weights = self.trainable_weights
        state = _training.forward_state(self.encoder, self.decoder)
        with tf.GradientTape() as tape:
            terms = self._terms(x, self.noise.next_seed(), training=True)
            loss = self.optimizer.scale_loss(self._loss(terms, sample_weight))
        if not weights:
            warnings.warn("The model has no trainable weights, so training changes nothing.", stacklevel=2)
            return self.get_metrics_result()
        gradients = tape.gradient(loss, weights)
        _training.apply_finite(self.optimizer, gradients, weights, self.skipped_updates, state)
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch; called by ``evaluate``."""
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self._build_on(x)
        self._loss(self._terms(x, self.noise.next_seed(), training=False), sample_weight)
        return self.get_metrics_result()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, networks and families serialized by Keras."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
            "posterior": serialize(self.posterior_family),
            "likelihood": serialize(self.likelihood_family),
            "prior": serialize(self.prior_family),
            "kl_weight": self.initial_kl_weight,
            "seed": self.noise.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> VAE:
        """Return the model that ``get_config`` described; the constructor validates every value."""
        config = dict(config)
        for part in ("encoder", "decoder", "posterior", "likelihood", "prior"):
            if part in config:
                config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects=custom_objects)
        return cls(**config)

    def _loss(self, terms: objectives.ElboTerms, sample_weight: Any) -> tf.Tensor:
        """Return this replica's part of the loss, a mean over the global batch, and update the reported means."""
        per_example = objectives.negative_elbo(terms, self.kl_weight)
        weight = _training.example_weights(sample_weight, per_example)
        weighted = weight * per_example
        # Read before replicas wait for each other, because the next one's forward pass clears them.
        added = _training.added_losses(self.losses, weighted.dtype)
        self._loss_tracker.update_state(weighted + added)
        for mean, values in zip(self._term_means, (terms.elbo, terms.reconstruction, terms.kl), strict=True):
            mean.update_state(values, sample_weight=weight)
        return _training.part_of_replica(weighted, added)

    def _build_on(self, x: tf.Tensor) -> None:
        if not self.built:
            _checks.check_one_tensor(x)
            self.build(x.shape)
