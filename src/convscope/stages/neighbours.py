"""Does a network without a classifier see? Whether its features put like photographs together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convscope.data import dataset
from convscope.models.zoo import registry
from convscope.settings import ImageSettings, ModelSettings
from convscope.stages import checks
from convscope.text import meant
from convscope.tracking.tracker import Tracker

if TYPE_CHECKING:
    from convscope.models.network import Network
    from convscope.report.neighbours import Neighbourhood

VIEW = 128  # pixels that the longer side of a photograph in the report is shrunk to
LEAST = 3  # photographs that can have a nearest one and another


@dataclass(frozen=True)
class Question:
    """Of which network and photographs neighbours are asked.

    Attributes:
        model: the network.
        images: the photographs, at a size that is a number.
        features: the layer that tells them apart; None: the network's end.
        neighbours: of each photograph.
        shown: photographs on the page.
        settings: of the run, for the page.
    """

    model: ModelSettings
    images: ImageSettings
    features: str | None
    neighbours: int
    shown: int
    settings: Mapping[str, object]


def check(question: Question) -> None:
    """Raise for a request that cannot be answered, before anything is computed.

    Raises:
        ValueError, FileNotFoundError: an unknown layer, missing or damaged weights, no photographs,
            photographs shown too small, labels that do not fit them.
    """
    layer = question.features
    found = registry.outline(question.model)
    if layer is not None and layer not in found.layers:
        graph = registry.network(question.model).graphs[-1]
        if layer not in graph:
            raise ValueError(
                f"stage.features={layer} is no layer of {found.name}.{meant(layer, list(graph))}"
                " stage=layers lists them."
            )
    registry.check_size("images.size", question.images.size, found, layer or [*found.layers][-1])
    registry.check_weights(question.model)
    dataset.check_readable(question.images)
    if (count := len(dataset.photographs(question.images))) < LEAST:
        raise ValueError(_few(found.name, count))


def _few(name: str, count: int) -> str:
    """Return the sentence for too few photographs."""
    many = "1 photograph" if count == 1 else f"{count} photographs"
    return (
        f"{name} has no classes, so photographs are compared with each other, for which {many} that"
        f" can be read {'is' if count == 1 else 'are'} too few. Give {LEAST} or more."
    )


def run(question: Question, tracker: Tracker) -> None:
    """Show every photograph to the network, and to itself untrained, and compare what is near."""
    paths = dataset.photographs(question.images)
    with tracker.timer("load"):
        network = registry.network(question.model)
    tracker.summarize({"stage": "classify"})
    found, views = observe(question, network, paths, tracker)
    with tracker.timer("report"):
        report(question, found, views, tracker)
    for line in found.lines():
        tracker.say(line)


def observe(
    question: Question, network: Network, paths: Sequence[Path], tracker: Tracker
) -> tuple[Neighbourhood, list[np.ndarray]]:
    """Return the neighbours of photographs, and what the network saw of each; record others."""
    from convscope.activations.dataset_examples import shrunk
    from convscope.activations.neighbours import features_of, pooler
    from convscope.models.network import cast
    from convscope.models.precision import resolve
    from convscope.models.untrained import untrained
    from convscope.report.neighbours import Neighbourhood

    shown, root = question.images, dataset.root(question.images)
    labels = dataset.labels(shown, paths)
    layer = question.features or features_of(network)
    other = untrained(network)
    looks = [pooler(network, layer)]
    if other is not None:
        looks.append(pooler(cast(other, resolve("auto")), layer))
    features: list[list[np.ndarray]] = [[] for _ in looks]
    good: list[int] = []
    views: list[np.ndarray] = []
    skipped: list[tuple[str, str]] = []
    start = time.perf_counter()
    with tracker.timer("features"), tracker.progress("photographs", len(paths)) as update:
        for batch in dataset.batches(paths, shown.sides, shown.batch, shown.fit):
            for look, into in zip(looks, features, strict=True):
                into += [look(batch.pixels)] if batch.paths else []
            good += batch.places
            views += [shrunk(np.rint(255 * one).astype(np.uint8), VIEW) for one in batch.pixels]
            skipped += [(dataset.shown_name(path, root), reason) for path, reason in batch.skipped]
            done = len(good) + len(skipped)
            aside = f", {len(skipped)} set aside" if skipped else ""
            update(done, f"{done / (time.perf_counter() - start):.1f} a second{aside}")
    checks.set_aside(skipped, tracker)
    if len(good) < LEAST:
        raise ValueError(_few(network.name, len(good)))
    rows = [np.concatenate(one) for one in features]
    if not np.isfinite(rows[0]).all():
        raise ValueError(
            f"The features of {network.name} at {layer} are no finite numbers. Its weights are"
            " damaged, or its input lies far outside what it was trained on."
        )
    files = [paths[place] for place in good]
    tracker.summarize(checks.provenance(network, shown, files, len(skipped), network.dtype))
    found = Neighbourhood.of(
        network=network.name,
        source=network.weights.source,
        layer=layer,
        images=[dataset.shown_name(path, root) for path in files],
        labels=[labels.keys[place] for place in good],
        names=labels.names,
        origin=labels.source,
        features=rows[0],
        control=rows[1] if len(rows) > 1 and np.isfinite(rows[1]).all() else None,
        count=question.neighbours,
        sides=shown.sides,
        fit=shown.fit,
        skipped=len(skipped),
    )
    return found, views


def report(
    question: Question, found: Neighbourhood, views: Sequence[np.ndarray], tracker: Tracker
) -> None:
    """Write the tables, the picture and the page."""
    from convscope.report.neighbours import AGREEMENTS, COLUMNS

    tracker.table("neighbours", COLUMNS, found.rows())
    tracker.table("agreement", AGREEMENTS, found.agreement_rows())
    tracker.summarize(found.summary())
    tracker.image("neighbours", found.picture(views))
    tracker.page("report", found.page(views, question.shown, question.settings))
