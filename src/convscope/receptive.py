"""Receptive fields: the box of image pixels that a position of a layer can see."""

from __future__ import annotations

from dataclasses import dataclass

from convscope.backend import keras
from convscope.network import CONVOLUTIONS, POINTWISE, POOLINGS, Network, walk_back


@dataclass(frozen=True)
class Box:
    """Half-open pixels `[top, bottom) x [left, right)`; may reach beyond the image."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Axis:
    """One axis of a receptive field: position u sees pixels [stride u - padding, ... + size).

    Attributes:
        size: pixels seen.
        stride: pixels between neighbouring positions.
        padding: pixels by which the first position's field reaches beyond the image.
    """

    size: int = 1
    stride: int = 1
    padding: int = 0

    def behind(self, kernel: int, stride: int, padding: int) -> Axis:
        """Return this axis seen through one more layer in front of it."""
        return Axis(
            size=stride * self.size + kernel - stride,
            stride=stride * self.stride,
            padding=stride * self.padding + padding,
        )


@dataclass(frozen=True)
class ReceptiveField:
    """What the positions of one layer see of the image."""

    rows: Axis
    columns: Axis

    def box(self, row: int, column: int) -> Box:
        """Return the pixels that position (row, column) sees, zero padding included."""
        top = self.rows.stride * row - self.rows.padding
        left = self.columns.stride * column - self.columns.padding
        return Box(top, left, top + self.rows.size, left + self.columns.size)


def receptive_field(network: Network, name: str) -> ReceptiveField:
    """Return the receptive field of a layer's positions.

    Raises:
        ValueError: a layer on the way back to the image is of a kind this cannot follow.

    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, 2019.
    """
    rows, columns = Axis(), Axis()
    for layer in walk_back(network.model.get_layer(name).output):
        if isinstance(layer, keras.layers.InputLayer):
            return ReceptiveField(rows, columns)
        (row, column) = window(layer)
        rows, columns = rows.behind(*row), columns.behind(*column)
    raise ValueError(f"{name} of {network.name} does not lead back to the image.")


def window(layer: keras.layers.Layer) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return (extent, stride, padding) of a layer for rows and for columns, in its input's steps.

    Raises:
        ValueError: the layer's kind is unknown, or it pads by an amount that depends on the size
            of the image.
    """
    if isinstance(layer, POINTWISE):
        return (1, 1, 0), (1, 1, 0)
    if isinstance(layer, CONVOLUTIONS):
        sizes, strides, dilations = layer.kernel_size, layer.strides, layer.dilation_rate
    elif isinstance(layer, POOLINGS):
        sizes, strides, dilations = layer.pool_size, layer.strides, (1, 1)
    else:
        raise ValueError(
            f"The receptive field cannot be followed through {layer.name} ({type(layer).__name__})."
        )
    extents = [(size - 1) * rate + 1 for size, rate in zip(sizes, dilations, strict=True)]
    if layer.padding == "same" and max(strides) > 1:
        raise ValueError(
            f"{layer.name} strides with 'same' padding, so its receptive field shifts with the "
            "size of the image."
        )
    padding = [(extent - 1) // 2 if layer.padding == "same" else 0 for extent in extents]
    row, column = zip(extents, strides, padding, strict=True)
    return row, column


SMALLEST, LARGEST = 64, 128
"""Pixels of an automatic canvas: enough to see a texture; Lucid's published canvas, 2017."""


def canvas(field: ReceptiveField) -> int:
    """Return the side in pixels of a square canvas for the optimum of a layer with this field.

    It is the receptive field rounded up to whole strides, so that every position that the network
    computes is fed by image; no smaller than a texture needs and no larger than the published
    recipes', since the fields of deep layers reach far beyond what their units use.
    """
    sides = [-(-axis.size // axis.stride) * axis.stride for axis in (field.rows, field.columns)]
    return min(max(SMALLEST, *sides), LARGEST)
