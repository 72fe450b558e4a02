"""What photographs say about the filters of a layer, from an index and their classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from convscope import text
from convscope.activations.dataset_examples import CROPS, Bin, Example, Hit, bins, examples, shrunk
from convscope.activations.index import ActivationIndex, By
from convscope.activations.statistics import firing
from convscope.data import dataset, splits
from convscope.data.labels import Labels
from convscope.data.splits import LEVEL, Panel
from convscope.data.wordnet import taxonomy
from convscope.models.receptive_field import Axis, ReceptiveField
from convscope.text import number
from convscope.units import selectivity
from convscope.units.selectivity import Best, Selectivity

SCORES = {"peak": "peak activation", "mean": "mean activation"}


@dataclass(frozen=True)
class Responses:
    """Photographs, their classes, and what they did to a layer.

    Attributes:
        index: the activations, complete.
        paths: the photographs' files, in the order of the index.
        labels: the class of each.
        score: what counts of a photograph: its peak, or the mean over its map.
        min_images: photographs that a class needs to be judged by itself.
        permutations: of whole classes behind the p of a group.
        seed: of the permutations.
    """

    index: ActivationIndex
    paths: Sequence[Path]
    labels: Labels
    score: By
    min_images: int
    permutations: int
    seed: int

    # The photographs

    @property
    def layer(self) -> str:
        """The layer that the photographs were shown to."""
        return self.index.manifest.request.layer

    @property
    def field(self) -> ReceptiveField:
        """What a position of the layer sees of the square; of a classifier all of it."""
        whole = Axis(size=self.index.manifest.request.size)
        return self.index.manifest.field or ReceptiveField(whole, whole)

    @cached_property
    def skipped(self) -> dict[int, str]:
        """The places of the photographs that were set aside, and why."""
        return self.index.skipped()

    @property
    def seen(self) -> int:
        """How many photographs could be read."""
        return self.index.count - len(self.skipped)

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 over the names and contents of the photographs that could be read."""
        good = [place for place in range(self.index.count) if place not in self.skipped]
        digests = self.index.digests()
        return dataset.fingerprint_of(
            (self.paths[place].name for place in good), (bytes(digests[place]) for place in good)
        )

    def name(self, place: int) -> str:
        """Return the name of a photograph, as it can be shown."""
        return text.spelled(self._names[place])

    @cached_property
    def _names(self) -> list[str]:
        return self.index.names()

    @cached_property
    def panel(self) -> Panel:
        """The labelled photographs, divided into two halves."""
        known = taxonomy()
        groups = known.groups({key for key in self._keys if key})
        return splits.prepare(
            self._keys,
            groups,
            {**self.labels.names, **{wnid: known.name(wnid) for wnid in groups}},
            dataset.halves(self.index.digests()),
            self.min_images,
            self.permutations,
            self.seed,
        )

    @property
    def labelled(self) -> int:
        """How many photographs that could be read have a class."""
        return sum(key is not None for key in self._keys)

    @cached_property
    def _keys(self) -> list[str | None]:
        """The class of each photograph; None for those set aside, too.

        A class of which nothing could be read would tell groups apart that are the same.
        """
        return [
            None if place in self.skipped else key for place, key in enumerate(self.labels.keys)
        ]

    # One filter

    def scores(self, filter: int) -> np.ndarray:
        """Return the score of each photograph, float32; NaN for those set aside."""
        return self.index.column(filter, self.score).astype(np.float32)

    def hits(self, filter: int, places: np.ndarray) -> tuple[Hit, ...]:
        """Return where a filter has its peak on each of some photographs, ranked in their order.

        Their activation is the score.
        """
        scores, (rows, columns) = self.scores(filter), self.index.where(filter, places)
        return tuple(
            self._hit(rank, int(place), float(scores[place]), int(row), int(column))
            for rank, (place, row, column) in enumerate(zip(places, rows, columns, strict=True), 1)
        )

    def top(self, filter: int, count: int) -> tuple[Hit, ...]:
        """Return the photographs that a filter responds to most, strongest first."""
        return self.hits(filter, self.index.top(filter, count, self.score).places)

    def show(self, hits: Sequence[Hit]) -> tuple[Example, ...]:
        """Return hits with what the filter saw there, cut from the photographs."""
        request = self.index.manifest.request
        return examples(hits, self.field, request.size, request.fit)

    def quilt(self, filter: int, each: int) -> list[tuple[Bin, tuple[Example, ...]]]:
        """Return photographs from all parts of a filter's range, strongest bin first."""
        return [
            (one, self.show(self.hits(filter, np.array(one.places))))
            for one in bins(self.scores(filter), each)
        ]

    def study(self, filter: int) -> Selectivity:
        """Return which classes and groups a filter fires for and avoids."""
        return selectivity.study(self.scores(filter), self.panel)

    def rate(self, filter: int) -> float:
        """Return the share of positions at which a filter is above zero."""
        return firing(self.index.histogram([filter])[0])

    def peak(self, filter: int) -> float:
        """Return a filter's largest activation on any photograph."""
        return float(np.nanmax(self.index.column(filter, "peak").astype(np.float32)))

    def measured(self, filter: int, paths: Sequence[Path]) -> list[tuple[float, float]]:
        """Return peak and mean of a filter on some of the photographs that excite it most."""
        places = self.index.top(filter, len(paths), self.score).places
        both = [self.index.column(filter, what)[places].tolist() for what in ("peak", "mean")]
        known = {self.paths[place]: pair for place, *pair in zip(places, *both, strict=True)}
        return [(known[path][0], known[path][1]) for path in paths]

    def _hit(self, rank: int, place: int, activation: float, row: int, column: int) -> Hit:
        key = self.labels.keys[place]
        return Hit(
            rank=rank,
            path=self.paths[place],
            image=self.name(place),
            activation=activation,
            row=row,
            column=column,
            wnid=key,
            label=self.labels.names.get(key, key) if key is not None else None,
        )

    # Many filters

    def studies(self, chosen: Sequence[int]) -> Iterator[Selectivity]:
        """Yield which classes and groups each of some filters fires for and avoids."""
        columns = (self.scores(filter) for filter in chosen)
        yield from selectivity.studies(columns, self.panel)

    def crops(self, chosen: Sequence[int], side: int) -> Iterator[dict[int, list[Example]]]:
        """Yield the strongest crops of some filters, growing photograph by photograph.

        Each photograph is read once, whatever the number of filters that it excites.

        Args:
            chosen: the filters.
            side: pixels that the longer side of a crop is shrunk to.
        """
        wanted: dict[Path, list[tuple[int, Hit]]] = {}
        for filter in chosen:
            for hit in self.top(filter, CROPS):
                wanted.setdefault(hit.path, []).append((filter, hit))
        found: dict[int, list[Example]] = {filter: [] for filter in chosen}
        for pairs in wanted.values():
            shown = self.show([hit for _, hit in pairs])
            for (filter, _), example in zip(pairs, shown, strict=True):
                small = shrunk(example.crop, side).copy()
                found[filter].append(replace(example, crop=small, whole=small[:1, :1]))
            yield found

    def summary(
        self, filter: int, shown: Sequence[Example], study: Selectivity, best: Best
    ) -> UnitSummary:
        """Return what is said about one filter among all of its layer.

        Args:
            filter: its number.
            shown: its strongest crops.
            study: what it fires for and avoids.
            best: the clearest of that, among the tests of all filters.
        """
        one = best.association
        ranked = sorted(shown, key=lambda example: example.rank)
        return UnitSummary(
            layer=self.layer,
            filter=filter,
            firing_rate=float(self._rates[filter]),
            sparseness=selectivity.sparseness(self.scores(filter)),
            activation=self.peak(filter),
            best=one.name if one else None,
            side="avoids" if one and one.auroc < 0.5 else "fires",
            auroc=one.auroc if one else None,
            low=one.low if one else None,
            high=one.high if one else None,
            q=best.q if one else None,
            avoids=study.avoids[0].name if study.avoids else None,
            words=tuple(name for found in study.fires for name in self._above(found.wnid)),
            crops=tuple(example.crop for example in ranked),
            labels=tuple(example.label for example in ranked),
            activations=tuple(example.activation for example in ranked),
        )

    @cached_property
    def _rates(self) -> np.ndarray:
        return self.index.firing_rate()

    def _above(self, key: str) -> list[str]:
        """Return the name of a class or group and the names of the tested groups around it."""
        panel = self.panel
        around = [wnid for wnid in panel.together if key in taxonomy().words and wnid != key]
        inside = [wnid for wnid in around if taxonomy().leaves(key) <= taxonomy().leaves(wnid)]
        return [panel.names.get(name, name) for name in (key, *inside)]

    # In words

    def facts(self, filter: int | None, source: str) -> dict[str, str]:
        """Return what the head of a page states.

        Args:
            filter: the filter that the page is about; None: several.
            source: which weights these are.
        """
        request = self.index.manifest.request
        field, labels = self.field, self.labels.source
        said = {"network": request.model, "weights": source}
        if filter is not None:
            said["filter"] = f"{filter} of {self.layer}"
        said["receptive field"] = field.words
        if self.index.manifest.rows * self.index.manifest.columns == 1:
            said["receptive field"] = (
                f"{field.rows.size} x {field.columns.size} pixels{field.besides}"
            )
        said["photographs"] = f"{self.seen:,} at {request.size} x {request.size} ({request.fit})"
        if filter is not None:
            rate = self.rate(filter)
            sparse = selectivity.sparseness(self.scores(filter))
            said["fires at"] = f"{100 * rate:.1f} % of positions on the photographs"
            said["sparseness"] = number(sparse, digits=2)
        said["score of a photograph"] = SCORES[self.score]
        said["classes"] = f"from {labels}" if self.labelled else "none known"
        return said

    def notes(self, source: str) -> list[str]:
        """Return what a reader should keep in mind, as far as these photographs themselves say so.

        Args:
            source: which weights these are.
        """
        said = [
            f"These are the weights '{source}'. A filter's number means nothing beyond one set of"
            " weights."
        ]
        if self.labelled:
            said.append(
                "Names are chosen on one half of the photographs and tested on the other; a hash"
                " of each file decides which half it is in. What is not tested may still be true."
            )
        if self.index.manifest.request.fit == "pad":
            said.append(
                "Positions above the grey padding count too. Where the field of one lies on padding"
                " alone, the nearest pixels are shown, which had no part in the activation."
            )
        if skipped := len(self.skipped):
            said.append(f"{dataset.aside(skipped)}: tables/skipped.csv says why.")
        if clipped := self.index.clipped():
            many = "1 activation lies" if clipped == 1 else f"{clipped:,} activations lie"
            said.append(f"{many} beyond what the index can hold: kept as 65504.")
        return said


