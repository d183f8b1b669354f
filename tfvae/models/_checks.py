"""Do the parts of a model fit together, and the data the model?"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfvae._checks import check_is_array, check_is_dense
from tfvae.distributions import Bernoulli, Categorical, Family

# Layers that change the shape alone.
_SHAPING = (keras.layers.Reshape, keras.layers.Flatten)


def check_networks(**networks: Any) -> None:
    """Check that the networks are Keras layers."""
    for name, network in networks.items():
        if not isinstance(network, keras.layers.Layer):
            legacy = type(network).__module__.startswith("tf_keras")
            hint = " That is one of Keras 2 (tf_keras): build it with `import keras`." if legacy else ""
            raise TypeError(f"{name} must be a Keras model or layer, not {network!r}.{hint}")


def check_families(**families: Any) -> None:
    """Check that the families are families."""
    for name, family in families.items():
        if not isinstance(family, Family):
            raise TypeError(
                f"{name} must be a family such as tfvae.distributions.Normal(event_shape), not {family!r}. "
                "For another distribution of TensorFlow Probability, subclass tfvae.distributions.Family."
            )
        if not isinstance(family, keras.layers.Layer):
            _check_holds_no_variables(name, family)


def _check_holds_no_variables(name: str, family: Family) -> None:
    """Refuse what would be neither trained nor saved."""
    for attribute, held in vars(family).items():
        for value in tf.nest.flatten(held):
            variable = isinstance(value, (tf.Variable, keras.Variable, keras.layers.Layer))
            if variable or (isinstance(value, tf.Module) and value.variables):
                raise ValueError(
                    f"The {name} {type(family).__name__} holds a {type(value).__name__} in {attribute!r}, which would "
                    "be neither trained nor saved. Let the family take these numbers as parameters "
                    "(parameters_per_element; those of a prior are learned as prior_params), or derive it from "
                    "keras.layers.Layer too, and make the variables by add_weight."
                )


def check_sizes(encoder: Any, decoder: Any, posterior: Family, likelihood: Family, prior: Family) -> None:
    """Check what is known of the sizes before the first call."""
    if prior.event_shape != posterior.event_shape:
        raise ValueError(
            f"prior and posterior must be over the same z, not of event shapes {list(prior.event_shape)} and "
            f"{list(posterior.event_shape)}."
        )
    for network, family, what in (
        (encoder, posterior, "The encoder's output"),
        (decoder, likelihood, "The decoder's output"),
    ):
        shape = _known_shape(network, "output_shape")
        if shape is not None:
            family.check_params_shape(shape, what)
            check_one_event(shape, family, what)
    taken = _known_shape(decoder, "input_shape")
    if taken is not None:
        posterior.check_event_shape(taken, "The decoder's input")


def check_network_output(params: Any, family: Family, network: str) -> tf.Tensor:
    """Return what a network gave, or say how it does not fit the family."""
    if not tf.is_tensor(params):
        raise TypeError(
            f"The {network} must give one tensor with the parameters of {family!r} along its last axis, not "
            f"{type(params).__name__}. Concatenate them: mean, then log_var."
        )
    what = f"The {network}'s output"
    family.check_params_shape(params.shape, what)
    check_one_event(params.shape, family, what)
    return params


def warn_of_probabilities(decoder: Any, likelihood: Family) -> None:
    """Warn of a decoder that ends in the function which the likelihood itself makes probabilities by, of logits."""
    kind = type(likelihood).__name__
    name = _last_activation(decoder) if type(likelihood) in (Bernoulli, Categorical) else ""
    if name in ("sigmoid", "softmax"):
        warnings.warn(
            f"The decoder ends in {name}, and {kind} takes logits, of which it computes probabilities itself: those of "
            f"a {name}'s output are all alike. Leave the activation out.",
            stacklevel=3,
        )


def check_one_event(shape: Any, family: Family, what: str) -> None:
    """Check that a network gives one event for each example, and not one for each of some parts of it."""
    if len(shape) not in (2, 1 + len(family.event_shape)):
        raise ValueError(
            f"{what} has shape {['B', *shape[1:]]}, which is several {family!r} for each example. Give the family an "
            "event shape with those axes, or flatten the output."
        )


def check_reparameterized(q: Any) -> None:
    """Refuse a posterior whose samples pass on no gradient: the encoder would not learn from the reconstruction."""
    if q.reparameterization_type != tfp.distributions.FULLY_REPARAMETERIZED:
        raise ValueError(
            f"The posterior must be a distribution whose samples are differentiable in its parameters, not {q.name} "
            "(tfp: NOT_REPARAMETERIZED). Take DiagonalNormal, or another family of continuous z."
        )


def check_one_tensor(x: Any) -> None:
    """Refuse models of several inputs, as lists, tuples or dictionaries of tensors."""
    if isinstance(x, (list, tuple, dict)):
        raise ValueError(
            f"A VAE is a model of one tensor x, not of a {type(x).__name__} of {len(x)}. For a model with further "
            "inputs build a functional one around tfvae.layers.GaussianLatent, which adds the KL to its loss."
        )
    check_is_dense(x)


def as_tensor(x: Any) -> tf.Tensor:
    """Return data given to a method as a tensor."""
    if not isinstance(x, (list, tuple)):  # Of numbers.
        check_one_tensor(x)
    check_is_array(x)
    x = tf.convert_to_tensor(x)
    if x.dtype.is_complex:
        raise TypeError(f"x must be real numbers, not {x.dtype.name}. Take x.real, say.")
    return x


def as_batch(x: Any, likelihood: Family) -> tf.Tensor:
    """Return data given to a method as a tensor ``[B, *event]``."""
    return check_batch(as_tensor(x), likelihood)


def as_latents(z: Any, posterior: Family) -> tf.Tensor:
    """Return latents given to a method as a tensor ``[B, *latent]``."""
    z = tf.convert_to_tensor(z)
    advice = "For one z take z[None]; of several draws for each example, reshape z to one axis of them all."
    posterior.check_batch_shape(z.shape, "z", advice)
    return z


def are_in_a_column(shape: Any) -> bool:
    """Tell whether weights ``[B]`` come as ``[B, 1]``; refuse those of any other shape."""
    if len(shape) == 2 and shape[1] == 1:
        return True
    if len(shape) != 1:
        raise ValueError(f"sample_weight must have shape [B], one weight per example, not {list(shape)}.")
    return False


def check_input_shape(shape: Any, likelihood: Family) -> None:
    """Check what a model is to be built for: the shape of one tensor, ``(None, *event)``."""
    try:
        shape = tf.TensorShape(shape)
    except (TypeError, ValueError):
        expected = (None, *likelihood.event_shape)
        raise ValueError(f"A VAE is built for the shape of one tensor x, {expected}, not for {shape!r}.") from None
    likelihood.check_data_shape(shape)


def check_batch(x: Any, likelihood: Family) -> Any:
    """Return data ``[B, *event]``, their shape checked: as they run where no axis of it is known before."""
    check_one_tensor(x)
    likelihood.check_data_shape(x.shape)
    known = not tf.is_tensor(x) or x.shape.rank is not None
    return x if known else tf.ensure_shape(x, [None, *likelihood.event_shape])


def dtype_of_parameters(encoder: Any) -> tf.DType:
    """Return the dtype of the distributions that a network gives the parameters of: float32 for half precision."""
    outputs = getattr(encoder, "outputs", None) if _known_shape(encoder, "output_shape") is not None else None
    dtype = outputs[0].dtype if outputs else encoder.compute_dtype
    return tf.float64 if dtype == "float64" else tf.float32


def is_built(encoder: Any, decoder: Any) -> bool:
    """Tell whether both networks have their weights, so that the model has all of its own."""
    return all(network.built and _known_shape(network, "input_shape") is not None for network in (encoder, decoder))


def check_saving(model: keras.Model, path: Any, base: type[keras.Model]) -> None:
    """Refuse what can be written and not be read again."""
    if str(path).endswith((".h5", ".hdf5")):
        raise ValueError(f"A VAE cannot be read back from the HDF5 format of {path}. Save it as a .keras file.")
    shared = [layer.name for layer in _shared_layers(model.encoder, model.decoder) if layer.weights]
    if shared:
        raise ValueError(
            f"Encoder and decoder have the layer {shared[0]!r} in common, which could not be loaded again: Keras saves "
            "it in one of them, and makes two of it. Keep the weights alone, by save_weights, and load them into a "
            "model that is built as this one was."
        )
    kind = type(model)
    if kind is base or _function(kind.from_config) is not _function(base.from_config):
        return
    try:
        inspect.signature(kind).bind(**model.get_config())
    except TypeError as error:
        raise TypeError(
            f"{kind.__name__} could not be loaded again: its constructor does not take what get_config() gives "
            f"({error}). Override get_config, or from_config, or let the constructor take the arguments of tfvae.VAE. "
            "Or keep the weights alone, by save_weights."
        ) from error


def _function(method: Any) -> Any:
    """Return the function of a class method; of a static one, itself."""
    return getattr(method, "__func__", method)


def check_overrides(kind: type[keras.Model], base: type[keras.Model]) -> None:
    """Refuse subclasses that change a part of the model in one method, which others of ``base`` would not follow."""
    for name in ("posterior", "prior", "likelihood", "compute_loss"):
        if getattr(kind, name) is not getattr(base, name):
            raise TypeError(
                f"{kind.__name__} overrides {name}(), which training would not follow. Pass the constructor another "
                "network or family (subclass tfvae.distributions.Family for a distribution of your own); for another "
                "loss override train_step and test_step."
            )


def check_data(x: Any, likelihood: Family) -> None:
    """Check an array's shape and support; what else Keras takes is let through unread."""
    check_one_tensor(x)
    values = as_numpy(x)
    if values is not None:
        likelihood.check_data_shape(values.shape)
        likelihood.check_support(values)


