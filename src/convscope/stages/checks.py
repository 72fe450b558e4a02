"""What a run looks at, checked before TensorFlow is loaded: a network's file and photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from convscope.data import dataset
from convscope.models.precision import device, resolve
from convscope.models.zoo import registry
from convscope.models.zoo.registry import check_size
from convscope.settings import ImageSettings, ModelSettings, size_of
from convscope.tracking.tracker import Tracker
from convscope.unit import Choice, Unit, filters

if TYPE_CHECKING:
    from convscope.models.network import Network

USUAL = 224  # pixels of a side, for a network of which no other size is known


Settings = TypeVar("Settings")  # of a stage that shows photographs, `images`, to a `model`


def settled(settings: Settings) -> Settings:
    """Return the settings with a number for images.size=auto: what the network was trained on."""
    found: Any = settings
    if found.images.size == "auto":
        size = size_of(registry.outline(found.model).size or (USUAL, USUAL))
        found = replace(found, images=replace(found.images, size=size))
    return found


def choose(model: ModelSettings, layer: str, choice: Choice) -> tuple[Unit, ...]:
    """Return the units that a choice of filters names, in its order; None is the whole layer."""
    count = registry.outline(model).layers.get(layer, 0)
    return tuple(Unit(layer, number) for number in filters(choice, count))


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
    dataset.check_readable(settings)


def set_aside(skipped: Sequence[tuple[str, str]], tracker: Tracker) -> None:
    """Record which files could not be read, and why."""
    if skipped:
        tracker.table("skipped", ("image", "reason"), skipped)
        tracker.say(f"{dataset.aside(len(skipped))}: see tables/skipped.csv")


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
        "images": dataset.record(settings, len(paths), dataset.fingerprint(paths), skipped),
        "device": device(),
        "precision": resolve(precision),
        "check/output_error": network.error,
    }