MARKS = ("selective", "avoiding", "silent")
"""What can be said about a filter in a word."""


@dataclass(frozen=True)
class UnitSummary:
    """One filter among all of its layer.

    Attributes:
        layer: its layer.
        filter: its number.
        firing_rate: share of the positions on photographs whose preactivation is above zero.
        sparseness: from 0, where it responds alike to all photographs, to 1, where to few; None:
            to none.
        activation: its largest peak on any photograph.
        best: the class or group that stands out most; None: there is none. The figures below are
            about it.
        side: whether the filter fires for `best` or avoids it.
        auroc: chance that a photograph of `best` excites the filter more than another does.
        low: lower end of its 95 % interval.
        high: upper end.
        q: its false discovery rate; None: not tested.
        avoids: what the filter avoids most; None: nothing.
        words: names of all groups that it fires for, those above them in the taxonomy included.
        crops: the receptive fields that excite it most, one of each photograph, strongest first,
            uint8 `(height, width, 3)` of any size; nine at most.
        labels: the class of each crop's photograph, where it is known.
        activations: the preactivation at each crop.
    """

    layer: str
    filter: int
    firing_rate: float
    sparseness: float | None
    activation: float
    best: str | None
    side: Literal["fires", "avoids"]
    auroc: float | None
    low: float | None
    high: float | None
    q: float | None
    avoids: str | None
    words: tuple[str, ...]
    crops: tuple[np.ndarray, ...]
    labels: tuple[str | None, ...]
    activations: tuple[float, ...]

    @property
    def name(self) -> str:
        """The unit, such as `block4_conv3:17`."""
        return f"{self.layer}:{self.filter}"

    @property
    def slug(self) -> str:
        """What a link to this filter is called."""
        return f"{self.layer}-{self.filter}"

    @property
    def significant(self) -> bool:
        """Whether its best group is more than chance would find."""
        return self.best is not None and self.q is not None and self.q < LEVEL

    @property
    def selective(self) -> bool:
        """Whether it fires for its best group."""
        return self.significant and self.side == "fires"

    @property
    def silent(self) -> bool:
        """Whether no photograph excites it anywhere."""
        return not self.firing_rate > 0

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups that it fires for, the best first, each once."""
        best = (self.best,) if self.selective and self.best else ()
        return tuple(dict.fromkeys((*best, *self.words)))

    @property
    def marks(self) -> tuple[str, ...]:
        """What a search finds it by beside its number and its groups."""
        found = self.selective, self.avoids is not None, self.silent
        return tuple(word for word, holds in zip(MARKS, found, strict=True) if holds)
