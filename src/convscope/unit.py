"""The address of a filter."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

COLOURS = ("red", "green", "blue")
IMAGE = "image"
"""The name that stands for the network's input where a layer's name would stand."""


@dataclass(frozen=True, order=True)
class Unit:
    """One output channel of a layer with spatial output; filters count from 0."""

    layer: str
    filter: int

    def __str__(self) -> str:
        """Return `layer:filter`, and the colour's name for a channel of the input image."""
        return f"{self.layer}:{COLOURS[self.filter] if self.layer == IMAGE else self.filter}"

    @property
    def slug(self) -> str:
        """The address as it stands in file names: `block4_conv3-17`."""
        return str(self).replace(":", "-")


def check(unit: Unit, layers: Mapping[str, int], network: str) -> None:
    """Raise unless `unit` is a filter of `network`.

    Args:
        unit: the address that was asked for.
        layers: filters of each layer one may ask for, in the network's order.
        network: the network's name, for the message.

    Raises:
        ValueError: the network has no such layer, or the layer no such filter.
    """
    if unit.layer not in layers:
        names = list(layers)
        near = difflib.get_close_matches(unit.layer, names, 1)
        raise ValueError(
            f"{network} has no layer {unit.layer!r}. Its convolutions are {names[0]}, ..., "
            f"{names[-1]}." + (f" Did you mean {near[0]!r}?" if near else "")
        )
    count = layers[unit.layer]
    if not 0 <= unit.filter < count:
        raise ValueError(
            f"{unit.layer} of {network} has no filter {unit.filter}. Its {count} filters are "
            f"numbered 0 to {count - 1}."
        )
