"""What a filter does when some of its inputs are held at their mean: predicted, and really done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convscope.models.backend import keras
from convscope.models.linear import linear
from convscope.models.network import Network, look, preactivation


def change(
    u: np.ndarray, z: np.ndarray, mean: np.ndarray, channels: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Return how much the activation changes at each position `(n,)`, exactly, by algebra.

    Args:
        u: contributions of all inputs `(n, C)`.
        z: preactivations `(n,)`.
        mean: each input's mean contribution `(C,)`.
        channels: the inputs that are held at it.
    """
    held = np.sum(mean[channels] - u[:, channels], axis=1, dtype=np.float64)
    return np.maximum(z + held, 0) - np.maximum(z, 0)


def masked(
    network: Network, layer: str, filter: int, mean: np.ndarray, channels: Sequence[int]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from photographs to a filter's map in a network with masked weights.

    The layer's copy has no weights from these inputs to the filter, and their mean contribution in
    the filter's bias; the network itself is left as it is.

    Args:
        network: the network, in float32.
        layer: a convolution or dense layer; a grouped or separable one has no weight to mask.
        filter: its filter.
        mean: each input's mean contribution `(C,)`.
        channels: the inputs that are held at it.

    Returns:
        `(photographs, height, width, 3)` in [0, 1] -> preactivations `(photographs, ...)`.

    Raises:
        ValueError: the layer's weights are shared between filters.
    """
    original, held = network.find(layer), np.asarray(channels, int)
    found = linear(original, filter)
    if type(original) not in (keras.layers.Conv2D, keras.layers.Dense):
        raise ValueError(
            f"{layer} ({type(original).__name__}) shares its weights between filters, so that none"
            " can be masked for one. Ask for a Conv2D or Dense layer."
        )
    options = original.get_config() | {"use_bias": True, "name": f"{layer}_masked"}
    copy = type(original).from_config(options | {"activation": "linear"})
    output = copy(original.input)
    kernel = np.asarray(original.kernel).copy()
    bias = np.zeros(kernel.shape[-1], np.float32)
    if original.use_bias:
        bias += np.asarray(original.bias)
    kernel[..., held, filter] = 0
    bias[filter] = found.bias + np.sum(mean[held])
    copy.set_weights([kernel, bias])
    model = look(network, {"masked": output, "whole": preactivation(original)})

    def run(pixels: np.ndarray) -> np.ndarray:
        values: np.ndarray = model(pixels)["masked"].numpy()[..., filter]
        return values

    return run
