"""A network as it was before training: the same layers with random weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from convscope.models.backend import keras
from convscope.models.flatten import flat
from convscope.models.graph import Applied
from convscope.models.network import Network

L = keras.layers


def untrained(network: Network, seed: int = 0) -> Network | None:
    """Return a network with random weights: what its form alone sees.

    Kernels are normal with the variance 2 / inputs, which keeps activations of one size behind
    ReLUs; biases and offsets are 0, factors 1, and a BatchNorm passes on what it gets. What was
    adapted and not trained stays, as Normalization.

    Source: He et al., "Delving Deep into Rectifiers", 2015.

    Args:
        network: the network, whose weights stay as they are.
        seed: of the kernels.

    Returns:
        None where it has trained layers that cannot be copied, like a layer called with more than
        tensors.
    """
    parts = [model for model in (network.model, network.fixed) if model is not None]
    layers = [layer for model in parts for layer in model.layers]
    if any(isinstance(layer, Applied) and layer.weights for layer in layers):
        return None
    model, *fixed = (flat(part) for part in parts)
    for part in (model, *fixed):
        random = np.random.default_rng(seed)
        for layer in part.layers:
            _forget(layer, random)
    return replace(network, model=model, fixed=fixed[0] if fixed else None)


def _forget(layer: Any, random: np.random.Generator) -> None:
    """Give a layer the weights it might have begun with."""
    layer.trainable = True
    for weight in layer.trainable_variables:
        name, shape = weight.path.rpartition("/")[2], tuple(weight.shape)
        if len(shape) > 1:
            depthwise = isinstance(layer, L.DepthwiseConv2D) or name == "depthwise_kernel"
            taken = math.prod(shape[:2] if depthwise else shape[:-1])
            weight.assign(random.normal(0, math.sqrt(2 / taken), shape))
        elif name in ("bias", "beta"):
            weight.assign(np.zeros(shape))
        elif name == "gamma":
            weight.assign(np.ones(shape))
    layer.trainable = False
    if isinstance(layer, L.BatchNormalization):
        layer.moving_mean.assign(np.zeros(layer.moving_mean.shape))
        layer.moving_variance.assign(np.ones(layer.moving_variance.shape))
