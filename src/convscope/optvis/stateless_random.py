"""Random numbers that hang on a seed alone, and functions that round alike in every batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from convscope.models.backend import tf

# The float32 numbers that fill the widest vector of today's processors.
LANES = 16

# The middles of 2^16 equally likely slices of the normal distribution.
NORMAL = np.array([NormalDist().inv_cdf((n + 0.5) / 2**16) for n in range(2**16)], np.float32)


def words(seeds: tf.Tensor, count: int) -> tf.Tensor:
    """Return `(samples, count)` random uint32 words, each row from its own seed alone.

    A word is a hash of its seed and its place: the same on every machine, and one graph of few
    operations whatever the number of samples, where TensorFlow's own draws need one for each seed.

    Args:
        seeds: int32 `(samples, 2)`; neighbours in either number give unrelated words.
        count: words for each seed.
    """
    first, second = tf.unstack(tf.bitcast(seeds, tf.uint32), axis=1)
    key = _scramble(_scramble(first) + second)
    places = _scramble(tf.constant(np.arange(count, dtype=np.uint32)))
    return _scramble(tf.bitwise.bitwise_xor(key[:, None], places))


def _scramble(word: tf.Tensor) -> tf.Tensor:
    """Return uint32 words, one for one, of which each bit depends on every bit of `word`.

    Source: Chris Wellons, "Prospecting for Hash Functions", 2018 (the constants of lowbias32).
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        high = tf.bitwise.right_shift(word, tf.constant(shift, tf.uint32))
        word = tf.bitwise.bitwise_xor(word, high) * tf.constant(factor, tf.uint32)
    return word


def uniform(seeds: tf.Tensor, count: int) -> tf.Tensor:
    """Return `(samples, count)` numbers in [-1, 1), each row drawn from its own seed."""
    # 24 bits are what float32 holds without rounding up to 1.
    bits = tf.bitwise.right_shift(words(seeds, count), tf.constant(8, tf.uint32))
    return tf.cast(bits, tf.float32) * 2.0**-23 - 1.0


def normal(seeds: tf.Tensor, shape: tuple[int, ...], deviation: float) -> tf.Tensor:
    """Return `(samples, *shape)` normal numbers, each sample drawn from its own seed."""
    count = math.prod(shape)
    halves = tf.bitcast(words(seeds, -(-count // 2)), tf.uint16)
    places = tf.cast(tf.reshape(halves, (seeds.shape[0], -1))[:, :count], tf.int32)
    return deviation * tf.reshape(tf.gather(NORMAL, places), (-1, *shape))


def steady(function: Callable[[tf.Tensor], tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    """Return `function` of each number, the same to the last bit whatever the number of samples.

    TensorFlow computes whole vectors of numbers with one code and what is left at a tensor's end
    with another, which may round otherwise: the sigmoid, the exponential, the logarithm, the sine
    and the cosine do. So every sample is filled up to whole vectors.

    Args:
        function: works on each number by itself.
        values: `(samples, ...)`.
    """
    count = math.prod(values.shape[1:])
    gap = -count % LANES
    if not gap:
        return function(values)
    filled = tf.pad(tf.reshape(values, (-1, count)), ((0, 0), (0, gap)))
    return tf.reshape(function(filled)[:, :count], (-1, *values.shape[1:]))
