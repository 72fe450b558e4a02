"""Receptive fields: the box of image pixels that a position of a layer can see."""

from __future__ import annotations

from convscope.backend import keras
from convscope.field import Axis, ReceptiveField
from convscope.network import CONVOLUTIONS, POINTWISE, POOLINGS, Network, walk_back


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
