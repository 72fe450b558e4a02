"""Which layers of a network can one ask about?"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from convscope.models.zoo import registry
from convscope.settings import ModelSettings, size_of
from convscope.text import by
from convscope.tracking.tracker import Tracker


@dataclass(frozen=True)
class LayersSettings:
    """The stage has no settings of its own."""

    name: str


@dataclass(frozen=True)
class Settings:
    """Everything a run is given that lists layers."""

    stage: LayersSettings
    model: ModelSettings


def check(settings: Settings) -> None:
    """Raise for a network that cannot be had.

    Raises:
        ValueError, FileNotFoundError: there is no such network, or its weights are missing or
            damaged.
    """
    registry.outline(settings.model)
    registry.check_weights(settings.model)


def run(settings: Settings, tracker: Tracker) -> None:
    """List the layers on the terminal, as a table and as a page."""
    with tracker.timer("load"):
        from convscope.report import layers

        network = registry.network(settings.model)
    entries = layers.inventory(network)
    for line in layers.lines(entries):
        tracker.say(line)
    tracker.table("layers", layers.COLUMNS, layers.rows(entries))
    classified = next((one.filters for one in entries if one.kind == "classifier"), None)
    tracker.summarize(
        {
            "stage": "layers",
            "model": network.name,
            "weights": asdict(network.weights),
            "preprocess": network.mode,
            "size": network.size and size_of(network.size),
            "layers/layers": len(entries),
            "layers/filters": sum(one.filters for one in entries),
            "layers/classes": classified,
        }
    )
    facts = {
        "network": network.name,
        "weights": network.weights.source,
        "trained at": f"{by(network.size)} pixels" if network.size else "any size",
        "takes": f"{network.mode}: {TAKES[network.mode]}",
        "layers": str(len(entries)),
        "classes": str(classified) if classified else "none: it has no classifier",
    }
    kinds = Counter(one.kind for one in entries)
    asked = registry.asked(settings.model)
    tracker.page("report", layers.layers_page(entries, facts, kinds, asked, asdict(settings)))


TAKES = {
    "none": "RGB in [0, 1]",
    "unit": "RGB in [0, 1]",
    "byte": "RGB in [0, 255]",
    "tf": "RGB in [-1, 1]",
    "torch": "RGB, ImageNet's mean and deviation taken off",
    "caffe": "BGR in [0, 255] minus ImageNet's mean",
    "lite": "RGB in [0, 255] minus 127, over 128",
}
