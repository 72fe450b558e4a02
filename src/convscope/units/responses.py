"""What photographs say about the filters of a layer, from an index and their classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from convscope import text
from convscope.activations.dataset_examples import CROPS, Bin, Example, Hit, bins, examples, shrunk
from convscope.activations.index import ActivationIndex, By, strongest
from convscope.activations.statistics import firing
from convscope.data import dataset, splits
from convscope.data.labels import Labels
from convscope.data.splits import Panel
from convscope.data.wordnet import taxonomy
from convscope.models.receptive_field import ReceptiveField, sees_all
from convscope.units import selectivity
from convscope.units.selectivity import Selectivity

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
        """What a position of the layer sees of the view; of a classifier all of it."""
        manifest = self.index.manifest
        return manifest.field or sees_all(manifest.request.sides)

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
        scores = self.scores(filter)
        found: list[Hit] = []
        positions = np.transpose(self.index.where(filter, places)).tolist()
        for place, (row, column) in zip(places.tolist(), positions, strict=True):
            key, rank, activation = self.labels.keys[place], len(found) + 1, float(scores[place])
            label = None if key is None else self.labels.names.get(key, key)
            path, name = self.paths[place], self.name(place)
            found.append(Hit(rank, path, name, activation, row, column, key, label))
        return tuple(found)

    def top(self, filter: int, count: int) -> tuple[Hit, ...]:
        """Return the photographs that a filter responds to most, strongest first."""
        return self.hits(filter, strongest(self.scores(filter), count))

    def show(self, hits: Sequence[Hit]) -> tuple[Example, ...]:
        """Return hits with what the filter saw there, cut from the photographs."""
        request = self.index.manifest.request
        return examples(hits, self.field, request.sides, request.fit)

    def binned(self, filter: int, each: int) -> list[tuple[Bin, tuple[Example, ...]]]:
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
        return float(firing(self.index.histogram([filter])[0]))

    def peak(self, filter: int) -> float:
        """Return a filter's largest activation on any photograph."""
        return float(np.nanmax(self.index.column(filter, "peak").astype(np.float32)))

    def measured(self, filter: int, paths: Sequence[Path]) -> list[tuple[float, float]]:
        """Return peak and mean of a filter on some of the photographs that excite it most."""
        places = strongest(self.scores(filter), len(paths))
        both = [self.index.column(filter, what)[places].tolist() for what in ("peak", "mean")]
        known = {self.paths[place]: pair for place, *pair in zip(places, *both, strict=True)}
        return [(known[path][0], known[path][1]) for path in paths]

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
