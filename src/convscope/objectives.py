"""What ascends: a score for each sample, the preactivation of its own filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convscope.backend import tf

Activations = Mapping[str, tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """A score to be raised.

    Attributes:
        name: the word for it in tables: `channel`, `neuron`.
        layers: the layers whose preactivations it reads.
        score: {layer: preactivations `(samples, height, width, filters)`}, the filter of each
            sample `(samples,)` -> scores `(samples,)`. Sample i's score depends on sample i alone.
    """

    name: str
    layers: tuple[str, ...]
    score: Callable[[Activations, tf.Tensor], tf.Tensor]


def own(activations: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """Return each sample's own map `(samples, height, width)` of `(samples, height, width, C)`."""
    return tf.gather(activations, filters, axis=3, batch_dims=1)


def channel(layer: str) -> Objective:
    """Return the mean preactivation over the whole map: the texture that a filter likes."""

    def score(activations: Activations, filters: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(own(activations[layer], filters), axis=(1, 2))

    return Objective("channel", (layer,), score)


def neuron(layer: str) -> Objective:
    """Return the preactivation at the centre of the map: the pattern that a neuron likes."""

    def score(activations: Activations, filters: tf.Tensor) -> tf.Tensor:
        maps = own(activations[layer], filters)
        return maps[:, maps.shape[1] // 2, maps.shape[2] // 2]

    return Objective("neuron", (layer,), score)


OBJECTIVES: dict[str, Callable[[str], Objective]] = {"channel": channel, "neuron": neuron}