def as_numpy(x: Any) -> np.ndarray | None:
    """Return the values of an array of NumPy, TensorFlow, PyTorch, JAX or pandas; None for whatever else."""
    if hasattr(x, "detach"):  # PyTorch's, which NumPy cannot read on another device or with a gradient.
        x = x.detach().cpu()
    readable = hasattr(x, "numpy") if tf.is_tensor(x) else hasattr(x, "__array__")
    return np.asarray(x) if readable else None


def check_compile(strategy: tf.distribute.Strategy, optimizer: Any, arguments: dict[str, Any]) -> None:
    """Refuse what a VAE has no use for, and what Keras cannot do under a distribution strategy."""
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        if arguments.get(name) is not None:
            raise ValueError(
                f"compile() of a VAE takes no {name}: its loss is minus the evidence lower bound, and loss, elbo, "
                f"reconstruction and kl are its metrics. Leave {name} out."
            )
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise ValueError(
            "A VAE does not train under MultiWorkerMirroredStrategy: fit() of Keras 3 does not support it "
            "(github.com/keras-team/keras/issues/20585). Use MirroredStrategy on one machine."
        )
    if strategy.num_replicas_in_sync == 1:
        return
    steps = arguments.get("steps_per_execution", 1)
    if steps != 1:
        raise ValueError(
            f"steps_per_execution={steps} does not work under a distribution strategy: Keras runs the steps in a loop "
            "inside the graph, where replicas cannot exchange gradients. Leave it at 1."
        )
    accumulated = getattr(optimizer, "gradient_accumulation_steps", None)
    if accumulated is not None:
        raise ValueError(
            f"gradient_accumulation_steps={accumulated} does not work under a distribution strategy: Keras decides in "
            "the graph whether to update, where replicas cannot exchange gradients. Leave it out, and take larger "
            "batches."
        )
    if arguments.get("jit_compile") is True:
        raise ValueError(
            "jit_compile=True does not work under a distribution strategy: XLA compiles the step of one device, and "
            "cannot contain the exchange between replicas. Leave it out."
        )


