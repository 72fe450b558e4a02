"""What ascends: a score for each sample, made of preactivations."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from convscope.models.backend import keras, tf
from convscope.models.graph import Window, window
from convscope.models.network import Network, look, preactivation

# Lucid's. The floor keeps two negatives from making a positive, and leaves a gradient where the
# angle is wide; the other number spares silent positions a division by zero.
FLOOR, EPSILON = 0.1, 1e-4


@dataclass(frozen=True, order=True)  # TensorFlow sorts the keys of what enters its graphs
class Reading:
    """What an objective reads of the network: preactivations of one layer.

    Attributes:
        layer: the layer's name.
        whole: False for each sample's own filter, `(samples, height, width)`; True for all of
            them, `(samples, height, width, filters)`. A classifier has no rows and columns:
            `(samples,)` and `(samples, filters)`.
        reference: of the reference image, which goes through the same transforms as the sample.
    """

    layer: str
    whole: bool = False
    reference: bool = False


class Samples(NamedTuple):
    """What a batch shows: each sample's own filter, int, and its sign, 1 or -1; `(samples,)`."""

    filters: tf.Tensor
    signs: tf.Tensor


Readings = Mapping[Reading, tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """A score to be raised.

    Attributes:
        readings: what it reads of the network, each once.
        score: readings, whose samples they are -> scores `(samples,)`, higher is better.
    """

    readings: tuple[Reading, ...]
    score: Callable[[Readings, Samples], tf.Tensor]


def relative(main: Objective, term: Objective, weight: float) -> Objective:
    """Return main + weight * |main| * term, with no gradient through |main|.

    A term from -1 to 0 then costs a share of the score, however large a layer's scores are.
    """

    def score(readings: Readings, samples: Samples) -> tf.Tensor:
        plain, share = main.score(readings, samples), term.score(readings, samples)
        return plain + weight * tf.stop_gradient(tf.abs(plain)) * share

    return Objective(tuple(dict.fromkeys((*main.readings, *term.readings))), score)


def signed(objective: Objective) -> Objective:
    """Return the objective times each sample's sign: at -1, what its filter dislikes most."""
    return Objective(
        objective.readings,
        lambda readings, samples: samples.signs * objective.score(readings, samples),
    )


def _of(reading: Reading, formula: Callable[[tf.Tensor], tf.Tensor]) -> Objective:
    """Return the objective whose scores are a formula of the values of one reading."""
    return Objective((reading,), lambda readings, samples: formula(readings[reading]))


def channel(layer: str) -> Objective:
    """Return the mean preactivation over the whole map: the texture that a filter likes."""
    return _of(Reading(layer), _mean)


def neuron(layer: str, position: tuple[int, int] | None = None) -> Objective:
    """Return the preactivation at one position of the map: the pattern that a neuron likes.

    The position is (row, column), by default the centre, (height // 2, width // 2).

    Raises:
        ValueError: when the score is made, a position outside the map.
    """

    def score(values: tf.Tensor) -> tf.Tensor:
        size = tuple(values.shape[1:])
        where = tuple(extent // 2 for extent in size) if position is None else tuple(position)
        if len(where) != len(size) or any(map(operator.ge, where, size)):
            extent = f"{size[0]} rows and {size[1]} columns" if size else "no rows and columns"
            raise ValueError(f"{layer} has {extent}, counted from 0. Received: {where}.")
        return values[(slice(None), *where)]

    return _of(Reading(layer), score)


def direction(
    layer: str, others: Mapping[int, float] = MappingProxyType({}), power: float = 2.0
) -> Objective:
    """Return how far a layer goes along each sample's direction, its own filter with others.

    The own filter weighs 1, unless `others`, {filter: weight}, gives its weight too. Scores as in
    `aligned`, from preactivations: a silent filter has a gradient.

    Raises:
        ValueError: when the score is made, a filter that the layer lacks.
    """
    reading, weights = Reading(layer, whole=True), dict(others)

    def score(readings: Readings, samples: Samples) -> tf.Tensor:
        count = readings[reading].shape[-1]
        if lacking := weights.keys() - range(count):
            message = f"{layer} has {count} filters, counted from 0."
            raise ValueError(f"{message} Received: {max(lacking)} in a direction.")
        given = np.array([number in weights for number in range(count)])
        mixed = np.array([weights.get(number, 0) for number in range(count)], np.float32)
        vectors = tf.where(given, mixed, tf.one_hot(samples.filters, count))
        return aligned(readings[reading], vectors, power)

    return Objective((reading,), score)


def deepdream(layer: str) -> Objective:
    """Return the mean square of a layer's activations: more of whatever it sees.

    Preactivations count after a ReLU, since squares would reward the silent ones. Source:
    Mordvintsev, Olah and Tyka, "Inceptionism", 2015.
    """
    whole = Reading(layer, whole=True)
    return _of(whole, lambda values: _mean(tf.square(tf.nn.relu(values))))


def logit(layer: str) -> Objective:
    """Return the own class's value before the softmax, which also rises when other classes fall.

    Source: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2014.

    Raises:
        ValueError: when the score is made, a layer with rows and columns.
    """

    def score(values: tf.Tensor) -> tf.Tensor:
        samples, *size = values.shape
        if size == [1, 1]:  # some classifiers are convolutions of a map of one position
            return tf.reshape(values, (samples,))
        if size:
            message = f"A logit has no rows and columns; for a filter of {layer} take channel."
            raise ValueError(f"{message} Received: {size[0]} rows and {size[1]} columns.")
        return values

    return _of(Reading(layer), score)


def diversity(layer: str, samples: int) -> Objective:
    """Return how little a sample is like the others of its unit, from -1 to 0.

    Minus the mean over the others of the dot product of Gram matrices `(filters, filters)`: sums
    over positions of products of activations, scaled to length 1. Preactivations count after a
    ReLU, so that no product is below 0. Each run of `samples` images in the batch is one unit;
    units never meet. Source: Olah, Mordvintsev and Schubert, "Feature Visualization", 2017.
    """

    def score(values: tf.Tensor) -> tf.Tensor:
        batch, *size, filters = values.shape
        positions = tf.reshape(tf.nn.relu(values), (batch, math.prod(size), filters))
        grams = tf.matmul(positions, positions, transpose_a=True)
        grams = tf.reshape(grams, (-1, samples, filters**2))
        grams = tf.math.divide_no_nan(grams, length(grams)[..., None])
        similarity = tf.matmul(grams, grams, transpose_b=True) * (1 - tf.eye(samples))
        return -tf.reshape(tf.reduce_sum(similarity, axis=-1), (batch,)) / (samples - 1)

    return _of(Reading(layer, whole=True), score)


def caricature(layer: str, power: float = 2.0) -> Objective:
    """Return how much a sample shows of what a layer sees in the reference image, and more.

    Scores as in `aligned`, with sums over all positions and filters. The reference counts after a
    ReLU: what is silent in both images is nothing to exaggerate. Where it fires, the sample counts
    before the ReLU, so that a silent filter has a gradient; elsewhere after it, since no later
    layer sees how silent a filter is. No gradient flows into the reference. Source: Lucid's recipe
    `caricature`.
    """
    # Block4_conv3 of VGG16, two photographs, 40 steps: the cosine of the activations reaches .75
    # and .69; with a ReLU on both sides .75 and .65, without any .20 and .20.
    mine, its = Reading(layer, whole=True), Reading(layer, whole=True, reference=True)

    def score(readings: Readings, samples: Samples) -> tf.Tensor:
        target = tf.stop_gradient(tf.nn.relu(readings[its]))
        values = tf.where(target > 0, readings[mine], tf.nn.relu(readings[mine]))
        shape = (-1, math.prod(target.shape[1:]))
        return aligned(tf.reshape(values, shape), tf.reshape(target, shape), power)

    return Objective((mine, its), score)


def aligned(maps: tf.Tensor, vectors: tf.Tensor, power: float) -> tf.Tensor:
    """Return each sample's mean over positions of dot * max(0.1, cosine)^power.

    There dot = x . v and cosine = dot / ((1e-4 + |x|) (1e-4 + |v|)). Source: Carter et al.,
    "Activation Atlas", 2019, in the form of its code, Lucid.

    Args:
        maps: x, `(samples, ..., filters)` with any positions between.
        vectors: v, one for each sample, `(samples, filters)`.
        power: how much the angle counts beside the length.
    """
    positions = tf.reshape(maps, (-1, math.prod(maps.shape[1:-1]), maps.shape[-1]))
    dots = tf.linalg.matvec(positions, vectors)
    lengths = (EPSILON + length(positions)) * (EPSILON + length(vectors)[:, None])
    return _mean(dots * tf.maximum(FLOOR, dots / lengths) ** power)


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Return each sample's mean `(samples,)`; a single value is its own mean."""
    return tf.reduce_mean(values, axis=tuple(range(1, len(values.shape))))


def length(values: tf.Tensor) -> tf.Tensor:
    """Return the lengths along the last axis; at zero the gradient is zero, not NaN."""
    squares = tf.reduce_sum(tf.square(values), axis=-1)
    some = squares > 0
    return tf.where(some, tf.sqrt(tf.where(some, squares, 1.0)), 0.0)


Reader = Callable[[Sequence[tf.Tensor], tf.Tensor], dict[Reading, tf.Tensor]]
"""The images and, where they are read, the reference images; the filter of each image -> what was
to be read."""


def reader(network: Network, readings: Sequence[Reading]) -> Reader:
    """Return a function from images in [0, 1] to the readings, cut behind the last layer asked for.

    Where only each image's own filter is read, only that filter is computed: the convolution in
    front of 512 filters costs an eighth of all up to `block4_conv3`, one of its filters nothing.

    Args:
        network: the network to look into.
        readings: what to read, without repetition.
    """
    whole = {reading.layer: False for reading in readings}
    whole |= {reading.layer: True for reading in readings if reading.whole}
    graph = network.graph(list(whole))
    alone = {name for name, every in whole.items() if separable(graph[name]) and not every}
    taken = {
        name: graph[name].input if name in alone else preactivation(graph[name]) for name in whole
    }
    model = look(network, taken)

    def read(seen: Sequence[tf.Tensor], filters: tf.Tensor) -> dict[Reading, tf.Tensor]:
        answers = [model(images) for images in seen]
        values = {}
        for reading in readings:
            value = answers[reading.reference][reading.layer]
            if reading.layer in alone:
                value = own_map(graph[reading.layer], value, filters)
            elif not reading.whole:
                value = tf.gather(value, filters, axis=-1, batch_dims=1)
            values[reading] = value
        return values

    return read


def separable(layer: keras.layers.Layer) -> bool:
    """Return whether one filter of a layer can be computed without the others."""
    # The type itself: a subclass may compute something else.
    return type(layer) is keras.layers.Conv2D and layer.groups == 1


def own_map(layer: keras.layers.Conv2D, inputs: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """Return the preactivations `(samples, rows, columns)` of one filter for each sample.

    Every tap of the kernel is first taken at every position, as one small product for a sample;
    then the taps' maps are added, each moved to where it belongs.

    Args:
        layer: the convolution.
        inputs: what goes into it, float32 `(samples, height, width, C)`.
        filters: the filter of each sample `(samples,)`.
    """
    seen_by = window(layer) or Window()
    (height, width), strides, rates = seen_by.taps, seen_by.strides, seen_by.rates
    kernel = tf.cast(tf.gather(layer.kernel, filters, axis=3), tf.float32)
    taps = tf.reshape(tf.transpose(kernel, (3, 2, 0, 1)), (-1, inputs.shape[3], height * width))
    size = inputs.shape[1:3]
    flat = tf.reshape(inputs, (-1, size[0] * size[1], inputs.shape[3]))
    seen = tf.reshape(tf.matmul(flat, taps), (-1, *size, height * width))
    (rows, above, below), (columns, left, right) = seen_by.spans(size)
    seen = tf.pad(seen, [[0, 0], [above, below], [left, right], [0, 0]])
    total = tf.gather(layer.bias, filters) if layer.use_bias else tf.zeros_like(taps[:, 0, 0])
    total = tf.cast(total, tf.float32)[:, None, None]
    for tap in range(height * width):
        down, across = tap // width * rates[0], tap % width * rates[1]
        last = down + (rows - 1) * strides[0] + 1, across + (columns - 1) * strides[1] + 1
        total += seen[:, down : last[0] : strides[0], across : last[1] : strides[1], tap]
    return total
