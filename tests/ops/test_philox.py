"""Random123's Philox and TensorFlow's normals against the NumPy module, at every instruction set of this machine."""

import math

import numpy as np
import pytest
import tensorflow as tf

EXTREME_SEEDS = [(0, 0), (-1, -1), (-(2**63), 2**63 - 1), (2**63 - 1, -(2**63)), (2**32, -(2**32)), (1, 2**31)]
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_WEYL0, _WEYL1 = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF
_SCRAMBLE_KEY = (0x3EC8F720, 0x02461E29)


def philox(counter, key):
    """Philox-4x32-10 in Python integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL0) & _MASK, (k1 + _WEYL1) & _MASK
    return c0, c1, c2, c3


def inverse_philox(words, key):
    """The counter whose words these are: each round is a bijection, because the multipliers are odd."""
    c0, c1, c2, c3 = words
    inverse0, inverse1 = pow(_M0, -1, 2**32), pow(_M1, -1, 2**32)
    for i in reversed(range(10)):
        k0, k1 = (key[0] + i * _WEYL0) & _MASK, (key[1] + i * _WEYL1) & _MASK
        old0, old2 = c3 * inverse0 & _MASK, c1 * inverse1 & _MASK
        c0, c1, c2, c3 = old0, (old2 * _M1 >> 32) ^ c0 ^ k0, old2, (old0 * _M0 >> 32) ^ c2 ^ k1
    return c0, c1, c2, c3


# Random123's known answers, from ORACLES.md: counter, key, words.
KNOWN = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((_MASK,) * 4, (_MASK,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def signed(low, high):
    value = low | high << 32
    return value - 2**64 if value >= 2**63 else value


def seed_of_stream(key, counter_high):
    """The seed that TensorFlow's scramble turns into this key and this upper half of the counter."""
    s = inverse_philox((*key, *counter_high), _SCRAMBLE_KEY)
    return signed(s[0], s[1]), signed(s[2], s[3])


def box_muller(words):
    """Two float32 normals per pair of words, in float64: TensorFlow's conventions with exact functions."""
    uniform = [(word & 0x7FFFFF) / 2**23 for word in words]
    radius = math.sqrt(-2 * math.log(max(uniform[0], 1e-7)))
    return radius * math.sin(2 * math.pi * uniform[1]), radius * math.cos(2 * math.pi * uniform[1])


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_the_reference_philox_gives_the_known_answers(counter, key, words):
    assert philox(counter, key) == words
    assert inverse_philox(words, key) == counter


def test_known_answer_req_8(kernels, isa):
    """Random123's words for counter 0 and key 0, through the seed that leads there."""
    seed = seed_of_stream(KNOWN[0][1], KNOWN[0][0][2:])
    assert tuple(kernels.philox_words(4, seed=seed, isa=isa).tolist()) == KNOWN[0][2]


@pytest.mark.parametrize("seed", EXTREME_SEEDS)
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 67, 10_001])
def test_words_equal_tensorflow_req_8(kernels, isa, seed, count):
    expected = tf.random.stateless_uniform(
        [count], tf.constant(seed, tf.int64), dtype=tf.uint32, minval=None, maxval=None, alg="philox"
    )
    np.testing.assert_array_equal(kernels.philox_words(count, seed=seed, isa=isa), expected)


def test_normals_on_a_million_draws_req_7(kernels, isa, exact):
    for number in range(100):
        seed = (number, 1000 - number**5)
        got = kernels.standard_normal(10_001, seed=seed, isa=isa)
        assert np.abs(got - exact.noise([10_001], seed, tf.float32)).max() <= 2e-6


def test_float64_normals(kernels, isa, exact, tolerance):
    got = kernels.standard_normal(100_001, seed=(5, 6), dtype="float64", isa=isa)
    assert np.abs(got - exact.noise([100_001], (5, 6), tf.float64)).max() <= tolerance.noise["float64"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_piece_is_a_piece_of_the_whole(kernels, isa, dtype):
    whole = kernels.standard_normal(5000, seed=(1, 2), dtype=dtype, isa=isa)
    for begin, count in ((0, 1), (1, 1), (2, 7), (3, 2049), (2047, 3), (4999, 1), (5000, 0)):
        piece = kernels.standard_normal(count, seed=(1, 2), dtype=dtype, begin=begin, isa=isa)
        np.testing.assert_array_equal(piece, whole[begin : begin + count])


@pytest.mark.parametrize("begin", [2**31 - 3, 2**33 + 1, 2**34 - 6, 2**40, 2**62])
def test_64_bit_positions(kernels, isa, begin):
    """Far elements, past where the counter's first word overflows (2^34), by Philox in Python integers."""
    seed = (11, -12)
    s = [part & (2**64 - 1) for part in seed]
    mixed = philox((s[0] & _MASK, s[0] >> 32, s[1] & _MASK, s[1] >> 32), _SCRAMBLE_KEY)
    expected = []
    for group in range(begin // 4, (begin + 20) // 4 + 1):
        words = philox((group & _MASK, group >> 32, *mixed[2:]), mixed[:2])
        expected += [*box_muller(words[:2]), *box_muller(words[2:])]
    lead = begin % 4
    got = kernels.standard_normal(20, seed=seed, begin=begin, isa=isa)
    # Exact angles on both sides, so tighter than against TensorFlow: 5.68 times 3 roundings.
    np.testing.assert_allclose(got, expected[lead : lead + 20], rtol=0, atol=1e-6)
