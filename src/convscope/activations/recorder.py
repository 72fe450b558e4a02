"""What photographs do to a layer: every filter's peak on every image, and what feeds a kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from convscope.activations.shard import HALF
from convscope.activations.statistics import BINS, Observation, Peaks, join
from convscope.data import dataset, photograph
from convscope.data.dataset import halves
from convscope.data.views import Fit, Sides, Size, View
from convscope.models.backend import tf
from convscope.models.linear import obstacle
from convscope.models.network import Network, look, mapped, preactivation, tap
from convscope.models.position import receptive_field, verified
from convscope.models.receptive_field import ReceptiveField, sees_all
from convscope.settings import sides as pair
from convscope.unit import Unit


@dataclass(frozen=True)
class LayerBatch:
    """What went into a layer and came out of it for a batch of photographs, as a whole.

    Attributes:
        inputs: float32 `(photographs, rows, columns, channels)`.
        maps: preactivations `(photographs, rows, columns, filters)`.
    """

    inputs: np.ndarray
    maps: np.ndarray


def observer(
    network: Network, target: str, sources: Sequence[str]
) -> Callable[[np.ndarray], tuple[Observation, LayerBatch]]:
    """Return a function from photographs in [0, 1] to what they do, in one compiled pass.

    Args:
        network: the network, in float32.
        target: the linear layer whose inputs are asked for; its peaks are observed too.
        sources: layers before it whose peaks are observed.

    Raises:
        ValueError: the target is not linear in its inputs.
    """
    graph = network.graph([*sources, target])
    if why := obstacle(graph[target]):
        raise ValueError(why)
    tensors = {name: preactivation(graph[name]) for name in (*sources, target)}
    model = look(network, {**tensors, "": graph[target].input})

    @tf.function(reduce_retracing=True)
    def forward(pixels: tf.Tensor) -> tuple[dict[str, tuple[tf.Tensor, ...]], tf.Tensor, tf.Tensor]:
        maps = {name: mapped(values) for name, values in model(pixels).items()}
        inputs = maps.pop("")
        return {name: _summary(values) for name, values in maps.items()}, inputs, maps[target]

    def observe(pixels: np.ndarray) -> tuple[Observation, LayerBatch]:
        found, *whole = forward(tf.constant(pixels))
        peaks = {name: Peaks(*(part.numpy() for part in seen)) for name, seen in found.items()}
        batch = LayerBatch(*(part.numpy() for part in whole))
        return Observation(peaks, batch.inputs.min(axis=(0, 1, 2))), batch

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
    look_at = tf.function(tap(network, [layer], pre=True), reduce_retracing=True)
    chosen = tf.constant(filters)

    def count(pixels: np.ndarray, activations: np.ndarray) -> tuple[np.ndarray, int]:
        maps = tf.gather(mapped(look_at(tf.constant(pixels))[layer]), chosen, axis=3)
        below = tf.cast(maps < tf.constant(activations, tf.float32), tf.int64)
        return tf.reduce_sum(below, axis=(0, 1, 2)).numpy(), math.prod(maps.shape[:3])

    return count


def summarizer(network: Network, layer: str) -> Callable[[np.ndarray], Peaks]:
    """Return a function from photographs in [0, 1] to what a layer's filters do, in one pass.

    The same photographs give the same bits again. A classifier's logits are a map of 1 x 1.

    Args:
        network: the network, in float32.
        layer: a convolution or the classifier; nothing beyond it is computed.
    """
    model = look(network, {layer: preactivation(network.find(layer))})

    # One graph for batches of any length: another one might round in another way.
    @tf.function(input_signature=[tf.TensorSpec(model.inputs[0].shape, tf.float32)])
    def forward(pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return _summary(mapped(model(pixels)[layer]))

    def summarize(pixels: np.ndarray) -> Peaks:
        found = Peaks(*(part.numpy() for part in forward(tf.constant(pixels))))
        if not np.isfinite(found.means).all():
            filters = np.flatnonzero(~np.isfinite(found.means).all(axis=0))
            raise ValueError(
                f"{len(filters)} filters of {layer} of {network.name}, the first of them"
                f" {filters[0]}, have activations that are no finite numbers. Its weights are"
                " damaged, or its input lies far outside what it was trained on."
            )
        return found

    return summarize


def _summary(maps: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return peak, its row and column, and mean `(photographs, filters)`, and the histograms."""
    shape = tf.shape(maps)
    flat = tf.reshape(maps, (shape[0], -1, maps.shape[3]))
    peak = tf.reduce_max(flat, axis=1)
    # Not argmax, which promises nothing about which of equal ones it names.
    count = shape[1] * shape[2]
    places = tf.range(count)[None, :, None]
    place = tf.reduce_min(tf.where(flat >= peak[:, None], places, count), axis=1)
    return peak, place // shape[2], place % shape[2], tf.reduce_mean(flat, axis=1), _histogram(flat)


