"""Does the network see? What it takes photographs for, and how often it is right."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from convscope.data import dataset
from convscope.models.zoo import registry
from convscope.settings import ImageSettings, LayerName, ModelSettings, Range
from convscope.stages import checks, neighbours
from convscope.tracking.tracker import Tracker

if TYPE_CHECKING:
    from convscope.activations.predictions import Prediction
    from convscope.models.network import Network
    from convscope.report.classify import Recognition


VIEW = 224  # pixels that the longer side of a photograph in the report is shrunk to
TILE = 96  # the same in W&B's table


@dataclass(frozen=True)
class ClassifySettings:
    """How many classes are kept of each photograph, and how many photographs are shown.

    Attributes:
        top: classes of each photograph, where the network has classes.
        mistakes: that are shown large.
        shown: photographs on the page.
        features: the layer that tells photographs apart; None asks the classifier, or where there
            is none the network's end.
        neighbours: of each photograph, where features are asked.
    """

    name: str
    top: Annotated[int, Range(ge=1, le=100)]
    mistakes: Annotated[int, Range(ge=0, le=100)]
    shown: Annotated[int, Range(ge=1, le=2000)]
    features: LayerName | None
    neighbours: Annotated[int, Range(ge=1, le=20)]


@dataclass(frozen=True)
class Settings:
    """Everything a classify run is given."""

    stage: ClassifySettings
    model: ModelSettings
    images: ImageSettings


def check(settings: Settings) -> None:
    """Raise for a request that cannot be answered, before TensorFlow is loaded.

    Raises:
        ValueError, FileNotFoundError: several outputs that classify, missing or damaged weights, no
            photographs, photographs shown too small, labels that do not fit them.
    """
    settings = checks.settled(settings)
    last = registry.check_classifier(settings.model)
    if last is None or settings.stage.features is not None:
        neighbours.check(_question(settings))
        return
    found = registry.outline(settings.model)
    registry.check_size("images.size", settings.images.size, found, last)
    dataset.check_readable(settings.images)


def run(settings: Settings, tracker: Tracker) -> None:
    """Show every photograph to the network once, and say what it takes them for.

    One that has no classes is asked for the photographs that its features put near each other.
    """
    settings = checks.settled(settings)
    if settings.stage.features is not None or registry.check_classifier(settings.model) is None:
        neighbours.run(_question(settings), tracker)
        return
    paths = dataset.photographs(settings.images)
    with tracker.timer("load"):
        network = registry.network(settings.model)
    tracker.summarize({"stage": "classify"})
    recognition = recognize(settings, network, paths, tracker)
    with tracker.timer("report"):
        report(settings, recognition, tracker)
    for line in recognition.lines():
        tracker.say(line)


def _question(settings: Settings) -> neighbours.Question:
    """Return what a network that has no classes is asked."""
    stage = settings.stage
    return neighbours.Question(
        settings.model, settings.images, stage.features, stage.neighbours, stage.shown,
        asdict(settings),
    )  # fmt: skip


def recognize(
    settings: Settings, network: Network, paths: Sequence[Path], tracker: Tracker
) -> Recognition:
    """Return what the network takes the photographs for; record those set aside."""
    from convscope.activations.predictions import (
        Prediction,
        class_names,
        predict,
        predictor,
        targets,
    )
    from convscope.models.network import head
    from convscope.report.classify import Recognition

    shown, root = settings.images, dataset.root(settings.images)
    labels = dataset.labels(shown, paths)
    known = targets(labels.keys, labels.names, network.classes)
    names = class_names(network.classes)
    top = min(settings.stage.top, len(names))
    look, last = predictor(network), head(network)
    found: list[Prediction] = []
    skipped: list[tuple[str, str]] = []
    start = time.perf_counter()
    with tracker.timer("predict"), tracker.progress("photographs", len(paths)) as update:
        for batch in dataset.batches(paths, shown.sides, shown.batch, shown.fit):
            rows = look(batch.pixels) if batch.paths else ()
            for place, path, row in zip(batch.places, batch.paths, rows, strict=True):
                key = labels.keys[place]
                target = None if key is None else known.get(key)
                guesses, rank, probability = predict(row, target, network.classes, names, top)
                label = None if key is None else labels.names.get(key, key)
                found.append(
                    Prediction(
                        path, dataset.shown_name(path, root), key, label, guesses, rank, probability
                    )
                )
            skipped += [(dataset.shown_name(path, root), reason) for path, reason in batch.skipped]
            done = len(found) + len(skipped)
            aside = f", {len(skipped)} set aside" if skipped else ""
            update(done, f"{done / (time.perf_counter() - start):.1f} a second{aside}")
    checks.set_aside(skipped, tracker)
    if not found:
        raise ValueError("none of the photographs can be read; tables/skipped.csv says why")
    good = [one.path for one in found]
    tracker.summarize(checks.provenance(network, shown, good, len(skipped), network.dtype))
    return Recognition(
        network=network.name,
        source=network.weights.source,
        classes=network.classes,
        kind=last.kind if last else "",
        predictions=tuple(found),
        skipped=len(skipped),
        targets=known,
        origin=labels.source,
        top=top,
        sides=shown.sides,
        fit=shown.fit,
        trained=network.size,
    )


def report(settings: Settings, recognition: Recognition, tracker: Tracker) -> None:
    """Write the tables, the picture and the page."""
    from convscope.activations.dataset_examples import shrunk
    from convscope.report.classify import CLASSES, COLUMNS, PHOTOGRAPHS, chosen

    tracker.table("predictions", COLUMNS, recognition.rows())
    if labels := recognition.labels:
        tracker.table("classes", CLASSES, [list(row.values()) for row in labels])
    tracker.summarize(recognition.summary())
    shown = chosen(recognition.predictions, settings.stage.shown)
    views = seen(settings.images, shown)
    shown = [one for one in shown if one.path in views]  # a file may be gone by now
    small = [shrunk(views[one.path], TILE) for one in shown]
    tracker.table("photographs", PHOTOGRAPHS, recognition.photographs(shown), {"view": small})
    tracker.image("predictions", recognition.picture(shown, views))
    page = recognition.page(shown, views, settings.stage.mistakes, asdict(settings))
    tracker.page("report", page)


def seen(settings: ImageSettings, shown: Sequence[Prediction]) -> dict[Path, np.ndarray]:
    """Return what the network saw of some photographs, uint8 and small enough to be shown."""
    from convscope.activations.dataset_examples import shrunk

    paths = [one.path for one in shown]
    return {
        path: shrunk(np.rint(255 * pixels).astype(np.uint8), VIEW)
        for batch in dataset.batches(paths, settings.sides, settings.batch, settings.fit)
        for path, pixels in zip(batch.paths, batch.pixels, strict=True)
    }
