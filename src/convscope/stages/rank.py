"""Which photographs, and which classes of them, excite this filter most?"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from convscope.activations import index as indices
from convscope.activations.index import ActivationIndex, ranges
from convscope.data import dataset
from convscope.models.zoo import registry
from convscope.settings import Count, ImageSettings, LayerName, ModelSettings, Range, located
from convscope.stages import checks, resume
from convscope.tracking.files import relative
from convscope.tracking.tracker import Tracker
from convscope.unit import Choice, Unit

if TYPE_CHECKING:
    from convscope.activations.dataset_examples import Hit
    from convscope.models.network import Network
    from convscope.units.responses import Responses


TILE = 64  # pixels of a crop in W&B's table of many filters
VIEWS = ("crop", "whole")  # of each example, in W&B's table


@dataclass(frozen=True)
class RankSettings:
    """What counts of a photograph, what is shown and tested, and which part of the pass is done."""

    name: str
    score: Literal["peak", "mean"]
    top: Annotated[int, Range(ge=1, le=1000)]
    per_image: Annotated[int, Range(ge=1, le=1000)]
    bin: Annotated[int, Range(ge=1, le=50)]
    min_images: Annotated[int, Range(ge=2)]
    permutations: Annotated[int, Range(ge=99, le=10**5)]
    hypothesis: str | None
    optimum: float | str | None
    index: str
    shard: int | None
    shards: Count

    def __post_init__(self) -> None:
        """Raise ValueError for a value without effect or meaning."""
        if self.per_image > 1 and self.score == "mean":
            raise ValueError(
                f"per_image={self.per_image} has no effect on stage.score=mean, which is one number"
                " for each photograph. Leave it out."
            )
        if self.shard is None and self.shards > 1:
            raise ValueError(
                f"shards={self.shards} needs the part that this job does: stage.shard=0 to"
                f" {self.shards - 1}, or -m 'stage.shard=range(0,{self.shards})' for all of them."
            )
        if self.shard is not None and not 0 <= self.shard < self.shards:
            raise ValueError(
                f"shard={self.shard} is no part of {self.shards}. Parts are 0 to stage.shards - 1."
            )
        if self.hypothesis is not None and not self.hypothesis.strip():
            raise ValueError(
                f"hypothesis={self.hypothesis!r} says nothing. Give a sentence, or leave it out."
            )
        if self.hypothesis and any("\ud800" <= letter <= "\udfff" for letter in self.hypothesis):
            raise ValueError(
                f"hypothesis={self.hypothesis!a} is no text in UTF-8. Give it in that encoding."
            )
        if not self.index:
            raise ValueError("index='' names no folder. Give one, like stage.index=outputs/index.")


@dataclass(frozen=True)
class Settings:
    """Everything a rank run is given."""

    layer: LayerName
    filter: Choice
    seed: Annotated[int, Range(ge=0)]
    stage: RankSettings
    model: ModelSettings
    images: ImageSettings

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that are asked about, in the order asked for."""
        return checks.choose(self.model, self.layer, self.filter)


