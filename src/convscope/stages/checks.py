"""What a run looks at, checked before TensorFlow is loaded: a network's file and photographs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from convscope.data import dataset, imagenet_samples, photograph
from convscope.data.labels import Labels
from convscope.data.labels import of as labels_of
from convscope.models.precision import device, resolve
from convscope.models.zoo import registry, weights
from convscope.models.zoo.registry import Outline
from convscope.settings import AscentSettings, ImageSettings, ModelSettings
from convscope.unit import Choice, Unit, filters

if TYPE_CHECKING:
    from convscope.models.network import Network


USUAL = 224  # pixels of a side, for a network of which no other size is known


class Asking(Protocol):
    """The settings of a stage that shows photographs to a network."""

    @property
    def model(self) -> ModelSettings:
        """The network."""

    @property
    def images(self) -> ImageSettings:
        """The photographs."""


Asked = TypeVar("Asked", bound=Asking)


def settled(settings: Asked) -> Asked:
    """Return the settings with a number for images.size=auto: what the network was trained on."""
    if settings.images.size != "auto":
        return settings
    size = registry.outline(settings.model).size or USUAL
    shown = replace(settings.images, size=size)
    return replace(settings, images=shown)  # type: ignore[type-var]


def choose(model: ModelSettings, layer: str, choice: Choice) -> tuple[Unit, ...]:
    """Return the units that a choice of filters names, in its order; None is the whole layer."""
    count = registry.outline(model).layers.get(layer, 0)
    return tuple(Unit(layer, number) for number in filters(choice, count))


def check_units(model: ModelSettings, units: Sequence[Unit]) -> None:
    """Raise unless the network has these units, and its weights are there and intact.

    Raises:
        ValueError, FileNotFoundError: unknown layer or filter, missing or damaged weights.
    """
    for unit in units:
        registry.check(unit, model)
    check_weights(model)


def check_weights(model: ModelSettings) -> None:
    """Raise unless the weights of a network are there and intact.

    Raises:
        ValueError, FileNotFoundError: they are missing or damaged.
    """
    if model.kind == "packaged":
        checkpoint = weights.PACKAGED[registry.packaged(model)]
        weights.verify(checkpoint, registry.weight_file(model) or weights.locate(checkpoint))


def check_classifier(model: ModelSettings) -> str:
    """Return the layer of a network that gives a logit for each class; its weights are intact.

    Raises:
        ValueError, FileNotFoundError: there is none, or the weights are missing or damaged.
    """
    found = registry.outline(model)
    if found.classifier is None:
        raise ValueError(
            f"{found.name} with these weights has no classifier to name what it sees: it ends in"
            f" {list(found.layers)[-1]}. Take model=efficientnet_lite0, or model=application"
            " model.name=VGG16 with Keras' own weights."
        )
    if found.layers[found.classifier] < 2:
        raise ValueError(
            f"{found.name} ends in a single number, {found.classifier}, which is no choice between"
            " classes. Give a network with a logit for each class."
        )
    check_weights(model)
    return found.classifier


def check_size(
    name: str, size: int | str | tuple[int, ...] | None, found: Outline, layer: str
) -> None:
    """Raise ValueError if images of `size` pixels, the setting `name`, do not suit a layer."""
    demanded = found.demands(layer)
    for side in size if isinstance(size, tuple) else (size,):
        if not isinstance(side, int):
            continue
        if demanded and side != demanded:
            raise ValueError(
                f"{name}={side} does not suit {layer}, which takes images of {demanded} x"
                f" {demanded} pixels alone. Give {name}={demanded}, or leave it out."
            )
        if demanded or found.fits(layer, side):
            continue
        if side < (least := found.least(layer)):
            raise ValueError(
                f"{name}={side} leaves no position at {layer}, which needs {least} pixels. Give"
                f" {name}={_fitting(found, layer, 4 * least)} or more."
            )
        raise ValueError(
            f"{name}={side} does not suit {layer}, since {found.name} adds maps that differ in size"
            f" there. Give {name}={_fitting(found, layer, side)}."
        )


def _fitting(found: Outline, layer: str, side: int) -> int:
    """Return the first side from one on that suits a layer."""
    sides = range(side, 2 * side + 1)
    return next((size for size in sides if found.fits(layer, size)), found.least(layer))


def check_canvas(ascent: AscentSettings, model: ModelSettings, layer: str) -> None:
    """Raise ValueError if the canvas, or what is cut from it, does not suit a layer."""
    found = registry.outline(model)
    check_size("ascent.size", ascent.size, found, layer)
    check_size("ascent.view", ascent.view, found, layer)


def check_photographs(
    settings: ImageSettings, model: ModelSettings, layer: str | None = None
) -> None:
    """Raise unless there is a photograph that can be read, shown large enough for a layer.

    What images=imagenet_samples needs is fetched here, where it has not been before.

    Raises:
        ValueError, FileNotFoundError: no folder, no image in it, none that can be read, or a table
            of labels that does not fit them.
    """
    if layer is not None:
        check_size("images.size", settings.size, registry.outline(model), layer)
    check_readable(settings)


def check_readable(settings: ImageSettings) -> None:
    """Raise unless there is a photograph that can be read, and labels that fit.

    What images=imagenet_samples needs is fetched here, where it has not been before.

    Raises:
        ValueError, FileNotFoundError: no folder, no image in it, none that can be read, or a table
            of labels that does not fit them.
    """
    paths = photographs(settings)
    if settings.labels is not None:
        labels(settings, paths)
    reason = ""
    for path in paths:
        try:
            photograph.load(path)
        except ValueError as error:
            reason = reason or f"{dataset.spelled(path.name)} is {error}"
            continue
        return
    raise ValueError(
        f"images.root={settings.root} holds no image that can be read: {reason}."
        " Give a folder of photographs."
    )


def check_picture(name: str, given: str | None) -> None:
    """Raise ValueError unless the setting `name` gives the path of a picture, or nothing."""
    if given is None:
        return
    path = Path(given).expanduser()
    try:
        photograph.load(path)
    except ValueError as error:
        raise ValueError(
            f"{name}={given} is no picture: {error}. Give the path of a PNG, JPEG or WebP file."
        ) from error


def photographs(settings: ImageSettings) -> tuple[Path, ...]:
    """Return the files that are shown to the network.

    Raises:
        ValueError, FileNotFoundError: there are none, or they cannot be fetched.
    """
    if settings.root is not None:
        return dataset.folder(Path(settings.root).expanduser())
    if settings.name == "imagenet_samples":
        return dataset.folder(imagenet_samples.imagenet_samples())
    return dataset.samples()


def root(settings: ImageSettings) -> Path | None:
    """Return the folder that the photographs lie in; None for those that a package brings."""
    if settings.root is not None:
        given = Path(settings.root).expanduser()
        return given.parent if given.is_file() else given
    return imagenet_samples.home() if settings.name == "imagenet_samples" else None


def labels(settings: ImageSettings, paths: Sequence[Path]) -> Labels:
    """Return the classes of the photographs.

    Raises:
        ValueError: the table that images.labels names cannot be used.
    """
    table = Path(settings.labels).expanduser() if settings.labels is not None else None
    return labels_of(paths, root(settings), table)


def provenance(
    network: Network,
    settings: ImageSettings,
    paths: Sequence[Path],
    skipped: int,
    precision: str,
) -> dict[str, object]:
    """Return where the results of a run come from, for its summary."""
    return {
        "model": network.name,
        "weights": asdict(network.weights),
        "images": shown(settings, len(paths), dataset.fingerprint(paths), skipped),
        "device": device(),
        "precision": resolve(precision),
    }


def shown(settings: ImageSettings, count: int, sha256: str, skipped: int) -> dict[str, object]:
    """Return which photographs were shown, for the summary of a run."""
    return {
        "name": settings.name,
        "commit": _commit(settings),
        "fit": settings.fit,
        "count": count,
        "sha256": sha256,
        "skipped": skipped,
    }


def aside(count: int) -> str:
    """Return in words that files were set aside."""
    return "1 file was set aside" if count == 1 else f"{count:,} files were set aside"


def optimum(given: float | str | None, model: ModelSettings, unit: Unit) -> float | None:
    """Return the activation of a unit's optimum, as it is given or as a run has found it.

    Args:
        given: the activation, or the folder of a run of stage=maximize; None: none.
        model: the network.
        unit: the unit.

    Raises:
        ValueError: the folder holds no such run, or one of other weights or another filter.
    """
    if given is None or isinstance(given, float):
        return given
    folder = Path(given).expanduser()
    try:
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
        with (folder / "tables" / "optima.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        made = str(summary["weights"]["sha256"])
        found = [
            float(row["activation"])
            for row in rows
            if (row["layer"], row["filter"], row["alive"]) == (unit.layer, str(unit.filter), "true")
        ]
        if summary["status"] != "done" or not all(map(math.isfinite, found)):
            raise ValueError("it is not finished")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"stage.optimum={given} holds no finished run of stage=maximize. Give the folder of"
            " one, or an activation."
        ) from error
    if made != registry.outline(model).weights.sha256:
        raise ValueError(f"stage.optimum={given} is of other weights than {model.called}'s.")
    if not found:
        raise ValueError(f"stage.optimum={given} has no optimum of {unit} that is alive.")
    return max(found)


def _commit(settings: ImageSettings) -> str | None:
    """Return the commit of a set that is fetched by git; None for other photographs."""
    folder = root(settings) if settings.name == "imagenet_samples" else None
    return imagenet_samples.commit(folder) if folder else None
