"""A network in outline: what a request can be checked against, and the network itself."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from convscope import weights
from convscope.settings import ModelSettings
from convscope.unit import Unit
from convscope.unit import check as check_unit
from convscope.weights import Provenance

if TYPE_CHECKING:
    from convscope.network import Network

LARGEST = 4096  # pixels of a side, beyond which no layer is looked for


@dataclass(frozen=True)
class Outline:
    """What is known of a network without a look at its numbers.

    Attributes:
        name: as it stands in results.
        weights: which weights it holds.
        preprocess: how an image becomes what it takes, as a text that names it exactly.
        layers: filters of each layer one may ask for, in the network's order.
        classifier: the layer that gives a logit for each class; None: there is none.
        size: height and width in pixels of the images it was trained on; None: unknown.
        least: layer -> pixels of the smallest square image that leaves it a position.
        demands: layer -> the only side of a square image that it can be asked about; None: any.
    """

    name: str
    weights: Provenance
    preprocess: str
    layers: Mapping[str, int]
    classifier: str | None
    size: int | None
    least: Callable[[str], int]
    demands: Callable[[str], int | None]


def outline(model: ModelSettings) -> Outline:
    """Return what is known of a network; of a packaged one, without TensorFlow.

    Raises:
        ValueError, FileNotFoundError: there is no such network, or its weights are missing or
            damaged.
    """
    if model.kind != "packaged":
        return _drawn(network(model))
    name = packaged(model)
    checkpoint = weights.PACKAGED[name]
    return Outline(
        name,
        checkpoint.provenance,
        name,
        checkpoint.layers,
        checkpoint.classifier,
        checkpoint.size,
        checkpoint.least.__getitem__,
        lambda _: None,
    )


def network(model: ModelSettings) -> Network:
    """Return the network, loaded once for the check of a request and for its run.

    Raises:
        ValueError, FileNotFoundError: there is no such network, or its weights are missing or
            damaged.
    """
    files = [Path(name).expanduser() for name in (model.path, model.weights) if name]
    found = [path.stat() for path in files if path.is_file()]
    return _loaded(model, tuple((stat.st_mtime_ns, stat.st_size) for stat in found))


@lru_cache(maxsize=1)
def _loaded(model: ModelSettings, _: object) -> Network:
    """Load a network; a file that has changed since is loaded again."""
    if model.kind == "packaged":
        from convscope.packaged import LOADERS

        return LOADERS[packaged(model)](weight_file(model))
    if model.kind == "application":
        from convscope.applications import application

        return application(str(model.name), model.weights or "imagenet")
    from convscope.keras_file import keras_file

    path = Path(str(model.path)).expanduser()
    return keras_file(path, str(model.preprocess), named(model), model.labels, model.custom)


def packaged(model: ModelSettings) -> str:
    """Return the name of a packaged network.

    Raises:
        ValueError: no such network is packaged.
    """
    if model.name in weights.PACKAGED:
        return str(model.name)
    near = difflib.get_close_matches(str(model.name), weights.PACKAGED, 1)
    raise ValueError(
        f"model.name={model.name} is no packaged network. Those are {', '.join(weights.PACKAGED)};"
        f" others come with model=application model.name=VGG16 or model=file."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )


def named(model: ModelSettings) -> str:
    """Return what a network is called in results, before it is loaded."""
    return model.name or Path(str(model.path)).stem


def weight_file(model: ModelSettings) -> Path | None:
    """Return the file that the weights of a packaged network come from; None: the packaged one."""
    return Path(model.weights).expanduser() if model.weights else None


def _drawn(found: Network) -> Outline:
    """Return the outline of a network that is loaded."""
    from convscope.network import classifier, layers

    def least(layer: str) -> int:
        """Return the smallest side that leaves a layer a position, by halving."""
        if demanded := demands(layer):
            return demanded
        low, high = 0, 1
        while not _fits(found, layer, high):
            low, high = high, 2 * high
            if high > LARGEST:
                return high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _fits(found, layer, middle) else (middle, high)
        return high

    def demands(layer: str) -> int | None:
        size = found.demands(layer)
        return None if size is None else size[0]

    return Outline(
        found.name,
        found.weights,
        found.mode,
        layers(found),
        classifier(found),
        found.size,
        least,
        demands,
    )


def _fits(found: Network, layer: str, side: int) -> bool:
    from convscope.flow import sizes

    try:
        sizes(found.until(layer), (side, side))
    except ValueError:
        return False
    return True


def positions(model: ModelSettings, layer: str, size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of a layer's map on an image of `size`.

    Raises:
        ValueError: the image is too small.
    """
    if model.kind == "packaged":
        made = weights.PACKAGED[packaged(model)].maps[layer]
        return made.rows(size[0]), made.rows(size[1])
    from convscope.flow import sizes

    return sizes(network(model).until(layer), size)[layer]


def check(unit: Unit, model: ModelSettings) -> None:
    """Raise ValueError unless a network has a unit."""
    found = outline(model)
    # Of packaged networks without classifier all layers that pass channels on are pools.
    if unit.layer not in found.layers and (model.kind != "packaged" or found.classifier):
        from convscope.network import maker

        graph = network(model).graphs[-1]
        if unit.layer in graph and (made := maker(graph[unit.layer]).name) in found.layers:
            raise ValueError(
                f"{unit.layer} of {found.name} only passes on the channels of {made}. Ask for that:"
                f" layer={made}."
            )
    check_unit(unit, found.layers, found.name)