def check(settings: Settings) -> None:
    """Raise for a request that cannot be answered, before TensorFlow is loaded.

    Raises:
        ValueError, FileNotFoundError: unknown layer or filter, missing or damaged weights, no
            photographs, labels that do not fit them, no such optimum.
    """
    settings = checks.settled(settings)
    stage = settings.stage
    if settings.filter is None and stage.shard is None:
        raise ValueError("filter is missing. Add filter=17, a list, a range like 0-31, or all.")
    named = () if settings.filter is None else settings.units
    registry.check_units(settings.model, [Unit(settings.layer, 0), *named])
    if len(named) > 1:
        for name, given, default in (
            ("hypothesis", stage.hypothesis, None),
            ("optimum", stage.optimum, None),
            ("per_image", stage.per_image, 1),
        ):
            if given != default:
                raise ValueError(
                    f"stage.{name}={given} is about one filter; {len(named)} are asked for. Give"
                    " one, or leave it out."
                )
    checks.check_photographs(settings.images, settings.model, settings.layer)
    if named:
        resume.optimum(stage.optimum, settings.model, named[0])
    home = located("stage.index", stage.index)
    there = next(place for place in (home, *home.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ValueError(f"stage.index={stage.index}: {there} is a file. Give a folder.")
    if not os.access(there, os.W_OK | os.X_OK) and not (there == home and any(home.iterdir())):
        raise ValueError(
            f"stage.index={stage.index} cannot be written: no permission in {there}. Give another"
            " folder."
        )


def run(settings: Settings, tracker: Tracker) -> None:
    """Let every photograph pass once, and say what it tells of the filters asked for."""
    settings = checks.settled(settings)
    paths = dataset.photographs(settings.images)
    indexing = Indexing(settings, paths, tracker)
    with tracker.timer("index"):
        index = indexing.index()
    tracker.summarize(
        {
            "stage": "rank",
            "layer": settings.layer,
            "seed": settings.seed,
            "model": settings.model.called,
            "weights": asdict(registry.outline(settings.model).weights),
        }
    )
    if settings.stage.shard is not None:
        tracker.summarize(indexing.conclude(index))
        return
    found = responses(settings, index, paths, tracker)
    if len(settings.units) == 1:
        one(settings, found, tracker)
    else:
        many(settings, found, tracker)


def responses(
    settings: Settings, index: ActivationIndex, paths: Sequence[Path], tracker: Tracker
) -> Responses:
    """Return the photographs with their classes and activations; record those set aside."""
    from convscope.units.responses import Responses

    stage = settings.stage
    found = Responses(
        index,
        paths,
        dataset.labels(settings.images, paths),
        stage.score,
        stage.min_images,
        stage.permutations,
        settings.seed,
    )
    skipped = [(found.name(place), reason) for place, reason in found.skipped.items()]
    checks.set_aside(skipped, tracker)
    if not found.seen:
        raise ValueError("none of the photographs can be read; tables/skipped.csv says why")
    facts = {"model": settings.model.called, "layer": settings.layer, "photographs": found.seen}
    tracker.reference(index.folder.name, "index", index.folder, facts)
    manifest = index.manifest
    tracker.summarize(
        {
            "images": dataset.record(settings.images, found.seen, found.fingerprint, len(skipped)),
            # Of the pass over the photographs, which may be older than this run.
            "device": manifest.device,
            "precision": "float32",
            "index": {
                "folder": relative(index.folder),
                "versions": dict(manifest.request.versions),
            },
            "rank/photographs": found.seen,
            "rank/labelled": found.labelled,
        }
    )
    return found


def one(settings: Settings, found: Responses, tracker: Tracker) -> None:
    """Rank photographs and classes for one filter, and write the report about it."""
    from convscope.report.rank import COLUMNS, UnitReport, own_hypothesis
    from convscope.units import selectivity

    unit, stage = settings.units[0], settings.stage
    with tracker.timer("statistics"):
        study = found.study(unit.filter)
    with tracker.timer("report"):
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        report = UnitReport(
            found,
            unit,
            study,
            found.show(strongest(settings, found)),
            found.binned(unit.filter, stage.bin),
            own_hypothesis(stage.hypothesis, now) if stage.hypothesis else None,
            resume.optimum(stage.optimum, settings.model, unit),
            registry.outline(settings.model).weights.source,
        )
        tracker.document("hypothesis", report.document())
        shown = {name: [getattr(one, name) for one in report.examples] for name in VIEWS}
        tracker.table("top_images", COLUMNS, report.rows(), shown)
        for name, tested in (("classes", study.classes), ("groups", study.groups)):
            tracker.table(name, selectivity.COLUMNS, selectivity.rows(tested))
        for name, picture in report.pictures().items():
            tracker.image(name, picture)
        tracker.summarize(report.summary())
        tracker.page("report", report.page(asdict(settings)))
    tracker.say(report.hypothesis)


def strongest(settings: Settings, found: Responses) -> Sequence[Hit]:
    """Return the positions to show, strongest first, at most so many of one photograph."""
    stage, unit = settings.stage, settings.units[0]
    hits = found.top(unit.filter, stage.top)
    if stage.per_image == 1:
        return hits
    # Each position among the strongest lies on a photograph whose peak is among the strongest.
    from convscope.activations.recorder import summits

    network = registry.network(settings.model)
    climb = summits(network, unit.layer, unit.filter, stage.per_image)
    shown, paths = settings.images, [hit.path for hit in hits]
    summit_hits = [
        replace(hits[place], activation=value, row=row, column=column)
        for batch in dataset.batches(paths, shown.sides, shown.batch, shown.fit)
        for place, summit in zip(batch.places, climb(batch.pixels), strict=True)
        for value, row, column in summit
    ]
    ordered = sorted(summit_hits, key=lambda hit: -hit.activation)[: stage.top]
    return [replace(hit, rank=rank) for rank, hit in enumerate(ordered, 1)]


def many(settings: Settings, found: Responses, tracker: Tracker) -> None:
    """Say for each of several filters what it fires for, and show its strongest crops."""
    from convscope.activations import dataset_examples
    from convscope.report import filters
    from convscope.report.figures import grids

    chosen = [unit.filter for unit in settings.units]
    studies = []
    with tracker.timer("statistics"), tracker.progress("filters", len(chosen)) as update:
        for study in found.studies(chosen):
            studies.append(study)
            update(len(studies))
    side = filters.cell(len(chosen))
    total = len(chosen) * min(dataset_examples.CROPS, found.seen)
    with tracker.timer("crops"), tracker.progress("crops", total) as update:
        for crops in found.crops(chosen, side):
            update(sum(map(len, crops.values())))
    with tracker.timer("report"):
        units = filters.summaries(found, crops, studies)
        mosaics = [grids.mosaic(unit.crops, 3 * min(side, TILE)) for unit in units]
        tracker.records("units", filters.rows(units), {"crops": mosaics})
        tracker.image("units", filters.sheet(units))
        source = registry.outline(settings.model).weights.source
        tracker.summarize(
            {
                "filter": settings.filter if isinstance(settings.filter, str) else chosen,
                "rank/activation": max(unit.activation for unit in units),
                "rank/picture": "images/units.png",
                "rank/filters": len(units),
                "rank/selective": sum(unit.selective for unit in units),
                "rank/silent": sum(unit.silent for unit in units),
            }
        )
        shown = asdict(settings.images)
        asked = [*registry.asked(settings.model), f"images={shown.pop('name')}"]
        asked += [f"images.{key}={value}" for key, value in shown.items() if value is not None]
        facts = filters.facts(found, None, source)
        notes = [*filters.notes(found, source), *studies[0].notes]
        tested = any(study.tested for study in studies)
        page = filters.layer_page(units, facts, asdict(settings), notes, asked, tested)
        tracker.page("report", page)


@dataclass(frozen=True)
class Indexing:
    """The pass of the photographs through the network, and which part of it is this run's.

    Attributes:
        settings: what is asked for.
        paths: the photographs.
        tracker: who is told.
    """

    settings: Settings
    paths: Sequence[Path]
    tracker: Tracker

    @property
    def part(self) -> tuple[int, int]:
        """The part of the pass that this run does, and how many there are."""
        return self.settings.stage.shard or 0, self.settings.stage.shards

    def index(self) -> ActivationIndex:
        """Return the index of the layer, what is missing of this run's part computed first.

        Where nothing is, TensorFlow is not loaded.

        Raises:
            ValueError: what lies in the place of the index is damaged, or of no use.
        """
        home = located("stage.index", self.settings.stage.index)
        try:
            return self._index(home)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ValueError(
                f"stage.index={relative(home)} cannot be used: {error}. Remove what is damaged"
                " there, or give another folder"
            ) from error

    def _index(self, home: Path) -> ActivationIndex:
        found, images = registry.outline(self.settings.model), self.settings.images
        files = indices.listing(self.paths, dataset.root(images))
        request = indices.request(
            model=found.name,
            weights=found.weights.sha256,
            preprocess=found.preprocess,
            layer=self.settings.layer,
            size=images.sides,
            fit=images.fit,
            files=files,
        )
        index = indices.find(home, request)
        if index:
            self._repair(index)
            if not index.missing():
                index.names()  # raises where the listing is damaged
                self.tracker.say(f"answered from the index {relative(index.folder)}")
                return index
        with self.tracker.timer("load"):
            from convscope.activations.indexing import begin

            network = registry.network(self.settings.model)
            index = begin(home, request, files, network)
        self._fill(index, network)
        return index

    def _repair(self, index: ActivationIndex) -> None:
        """Compare all that is there with its checksums, and remove what is damaged."""
        there = index.shards - len(index.missing())
        if not there:
            return
        with self.tracker.progress("checksums", there) as update:
            for done, (number, complaint) in enumerate(index.repair(), 1):
                update(done)
                if complaint:
                    self.tracker.say(f"shard {number} is damaged ({complaint}): it is made again")

    def _fill(self, index: ActivationIndex, network: Network) -> None:
        """Compute the missing shards of this run's part, and say how fast."""
        from convscope.activations.indexing import survey

        mine, parts = self.part
        missing = [number for number in index.missing() if number % parts == mine]
        if not missing:
            return
        if len(missing) < index.shards:
            self.tracker.say(f"missing of {index.shards} shards, computed now: {ranges(missing)}")
        total = sum(index.layout(number).count for number in missing)
        # From here on an interrupted run has shards to go on from.
        self.tracker.resumes = True
        start, batch = time.perf_counter(), self.settings.images.batch
        with self.tracker.progress("photographs", total) as update:
            for done, skipped in survey(index, network, self.paths, batch, self.part):
                rate = done / (time.perf_counter() - start)
                aside = f", {skipped} set aside" if skipped else ""
                update(done, f"{rate:.1f} a second{aside}")

    def conclude(self, index: ActivationIndex) -> dict[str, object]:
        """Say how far all parts together are, and return what the summary of a part says of it."""
        missing, (mine, parts) = index.missing(), self.part
        left = f"; still missing: {ranges(missing)}" if missing else ""
        self.tracker.say(f"{index.shards - len(missing)} of {index.shards} shards are there{left}")
        self.tracker.say(
            f"part {mine} of {parts} is done, for all filters; when all are, the same command"
            " without stage.shard and stage.shards has the answer"
        )
        return {
            "index": {"folder": relative(index.folder)},
            "rank/shard": mine,
            "rank/shards": parts,
            "rank/missing": len(missing),
        }
