"""What photographs do to a layer: every filter's peak on every image, and what feeds a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.attribution import patch_sum, positions
from convscope.backend import tf
from convscope.network import Network, look, preactivation


@dataclass(frozen=True)
class Peaks:
    """Each filter's largest preactivation on each photograph; arrays `(photographs, filters)`.

    Attributes:
        values: the preactivation, float32.
        rows: its row in the layer's map; the first of equal ones.
        columns: its column.
    """

    values: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def strongest(self, filter: int, count: int) -> np.ndarray:
        """Return the photographs with the highest peaks of a filter, strongest first."""
        return np.argsort(-self.values[:, filter], kind="stable")[:count]


@dataclass(frozen=True)
class Observation:
    """What some photographs do to one convolution and the layers before it.

    Attributes:
        peaks: {layer: peaks of all its filters}.
        patch_sum: what each tap of the convolution sees of each input channel, summed over
            photographs and positions `(height, width, C)`.
        fired: positions at which each filter of the convolution has a preactivation above zero.
        count: positions in all, over the photographs.
    """

    peaks: dict[str, Peaks]
    patch_sum: np.ndarray
    fired: np.ndarray
    count: int

    @property
    def patch_mean(self) -> np.ndarray:
        """What each tap sees of each input channel on average `(height, width, C)`."""
        return self.patch_sum / self.count

    @property
    def firing_rate(self) -> np.ndarray:
        """The share of positions at which each filter fires `(filters,)`."""
        return self.fired / self.count


def observer(
    network: Network, target: str, sources: Sequence[str]
) -> Callable[[np.ndarray], Observation]:
    """Return a function from photographs in [0, 1] to what they do, in one compiled pass.

    Args:
        network: the network, in float32.
        target: the convolution whose inputs are asked for; its peaks are observed too.
        sources: layers before it whose peaks are observed.
    """
    layer = network.model.get_layer(target)
    tensors = {name: preactivation(network.model.get_layer(name)) for name in (*sources, target)}
    model = look(network, {**tensors, "": layer.input})

    @tf.function(reduce_retracing=True)
    def forward(pixels: tf.Tensor) -> tuple[dict[str, tuple[tf.Tensor, ...]], tf.Tensor, tf.Tensor]:
        maps = model(pixels)
        inputs = maps.pop("")
        fired = tf.reduce_sum(tf.cast(maps[target] > 0, tf.int64), axis=(0, 1, 2))
        return {name: _peak(values) for name, values in maps.items()}, fired, inputs

    def observe(pixels: np.ndarray) -> Observation:
        found, fired, inputs = forward(tf.constant(pixels))
        peaks = {name: Peaks(*(part.numpy() for part in parts)) for name, parts in found.items()}
        rows, columns = positions(inputs.shape[1:3], layer)
        count = len(pixels) * rows * columns
        return Observation(peaks, patch_sum(inputs.numpy(), layer), fired.numpy(), count)

    return observe


def counter(
    network: Network, layer: str, filters: Sequence[int]
) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, int]]:
    """Return a function that counts the positions of photographs that lie below activations.

    It takes photographs in [0, 1] and an activation for each filter `(filters,)`, and returns at
    how many positions the filter's preactivation is lower `(filters,)`, and how many there are.

    Args:
        network: the network, in float32.
        layer: the filters' layer.
        filters: the filter of each activation; one may stand here several times.
    """
    model = look(network, {layer: preactivation(network.model.get_layer(layer))})
    chosen = tf.constant(filters)

    @tf.function(reduce_retracing=True)
    def forward(pixels: tf.Tensor, activations: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        maps = model(pixels)[layer]
        flat = tf.reshape(maps, (-1, maps.shape[-1]))
        below = tf.gather(flat, chosen, axis=1) < activations
        return tf.reduce_sum(tf.cast(below, tf.int64), axis=0), tf.shape(flat)[0]

    def count(pixels: np.ndarray, activations: np.ndarray) -> tuple[np.ndarray, int]:
        below, positions = forward(tf.constant(pixels), tf.constant(activations, tf.float32))
        return below.numpy(), int(positions)

    return count


def _peak(values: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return the largest value, its row and its column, per photograph and filter."""
    shape = tf.shape(values)
    flat = tf.reshape(values, (shape[0], -1, shape[3]))
    place = tf.argmax(flat, axis=1, output_type=tf.int32)
    return tf.reduce_max(flat, axis=1), place // shape[2], place % shape[2]


def join(observations: Sequence[Observation]) -> Observation:
    """Return several batches' observations as one, in order."""
    layers = observations[0].peaks
    peaks = {
        layer: Peaks(
            *(
                np.concatenate([getattr(part.peaks[layer], name) for part in observations])
                for name in ("values", "rows", "columns")
            )
        )
        for layer in layers
    }
    return Observation(
        peaks,
        np.sum([part.patch_sum for part in observations], axis=0),
        np.sum([part.fired for part in observations], axis=0),
        sum(part.count for part in observations),
    )
