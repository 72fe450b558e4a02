"""Receptive fields: the box of image pixels that a position of a layer can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from convscope.models.backend import keras, tf
from convscope.models.graph import (
    CONVOLUTIONS,
    LARGER,
    LINEAR,
    POOLINGS,
    SHIFTS,
    Sizes,
    Spread,
    activation_of,
    before,
    free,
    sizes,
    window,
)
from convscope.models.linear import Linear
from convscope.models.network import Network, look, mapped, preactivation
from convscope.models.receptive_field import Axis, ReceptiveField, plain

L = keras.layers


def receptive_field(
    network: Network, name: str, size: tuple[int, int] | None = None
) -> ReceptiveField | None:
    """Return the receptive field of a layer's positions; None: each sees all of the image.

    Where ways back divide, the field is the smallest box that holds what is seen through each of
    them. Where one of them goes through all of the image, as in squeeze-and-excitation, the field
    names the layer in `whole`, and the box is that of the other ways.

    Args:
        network: the network.
        name: the layer.
        size: rows and columns of the image. Where a layer strides with "same" padding, they decide
            where its field begins. None takes sides that all strides divide.

    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, 2019.
    """
    fields, whole = _fields(network, name, size)
    seen = fields.get(next(iter(network.until(name))))
    return ReceptiveField(*seen, whole) if seen else None


def verified(
    network: Network, name: str, size: tuple[int, int]
) -> tuple[ReceptiveField | None, float | None]:
    """Return the field of a layer, and the share of a gradient that lies outside of its boxes.

    The gradient is that of three positions, two of them in corners, on noise. It is not taken, and
    None, where the network was not to be compared, or all of the image counts anyway.

    Args:
        network: the network.
        name: the layer.
        size: rows and columns of the image.

    Raises:
        ValueError: some of it lies outside.
    """
    field = receptive_field(network, name, size)
    if field is None or field.whole or network.error is None:
        return field, None
    model = look(network, {name: preactivation(network.find(name))})
    rows, columns = sizes(network.until(name), size)[name]
    places = [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)]
    noise = tf.constant(np.random.default_rng(0).random((len(places), *size, 3), np.float32))

    @tf.function
    def slope(pixels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            asked = [[number, *place] for number, place in enumerate(places)]
            value = tf.reduce_sum(tf.gather_nd(mapped(model(pixels)[name]), asked))
        return tape.gradient(value, pixels)

    outside = np.abs(slope(noise).numpy()).sum(axis=-1)
    largest = float(outside.max())
    for place, part in zip(places, outside, strict=True):
        box = field.box(*place)
        part[max(box.top, 0) : max(box.bottom, 0), max(box.left, 0) : max(box.right, 0)] = 0
    if outside.max() > 1e-6 * largest:
        raise ValueError(
            f"{name} of {network.name} depends on pixels outside of the {field.words} that it was"
            " taken to see, so every box would be wrong. Nothing was answered. Please report it;"
            " model.check=false answers all the same."
        )
    return field, float(outside.max()) / largest if largest else None


def _fields(
    network: Network, name: str, size: tuple[int, int] | None = None
) -> tuple[dict[str, tuple[Axis, Axis]], tuple[str, ...]]:
    """Return what a layer's positions see of each operation's output, and what sees all of it.

    What lies behind an operation that sees all of its input is left out.
    """
    graph = network.until(name)
    given = None if size is None else sizes(graph, size)
    fields: dict[str, tuple[Axis, Axis]] = {name: (Axis(), Axis())}
    whole: list[str] = []
    for operation in reversed(graph.values()):
        if operation.name not in fields or isinstance(operation, L.InputLayer):
            continue
        found = _through(operation, fields[operation.name], given)
        if found is None or isinstance(operation, L.GroupNormalization):
            whole.append(operation.name)
        if found is None:
            continue
        for source in before(operation):
            already = fields.get(source.name, found)
            try:
                rows, columns = (ours.hull(its) for ours, its in zip(already, found, strict=True))
                fields[source.name] = rows, columns
            except ValueError:  # a way that lies askew: through an image made smaller and larger
                whole.append(operation.name)
    return fields, tuple(whole)


def _through(
    operation: keras.Operation, field: tuple[Axis, Axis], given: Sizes | None = None
) -> tuple[Axis, Axis] | None:
    """Return a field seen through one operation more; None where that sees all of its input."""
    if type(operation) in LARGER:
        return _through_larger(operation, field)
    seen = window(operation)
    if seen is None:
        return None
    if seen.padding == "same" and given is None:
        # Sides that the stride divides have as few zeros as can be.
        starts = [max(e - s, 0) // 2 for e, s in zip(seen.extents, seen.strides, strict=True)]
    elif given is None:
        starts = [0, 0] if isinstance(seen.padding, str) else [pair[0] for pair in seen.padding]
    else:
        size = max(given[source.name] for source in before(operation))
        starts = [start for _, start, _ in seen.spans(size)]
    rows, columns = (
        axis.behind(extent, stride, start)
        for axis, extent, stride, start in zip(
            field, seen.extents, seen.strides, starts, strict=True
        )
    )
    return rows, columns


def _through_larger(
    operation: keras.Operation, field: tuple[Axis, Axis]
) -> tuple[Axis, Axis] | None:
    """Return a field seen through an operation that enlarges a map; None where it sees all of it.

    Position v sees those of the map before it from v / factor - padding on; see `Axis`.
    """
    found = []
    for at, axis in enumerate(field):
        factor, size, padding = operation.size[at], Fraction(1), Fraction(0)
        if type(operation) is Spread:
            padding = Fraction(operation.padding[at][0], factor)
        elif operation.interpolation == "nearest":
            size, padding = 2 - Fraction(1, factor), Fraction(factor - 1, factor)
        elif operation.interpolation == "bilinear":
            # Both neighbours of (v + 1/2) / factor - 1/2, which lies on one or between two.
            size, padding = 3 - Fraction(1, factor), Fraction(3, 2) - Fraction(1, factor)
        else:
            return None
        found.append(axis.behind(plain(size), plain(Fraction(1, factor)), plain(padding)))
    return found[0], found[1]


LARGEST = 256
"""Pixels of a side beyond which a field is not filled; those of deep networks reach farther."""

PIXELS = 2**18
"""Pixels of a batch: as fast as more, on few gigabytes."""


@dataclass(frozen=True)
class Probe:
    """One position of a layer.

    Attributes:
        size: (height, width) in pixels of the images it takes.
        exact: whether that is just what the position sees; if not, it is an image of the size the
            network was made for, and the position lies in the middle of the map.
        respond: images `(count, height, width, 3)` in [0, 1] -> preactivations `(count, filters)`.
        feed: such images -> what the taps of a linear layer get `(count, taps, taps, C)`; None
            where the position is not exact or the layer has no taps.
    """

    size: tuple[int, int]
    exact: bool
    respond: Callable[[np.ndarray], np.ndarray]
    feed: Callable[[np.ndarray], np.ndarray] | None = None

    def contributions(self, images: np.ndarray, linear: Linear) -> np.ndarray | None:
        """Return what each input of a filter adds to its preactivation `(count, C)`, if known.

        Args:
            images: `(count, height, width, 3)` in [0, 1].
            linear: how the filter follows from the layer's inputs.
        """
        if self.feed is None:
            return None
        rows, columns = linear.window.rates
        taps = self.feed(images)[:, ::rows, ::columns, linear.channels]
        return np.einsum("nhwc,hwc->nc", taps, linear.kernel)


def probe(network: Network, layer: str) -> Probe:
    """Return a position of a layer whose field lies wholly inside the image.

    Where the layer sees all of the image, or more than 256 pixels of it, images have the size that
    the network was trained on, and the middle position of the map answers.

    Args:
        network: the network, in float32.
        layer: the layer.
    """
    fields, whole = _fields(network, layer)
    *others, _ = network.until(layer).values()
    larger = {*LARGER} & set(map(type, network.until(layer).values()))
    if not (whole or larger) and all(len(part.output.shape) == 4 for part in others):
        rows, columns = fields[next(iter(network.until(layer)))]
        size = rows.pixels, columns.pixels
        if max(size) <= LARGEST:
            ends = _cone(network, layer, fields, size)
            respond, feed = (_batched(end, size) if end is not None else None for end in ends)
            if respond is not None:
                return Probe(size, True, respond, feed)
    size = network.demands(layer) or network.size or (224, 224)
    model = look(network, {layer: preactivation(network.find(layer))})

    def middle(pixels: tf.Tensor) -> tf.Tensor:
        maps = mapped(model(pixels)[layer])
        shape = tf.shape(maps)
        return maps[:, shape[1] // 2, shape[2] // 2]

    return Probe(size, False, _batched(middle, size))


def _batched(
    model: Callable[[tf.Tensor], tf.Tensor], size: tuple[int, int]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a compiled function over any number of images, a batch at a time."""
    forward = tf.function(model, input_signature=[tf.TensorSpec((None, *size, 3), tf.float32)])
    count = max(1, min(512, PIXELS // (size[0] * size[1])))

    def respond(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), count)
        found = [forward(tf.constant(images[at : at + count], tf.float32)).numpy() for at in starts]
        return np.concatenate(found)

    return respond


def _cone(
    network: Network, layer: str, fields: dict[str, tuple[Axis, Axis]], size: tuple[int, int]
) -> tuple[keras.Model, keras.Model | None]:
    """Return models from what a position sees to its preactivations and to what its taps get."""
    made: dict[str, Any] = {}
    given: list[Any] = []
    first, *others = (graph := network.until(layer)).items()
    made[first[0]] = start = keras.Input((*size, first[1].output.shape[-1]), dtype="float32")
    for name, operation in others:
        asked = _through(operation, fields[name])
        if asked is None:
            raise ValueError(f"{name} has no window.")
        given.clear()
        for source in before(operation):
            edges = [
                (int(have.padding - need.padding), int(have.end - need.end))
                for need, have in zip(asked, fields[source.name], strict=True)
            ]
            values = made[source.name]
            if np.any(edges):
                cropped = L.Cropping2D(edges, name=free(f"{source.name}.cropped", graph | made))
                values = made[cropped.name] = cropped(values)
            given.append(values)
        made[name] = _applied(operation, given, last=name == layer)
    fed = type(graph[layer]) in CONVOLUTIONS or type(graph[layer]) is L.Dense
    ends = {"answer": made[layer]} | ({"given": given[0]} if fed else {})
    # Names made here stand in a model around it, so that they are never those of its layers.
    image = keras.Input((*size, 3), dtype="float32")
    found = keras.Model(start, ends)(network.preprocess(image))
    answers = keras.Model(image, keras.ops.cast(found["answer"][:, 0, 0], "float32"))
    return answers, keras.Model(image, keras.ops.cast(found["given"], "float32")) if fed else None


def _applied(operation: Any, given: list[Any], *, last: bool) -> Any:
    """Return an operation's output on what it needs, where no zeros are padded."""
    kind = type(operation)
    if kind in SHIFTS:  # what they would add or take lies outside
        return given[0]
    config: dict[str, Any] = {}
    if kind in CONVOLUTIONS or kind in POOLINGS:
        config["padding"] = "valid"
    if kind in LINEAR and last and activation_of(operation) != "linear":
        config["activation"] = "linear"
    if not config:
        return operation(given[0] if len(given) == 1 else given)
    weights = operation.get_weights()
    again = kind.from_config({**operation.get_config(), **config})
    output = again(given[0])
    if weights:
        again.set_weights(weights)
    return output