def _histogram(flat: tf.Tensor) -> tf.Tensor:
    """Return how many values share each filter's first nine bits of a float16 `(filters, 512)`.

    Values above zero have bins below 256, all others, zero too, from there on.
    """
    filters = flat.shape[-1]
    half = tf.cast(tf.clip_by_value(flat, -HALF, HALF), tf.float16)
    bits = tf.bitwise.right_shift(tf.bitcast(half, tf.uint16), 7)
    number = tf.cast(bits, tf.int32)
    number = tf.where(flat > 0, number, tf.bitwise.bitwise_or(number, BINS // 2))
    number += BINS * tf.range(filters)
    size = BINS * filters
    counts = tf.math.bincount(tf.reshape(number, [-1]), minlength=size, maxlength=size)
    return tf.reshape(counts, (filters, BINS))


def summits(
    network: Network, layer: str, filter: int, count: int
) -> Callable[[np.ndarray], list[list[tuple[float, int, int]]]]:
    """Return a function from photographs in [0, 1] to where a filter's map has its summits.

    For each photograph these are the `count` largest (preactivation, row, column) of the positions
    that no neighbour exceeds, largest first; a small map may have fewer.

    Args:
        network: the network, in float32.
        layer: the filter's layer.
        filter: its number.
        count: summits of a photograph at most.
    """
    look_at = tf.function(tap(network, [layer], pre=True), reduce_retracing=True)

    def climb(pixels: np.ndarray) -> list[list[tuple[float, int, int]]]:
        maps = mapped(look_at(tf.constant(pixels))[layer])[..., filter].numpy()
        around = ndimage.maximum_filter(maps, (1, 3, 3), mode="nearest")
        columns, flat = (
            maps.shape[2],
            np.where(maps >= around, maps, -np.inf).reshape(len(maps), -1),
        )
        order = np.argsort(-flat, axis=1, kind="stable")[:, :count]
        return [
            [(float(one[at]), *divmod(int(at), columns)) for at in best if np.isfinite(one[at])]
            for one, best in zip(flat, order, strict=True)
        ]

    return climb


@dataclass(frozen=True)
class Crop:
    """The part of a photograph that made a unit respond.

    Attributes:
        path: the photograph.
        box: half-open (top, left, bottom, right) in pixels of the original file.
        activation: the unit's preactivation there.
        pixels: uint8 `(bottom - top, right - left, 3)`.
    """

    path: Path
    box: tuple[int, int, int, int]
    activation: float
    pixels: np.ndarray


@dataclass
class Recording:
    """Photographs as a network sees them, page by page.

    Attributes:
        sides: height and width in pixels of the view that the network got of each.
        fit: how photographs of another shape were shown.
        fields: {layer: its receptive field}.
        outside: the share of a gradient beyond the boxes of the first of them; None: not taken.
        paths: the readable photographs seen so far.
        views: how each was cut to what the network saw.
        skipped: (file, reason) of the unreadable ones.
        digests: SHA-256 of each file seen so far, 32 bytes.
        pages: what each batch did.
        latest: the latest batch as a whole; None where no file of it could be read.
    """

    sides: Sides
    fit: Fit
    fields: dict[str, ReceptiveField]
    outside: float | None = None
    paths: list[Path] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    pages: list[Observation] = field(default_factory=list)
    latest: LayerBatch | None = None

    @property
    def observation(self) -> Observation:
        """What all the photographs did."""
        if len(self.pages) > 1:
            self.pages = [join(self.pages)]
        return self.pages[0]

    @property
    def halves(self) -> np.ndarray:
        """Which photographs belong to the discovery half, bool `(photographs,)`."""
        return halves(np.frombuffer(b"".join(self.digests), np.uint8).reshape(-1, 32))

    def crops(self, unit: Unit, count: int) -> tuple[Crop, ...]:
        """Return the crops that excite a unit most, strongest first, one of each photograph.

        A layer that was not observed has none.
        """
        peaks = self.observation.peaks.get(unit.layer)
        if peaks is None:
            return ()
        found = []
        for index in peaks.strongest(unit.filter, count):
            (place,) = peaks.positions(np.array([index]), unit.filter).tolist()
            seen = self.fields[unit.layer].box(*place)
            box = self.views[index].original(seen.top, seen.left, seen.bottom, seen.right)
            whole = photograph.load(self.paths[index])
            pixels = np.asarray(whole.crop((box[1], box[0], box[3], box[2])))
            activation = float(peaks.values[index, unit.filter])
            found.append(Crop(self.paths[index], box, activation, pixels))
        return tuple(found)


def fill(
    network: Network,
    layers: Sequence[str],
    paths: Sequence[Path],
    size: Size,
    batch: int,
    fit: Fit = "crop",
) -> Iterator[Recording]:
    """Show photographs to a network and yield the growing recording after each batch.

    Args:
        network: the network, in float32.
        layers: the linear layer whose inputs and peaks are observed, and layers before it whose
            peaks are observed too.
        paths: the photographs' files.
        size: in pixels of the view that the network gets, one side or (height, width).
        batch: photographs at a time.
        fit: how photographs of another shape are shown.
    """
    sides, observe = pair(size), observer(network, layers[0], layers[1:])
    seen_by, outside = verified(network, layers[0], sides)
    fields = {name: receptive_field(network, name, sides) for name in layers[1:]}
    fields = {layers[0]: seen_by, **fields}
    recording = Recording(
        sides, fit, {name: fields[name] or sees_all(sides) for name in layers}, outside
    )
    for seen in dataset.batches(paths, sides, batch, fit):
        recording.skipped.extend(seen.skipped)
        recording.latest = None
        if seen.paths:
            recording.paths.extend(seen.paths)
            recording.views.extend(seen.views)
            recording.digests.extend(seen.digests)
            page, recording.latest = observe(seen.pixels)
            recording.pages.append(page)
        yield recording