def _last_activation(network: Any) -> str:
    """Return the name of the activation of Keras' own layer that a network ends in, but for its shape; "" if unsure."""
    last = _last_layer(network)
    if not type(last).__module__.startswith("keras."):
        return ""
    return getattr(getattr(last, "activation", None), "__name__", "")


def _last_layer(network: Any) -> Any:
    """Return the last layer of models within models, but for those that only change the shape."""
    if isinstance(network, keras.Sequential):
        layers = [layer for layer in network.layers if not isinstance(layer, _SHAPING)]
        return _last_layer(layers[-1]) if layers else network
    outputs = getattr(network, "outputs", None)
    if not (isinstance(outputs, list) and outputs and isinstance(outputs[0], keras.KerasTensor)):
        return network
    last, node, _ = outputs[0]._keras_history
    while isinstance(last, _SHAPING):
        last, node, _ = last._inbound_nodes[node].input_tensors[0]._keras_history
    return _last_layer(last)


def _shared_layers(first: Any, second: Any) -> list[Any]:
    in_second = {id(layer) for layer in second._flatten_layers()}
    return [layer for layer in first._flatten_layers() if id(layer) in in_second]


def _known_shape(network: Any, attribute: str) -> Any:
    """Return the shape of a functional or built Sequential model; None where only calling it would tell."""
    try:
        shape = getattr(network, attribute, None)
    except (AttributeError, ValueError, RuntimeError):
        return None
    return shape if isinstance(shape, tuple) and all(n is None or isinstance(n, int) for n in shape) else None
