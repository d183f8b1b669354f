"""Data that the likelihood gives no probability to is refused however it comes, and before anything learns from it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.distributions import Bernoulli

MESSAGE = r"Bernoulli expects values that are 0 or 1; 96 of 96 values are not, the first being 0\.5 at index \[0, 0\]"


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return len(self.x) // 16

    def __getitem__(self, index):
        return (self.x[16 * index : 16 * index + 16],)


class Readable:
    """An array of another library that NumPy can read, as those of JAX and pandas."""

    def __init__(self, x):
        self.x = x

    def __array__(self, *args, **kwargs):
        return self.x


class Foreign:
    """One as those of PyTorch, which NumPy can read only after ``detach`` and ``cpu`` have been called."""

    def __init__(self, x):
        self.x = x

    def detach(self):
        return Foreign(self.x)

    def cpu(self):
        return self.x

    def __array__(self, *args, **kwargs):
        raise AssertionError("on another device")


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(16)


SOURCES = {
    "array": lambda x: x[:16],
    "tensor": lambda x: tf.constant(x[:16]),
    "dataset": lambda x: tf.data.Dataset.from_tensor_slices(x).batch(16),
    "dataset with targets": lambda x: dataset(x, np.zeros(len(x))),
    "dataset with weights": lambda x: dataset(x, np.zeros(len(x)), np.ones(len(x))),
    "prefetched bfloat16": lambda x: dataset(tf.cast(x, tf.bfloat16)).prefetch(2),
    "generator": lambda x: (batch for batch in [(x[:16],), (x[16:],)]),
    "PyDataset": Batches,
}


@pytest.fixture
def vae(make_vae):
    vae = make_vae(likelihood=Bernoulli(6))
    vae.compile("adam")
    return vae


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # As Keras says of every generator.
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_greys_are_refused_from_every_source_and_binary_data_is_not(vae, source):
    greys = np.full([32, 6], 0.5, np.float32)
    before = [weight.numpy() for weight in vae.trainable_weights]
    with pytest.raises(ValueError, match=MESSAGE):
        vae.fit(source(greys), shuffle=False, verbose=0)
    with pytest.raises(ValueError, match=MESSAGE):
        vae.evaluate(source(greys), verbose=0)
    for was, now in zip(before, vae.trainable_weights, strict=True):
        np.testing.assert_array_equal(now.numpy(), was)
    binary = np.round(greys)
    history = vae.fit(source(binary), validation_data=source(binary), shuffle=False, verbose=0).history
    assert np.isfinite(history["val_elbo"]).all()


@pytest.mark.parametrize("array", [Readable, Foreign])
def test_arrays_of_other_libraries_are_read(vae, array):
    greys = np.full([16, 6], 0.5, np.float32)
    for method in (vae.fit, vae.evaluate, vae.train_on_batch, vae.test_on_batch):
        with pytest.raises(ValueError, match=MESSAGE):
            method(array(greys))


@pytest.mark.parametrize("mode", [{"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}], ids=str)
def test_the_message_is_the_same_in_every_mode(vae, mode):
    vae.compile("adam", **mode)
    with pytest.raises(ValueError, match=MESSAGE):
        vae.fit(dataset(np.full([32, 6], 0.5, np.float32)), shuffle=False, verbose=0)


def test_validation_data_out_of_a_dataset_is_checked(vae):
    greys = np.full([16, 6], 0.5, np.float32)
    with pytest.raises(ValueError, match=MESSAGE):
        vae.fit(np.round(greys), validation_data=dataset(greys), verbose=0)


def test_a_dataset_is_neither_started_for_the_check_nor_changed(vae):
    starts, x = [], np.zeros([40, 6], np.float32)

    def batches():
        starts.append(1)
        yield from (x[:16], x[16:32], x[32:])

    data = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([None, 6], tf.float32))
    vae.fit(data.apply(tf.data.experimental.assert_cardinality(3)), epochs=2, shuffle=False, verbose=0)
    assert len(starts) == 2
    checked = tfvae.models._data.SupportCheck(Bernoulli(6)).data(dataset(x, np.arange(40)))
    assert checked.element_spec == dataset(x, np.arange(40)).element_spec
    assert int(checked.cardinality()) == 3
    for got, want in zip(checked, dataset(x, np.arange(40)), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, got, want)


def test_what_comes_late_or_is_nan_does_not_end_a_training(vae):
    """A first batch tells of the wrong kind of data; one bad batch of many is left to the check of the update."""
    x = np.zeros([32, 6], np.float32)
    late, nan = x.copy(), x.copy()
    late[31], nan[0] = 0.5, np.nan
    greys = np.full([32, 6], 0.5, np.float32)
    greys[0] = np.nan
    with pytest.raises(ValueError, match=r"expects values that are 0 or 1; 90 of 90 values"):
        vae.fit(dataset(greys), shuffle=False, verbose=0)
    assert np.isfinite(vae.fit(dataset(late), epochs=2, shuffle=False, verbose=0).history["elbo"]).all()
    with pytest.warns(RuntimeWarning, match="1 updates were skipped"):
        vae.fit(dataset(nan), shuffle=False, verbose=0)


def test_a_first_batch_of_a_later_epoch_is_not_checked(vae):
    epochs, x = [], np.zeros([16, 6], np.float32)

    def batches():
        epochs.append(1)
        yield x if len(epochs) == 1 else x + 0.5

    data = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([None, 6], tf.float32))
    data = data.apply(tf.data.experimental.assert_cardinality(1))
    history = vae.fit(data, epochs=2, shuffle=False, verbose=0).history
    assert len(epochs) == 2
    assert np.isfinite(history["elbo"]).all()
