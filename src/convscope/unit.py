"""The address of a filter."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

COLOURS = ("red", "green", "blue", "grey")
GREY = 3
"""The number that stands for the brightness of an image, where a network sees no colours."""
IMAGE = "/image"
"""What stands for the network's input where a layer's name would stand: no layer has a slash."""


WHOLE = -1
"""The filter number that stands for all filters of a layer together."""


@dataclass(frozen=True, order=True)
class Unit:
    """One output channel of a layer with spatial output; filters count from 0."""

    layer: str
    filter: int

    def __str__(self) -> str:
        """Return `layer:filter`, and the colour's name for a channel of the input image."""
        if self.filter == WHOLE:
            return f"{self.layer}:whole"
        return f"{self.place}:{COLOURS[self.filter] if self.layer == IMAGE else self.filter}"

    @property
    def place(self) -> str:
        """The layer as it is written: `image` for the network's input."""
        return self.layer.removeprefix("/")

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
            f"{network} has no layer {unit.layer!r}. Its layers are {names[0]}, ..., {names[-1]};"
            " stage=layers lists them." + (f" Did you mean {near[0]!r}?" if near else "")
        )
    count = layers[unit.layer]
    if not 0 <= unit.filter < count:
        raise ValueError(
            f"{unit.layer} of {network} has no filter {unit.filter}. Its {count} filters are "
            f"numbered 0 to {count - 1}."
        )


Choice = int | str | tuple[int | str, ...] | None
"""Filters as they are asked for: `17`, `all`, `40-47`, `[3,17,40-47]`; None: the whole layer."""


def filters(choice: Choice, count: int) -> tuple[int, ...]:
    """Return the filters that `choice` names, in its order, each once.

    Args:
        choice: what was asked for.
        count: filters of the layer.

    Raises:
        ValueError: a part of it is neither a number nor a range nor `all`.
    """
    if choice is None:
        return (WHOLE,)
    if choice == "all":
        return tuple(range(count))
    found: list[int] = []
    for part in choice if isinstance(choice, tuple) else (choice,):
        ends = re.fullmatch(r"(\d+)-(\d+)", part) if isinstance(part, str) else None
        if isinstance(part, str) and (ends is None or int(ends[1]) > int(ends[2])):
            raise ValueError(
                f"filter={part!r} names no filters. Give a number, a range like 40-47, a list of"
                " both like [3,17,40-47], or all."
            )
        # A range beyond the layer is cut one behind its end, so that `check` names that filter.
        found += range(int(ends[1]), min(int(ends[2]), count) + 1) if ends else [int(part)]
    if not found:
        raise ValueError("filter=[] names no filters. Give at least one.")
    return tuple(dict.fromkeys(found))


MANY = 100_000  # filters; no layer has more


def label(layer: str, choice: object, between: str = "-") -> str:
    """Return the name of a choice of filters: `block4_conv3-17`, `-17+3` with 3 more, `-all`."""
    if choice is None:
        return layer
    if isinstance(choice, list | tuple | str) and choice != "all":
        parts = tuple(choice) if isinstance(choice, list | tuple) else (choice,)
        try:
            first, *more = filters(parts, MANY)
        except (ValueError, TypeError):
            return f"{layer}{between}{choice}"  # to be refused where it is read
        return f"{layer}{between}{first}" + f"+{len(more)}" * bool(more)
    return f"{layer}{between}{choice}"
