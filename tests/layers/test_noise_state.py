"""The noise state: seeds that never repeat, and how it starts."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvae.layers import NoiseState


def test_counts_one_up_per_draw_eager_and_in_a_function():
    noise = NoiseState(seed=-5)
    step = tf.function(noise.next_seed)
    seeds = [noise.next_seed(), step(), step(), noise.next_seed()]
    np.testing.assert_array_equal(seeds, [[-5, 0], [-5, 1], [-5, 2], [-5, 3]])
    np.testing.assert_array_equal(noise.state, [-5, 4])


def test_threads_never_get_the_same_seed():
    noise, seeds = NoiseState(seed=1), []
    threads = [
        threading.Thread(target=lambda: seeds.extend(noise.next_seed().numpy()[1] for _ in range(200)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seeds) == list(range(800))


@pytest.mark.parametrize("seed", [2**63 - 1, -(2**63), 0])
def test_all_64_bits_of_a_seed_are_kept(seed):
    assert NoiseState(seed=seed).next_seed().numpy().tolist() == [seed, 0]


def test_two_draws_in_one_traced_step_differ():
    noise = NoiseState(seed=1)

    @tf.function
    def step():
        return noise.next_seed(), noise.next_seed()

    first, second = step()
    assert first.numpy().tolist() != second.numpy().tolist()


def test_without_a_seed_set_random_seed_decides_req_38():
    keras.utils.set_random_seed(7)
    first = NoiseState().next_seed()
    other = NoiseState().next_seed()
    keras.utils.set_random_seed(7)
    np.testing.assert_array_equal(first, NoiseState().next_seed())
    assert first.numpy().tolist() != other.numpy().tolist()


def test_the_path_of_the_state_has_the_name_of_the_layer():
    assert NoiseState(name="first").state.path == "first/state"


def test_state_is_not_trained_and_keeps_its_dtype_under_mixed_precision():
    noise = NoiseState(seed=2**62 + 1, dtype="mixed_float16")
    assert not noise.trainable_weights
    assert noise.next_seed().numpy().tolist() == [2**62 + 1, 0]


@pytest.mark.parametrize("seed", ["x", 1.5, 2**63, -(2**63) - 1, True, [1, 2]])
def test_bad_seeds_are_refused_req_35(seed):
    with pytest.raises(
        (TypeError, ValueError), match=r"The seed of NoiseState must be None or an integer that fits in 64 bits"
    ):
        NoiseState.from_config({"seed": seed})
