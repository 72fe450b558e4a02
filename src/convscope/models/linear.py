"""What a layer does to its inputs where that is linear: one kernel and one bias for a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.models.backend import keras
from convscope.models.graph import Window, concatenates, inputs, keeps, kind_of, sums, window

L = keras.layers


@dataclass(frozen=True)
class Linear:
    """How one filter's preactivation follows from the layer's inputs: z = bias + sum_c u_c.

    Attributes:
        kernel: float32 `(height, width, C)`: the weight of each tap on each input channel.
        bias: what is added at every position.
        channels: which of the layer's input channels these C are `(C,)`.
        window: where the taps lie.
    """

    kernel: np.ndarray
    bias: float
    channels: np.ndarray
    window: Window


def linear(layer: Any, filter: int) -> Linear:
    """Return the kernel of one filter of a layer.

    A grouped or depthwise convolution reads some of the channels, a separable one is multiplied
    out, a dense layer is a kernel of one tap.

    Raises:
        ValueError: the layer is not linear in its inputs; the message says what it is.
    """
    if why := obstacle(layer):
        raise ValueError(why)
    kind, bias = type(layer), 0.0
    if layer.use_bias:
        bias = float(np.asarray(layer.bias)[filter])
    if kind is L.Dense:
        kernel = np.asarray(layer.kernel)[None, None, :, filter]
        return Linear(kernel, bias, np.arange(kernel.shape[-1]), Window())
    found = window(layer)
    if found is None:
        raise ValueError(f"{layer.name} has no window.")
    if kind is L.Conv2D:
        kernel = np.asarray(layer.kernel)[..., filter]
        first = filter // (layer.filters // layer.groups) * kernel.shape[-1]
        return Linear(kernel, bias, first + np.arange(kernel.shape[-1]), found)
    if kind is L.DepthwiseConv2D:
        whole = np.asarray(layer.kernel)
        channel, copy = divmod(filter, whole.shape[-1])
        return Linear(whole[:, :, channel, copy, None], bias, np.array([channel]), found)
    depthwise = np.asarray(layer.depthwise_kernel)  # (height, width, C, copies)
    pointwise = np.asarray(layer.pointwise_kernel)[0, 0, :, filter]
    kernel = np.einsum("hwcm,cm->hwc", depthwise, pointwise.reshape(depthwise.shape[2:]))
    return Linear(kernel, bias, np.arange(kernel.shape[-1]), found)


def obstacle(layer: Any) -> str:
    """Return why a layer's filters have no kernel over its inputs, "" where they have."""
    kind = type(layer)
    if kind in (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D):
        return ""
    if kind is L.Dense:
        (source,) = inputs(layer)
        maps = len(source.shape) == 4
        behind = source._keras_history.operation
        if maps or keeps(behind) or (len(source.shape) == 2 and not _flattens(behind)):
            return ""
        return (
            f"{layer.name} reads every position of the map before it through a weight of its own,"
            " so it has no kernel over channels. Ask for a layer before it."
        )
    names = [tensor._keras_history.operation.name for tensor in inputs(layer)]
    if sums(layer):
        return (
            f"{layer.name} has no kernel: it adds {' and '.join(names)}, channel by channel. Ask"
            " for the layers that make those."
        )
    if concatenates(layer):
        return (
            f"{layer.name} has no kernel: it lays {', '.join(names)} side by side. Ask for one of"
            " the layers that make those."
        )
    if kind in (L.Multiply, L.Maximum, L.Minimum):
        return (
            f"{layer.name} multiplies or compares {' and '.join(names)}, which is not linear in"
            " them, so that no kernel says what feeds it. Ask for the layers that make those."
        )
    return (
        f"{layer.name} ({kind_of(layer)}) is not a linear sum of its inputs, so that no kernel says"
        " what feeds it. Ask for a convolution before or behind it."
    )


def _flattens(operation: Any) -> bool:
    """Return whether an operation makes one row of a map with several positions."""
    return type(operation) in (L.Flatten, L.Reshape) and not keeps(operation)
