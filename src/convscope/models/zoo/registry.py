"""A network in outline: what a request can be checked against, and the network itself."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.models.zoo import packaged
from convscope.models.zoo.checkpoints import Provenance
from convscope.models.zoo.packaged import PACKAGED
from convscope.settings import (
    ApplicationModel,
    AscentSettings,
    FileModel,
    ModelSettings,
    PackagedModel,
    located,
    sides,
)
from convscope.text import by, listed
from convscope.unit import Unit
from convscope.unit import check as check_unit

if TYPE_CHECKING:
    from convscope.models.network import Network


USUAL = "vgg16"  # the network that conf/config.yaml takes where none is named
POWERS = tuple(2**power for power in range(13))  # pixels of a side; none is looked for beyond


@dataclass(frozen=True)
class Outline:
    """What is known of a network without a look at its numbers.

    Attributes:
        name: as it stands in results.
        weights: which weights it holds.
        preprocess: how an image becomes what it takes, as a text that names it exactly.
        layers: filters of each layer one may ask for, in the network's order.
        classifier: the layer whose filters are the classes; None: there is none.
        classes: how many there are.
        ends: its outputs that classify, where there are several and none was chosen.
        size: height and width in pixels of the images it was trained on; None: unknown.
        demands: layer -> the only height and width that it can be asked about; None: any.
        positions: (layer, rows and columns of an image) -> those of the layer's map; 0: none left.
    """

    name: str
    weights: Provenance
    preprocess: str
    layers: Mapping[str, int]
    classifier: str | None
    classes: int
    ends: tuple[str, ...]
    size: tuple[int, int] | None
    demands: Callable[[str], tuple[int, int] | None]
    positions: Callable[[str, tuple[int, int]], tuple[int, int]]

    def fits(self, layer: str, sides: tuple[int, int]) -> bool:
        """Return whether an image of this height and width can be computed up to a layer.

        Of most networks that is any from `least` on; NASNet adds maps that differ in size at some.
        """
        return min(self.positions(layer, sides)) > 0

    def least(self, layer: str) -> int:
        """Return the smallest side in pixels that leaves a layer a position, by halving."""
        high = next((side for side in POWERS if self.fits(layer, (side, side))), 2 * POWERS[-1])
        low = high // 2 + 1
        return bisect_left(range(high), True, low, key=lambda side: self.fits(layer, (side, side)))


def outline(model: ModelSettings) -> Outline:
    """Return what is known of a network; of a packaged one, without TensorFlow.

    Raises:
        ValueError, FileNotFoundError: there is no such network, or its weights are missing or
            damaged.
    """
    if not isinstance(model, PackagedModel):
        return _drawn(network(model))
    known = _packaged(model)
    return Outline(
        model.name,
        known.checkpoint.provenance,
        model.name,
        known.filters,
        known.classifier,
        known.filters[known.classifier] if known.classifier else 0,
        (),
        (known.size, known.size),
        lambda _: None,
        known.positions,
    )


def network(model: ModelSettings) -> Network:
    """Return the network, loaded once for the check of a request and for its run.

    Raises:
        ValueError, FileNotFoundError: there is no such network, or its weights are missing or
            damaged.
    """
    given = model.path if isinstance(model, FileModel) else model.weights
    setting = "model.path" if isinstance(model, FileModel) else "model.weights"
    file = located(setting, given) if given else None
    found = file.stat() if file and file.is_file() else None
    return _loaded(model, found and (found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=1)
def _loaded(model: ModelSettings, _: object) -> Network:
    """Load a network; a file that has changed since is loaded again."""
    if isinstance(model, PackagedModel):
        _packaged(model)
        return packaged.load(model.name, _weight_file(model), model.check)
    if isinstance(model, ApplicationModel):
        from convscope.models.zoo.applications import application

        return application(model.name, model.weights or "imagenet", model.check)
    from convscope.models.zoo.keras_files import keras_file

    path = located("model.path", model.path)
    settings = model.preprocess, model.called, model.labels, model.custom, model.output, model.check
    return keras_file(path, *settings)


def _packaged(model: PackagedModel) -> packaged.Packaged:
    """Return what is known of a packaged network.

    Raises:
        ValueError: no such network is packaged.
    """
    if model.name in PACKAGED:
        return PACKAGED[model.name]
    near = difflib.get_close_matches(model.name, PACKAGED, 1)
    raise ValueError(
        f"model.name={model.name} is no packaged network. Those are"
        f" {', '.join(PACKAGED)}; others come with model=application model.name=VGG16"
        " or model=file." + (f" Did you mean {near[0]!r}?" if near else "")
    )


def asked(model: ModelSettings) -> list[str]:
    """Return what a command says to choose a network; nothing for the usual one."""
    if isinstance(model, FileModel):
        said = ["model=file", f"model.path={model.path}", f"model.preprocess={model.preprocess}"]
        said += [f"model.name={model.name}"] if model.name else []
        said += [f"model.output={model.output}"] if model.output else []
        said += [f"model.labels={model.labels}"] if model.labels else []
        said += ["model.custom=true"] if model.custom else []
        return said if model.check else [*said, "model.check=false"]
    if isinstance(model, ApplicationModel):
        said = ["model=application", f"model.name={model.name}"]
    else:
        said = [] if model.name == USUAL else [f"model={model.name}"]
    said += [] if model.weights in (None, "imagenet") else [f"model.weights={model.weights}"]
    return said if model.check else [*said, "model.check=false"]


def _weight_file(model: PackagedModel) -> Path | None:
    """Return the file that the weights of a packaged network come from; None: the packaged one."""
    return located("model.weights", model.weights) if model.weights else None


def _drawn(found: Network) -> Outline:
    """Return the outline of a network that is loaded."""
    from convscope.models.graph import sizes
    from convscope.models.network import head, heads, layers

    def positions(layer: str, size: tuple[int, int]) -> tuple[int, int]:
        with suppress(ValueError):
            return sizes(found.until(layer), size)[layer]
        return 0, 0

    last = head(found)
    return Outline(
        found.name,
        found.weights,
        found.mode,
        layers(found),
        last.layer if last else None,
        last.classes if last else 0,
        tuple(heads(found)) if last is None else (),
        found.size,
        found.demands,
        positions,
    )


def check_units(model: ModelSettings, units: Sequence[Unit]) -> None:
    """Raise unless the network has these units, and its weights are there and intact.

    Raises:
        ValueError, FileNotFoundError: unknown layer or filter, missing or damaged weights.
    """
    found = outline(model)
    for unit in units:
        if unit.layer not in found.layers and not _plain(model):
            from convscope.models.network import maker

            loaded = network(model)
            graph, part = loaded.graphs[-1], loaded.absorbed.get(unit.layer)
            made = part or (maker(graph[unit.layer]).name if unit.layer in graph else None)
            if made in found.layers:
                does = "is folded into" if part else "only passes on the channels of"
                raise ValueError(
                    f"{unit.layer} of {found.name} {does} {made}. Ask for that: layer={made}."
                )
        check_unit(unit, found.layers, found.name)
    check_weights(model)


def check_linear(layer: str, model: ModelSettings) -> None:
    """Raise ValueError unless the filters of a layer have kernels over its inputs."""
    if not _plain(model):
        from convscope.models.linear import obstacle

        if why := obstacle(network(model).find(layer)):
            raise ValueError(why)


def _plain(model: ModelSettings) -> bool:
    """Return whether a network is packaged and has convolutions and pools alone."""
    return isinstance(model, PackagedModel) and _packaged(model).classifier is None


def check_weights(model: ModelSettings) -> None:
    """Raise unless the weights of a network are there and intact.

    Raises:
        ValueError, FileNotFoundError: they are missing or damaged.
    """
    if isinstance(model, PackagedModel):
        _packaged(model).checkpoint.content(_weight_file(model))


def check_classifier(model: ModelSettings) -> str | None:
    """Return the layer of a network that tells classes apart, None if it has none.

    Raises:
        ValueError, FileNotFoundError: several of its outputs classify, or its weights are missing
            or damaged.
    """
    found = outline(model)
    if found.ends:
        raise ValueError(
            f"{found.name} classifies in each of its outputs {listed(found.ends)}. Say which one is"
            f" asked, with model.output={found.ends[0]}."
        )
    check_weights(model)
    return found.classifier if found.classes else None


def check_size(
    name: str, size: int | str | tuple[int, ...] | None, found: Outline, layer: str
) -> None:
    """Raise ValueError if images of `size` pixels, the setting `name`, do not suit a layer."""
    if size is None or isinstance(size, str):
        return
    given, said = sides(size), spelled(size)
    if demanded := found.demands(layer):
        if given != demanded:
            raise ValueError(
                f"{name}={said} does not suit {layer}, which takes images of {by(demanded)} pixels"
                f" alone. Give {name}={spelled(demanded)}, or leave it out."
            )
        return
    if found.fits(layer, given):
        return
    if min(given) < (least := found.least(layer)):
        raise ValueError(
            f"{name}={said} leaves no position at {layer}, which needs {least} pixels. Give"
            f" {name}={_fitting(found, layer, 4 * least)} or more."
        )
    raise ValueError(
        f"{name}={said} does not suit {layer}, since {found.name} adds maps that differ in size"
        f" there. Give {name}={_fitting(found, layer, max(given))}."
    )


def spelled(size: int | tuple[int, ...]) -> str:
    """Return a size as a command gives it: one side, or [height,width]."""
    height, width = sides(size)
    return str(height) if height == width else f"[{height},{width}]"


def _fitting(found: Outline, layer: str, side: int) -> int:
    """Return the first side from one on that suits a layer."""
    tried = range(side, 2 * side + 1)
    return next((one for one in tried if found.fits(layer, (one, one))), found.least(layer))


def check_canvas(ascent: AscentSettings, model: ModelSettings, layer: str) -> None:
    """Raise ValueError if the canvas, or what is cut from it, does not suit a layer."""
    found = outline(model)
    check_size("ascent.size", ascent.size, found, layer)
    check_size("ascent.view", ascent.view, found, layer)
