"""What a network answers to the readings an objective asks for, at the least cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convscope.models.backend import keras, tf
from convscope.models.flow import Window, window
from convscope.models.network import Network, look, preactivation
from convscope.optvis.objectives import Reading, own

Reader = Callable[[tf.Tensor, tf.Tensor | None, tf.Tensor], dict[Reading, tf.Tensor]]
"""Images, the reference images or None, the filter of each image -> what was to be read."""


def reader(network: Network, readings: Sequence[Reading]) -> Reader:
    """Return a function from images in [0, 1] to the readings, cut behind the last layer asked for.

    Where only each image's own filter is read, only that filter is computed: the convolution in
    front of 512 filters costs an eighth of all up to `block4_conv3`, one of its filters nothing.

    Args:
        network: the network to look into.
        readings: what to read, without repetition.
    """
    layers = list(dict.fromkeys(reading.layer for reading in readings))
    graph = network.graph(layers)
    found = {name: graph[name] for name in layers}
    alone = {
        name: layer
        for name, layer in found.items()
        if separable(layer) and not any(asked.whole for asked in readings if asked.layer == name)
    }
    tensors = {
        name: layer.input if name in alone else preactivation(layer)
        for name, layer in found.items()
    }
    model = look(network, tensors)
    seconds = any(reading.reference for reading in readings)

    def read(
        images: tf.Tensor, references: tf.Tensor | None, filters: tf.Tensor
    ) -> dict[Reading, tf.Tensor]:
        answers = {False: model(images)}
        if seconds:
            answers[True] = model(references)
        values = {}
        for reading in readings:
            value = answers[reading.reference][reading.layer]
            if reading.layer in alone:
                value = own_map(alone[reading.layer], value, filters)
            elif not reading.whole:
                value = own(value, filters)
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
