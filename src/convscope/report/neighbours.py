"""What a network without a classifier is told by: the photographs nearest to each, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from convscope.activations.neighbours import (
    BROADEST,
    DRAWS,
    Agreement,
    agreement,
    nearest,
    same_kind,
)
from convscope.data import dataset
from convscope.data.photograph import data_uri
from convscope.report.figures.grids import contact_sheet
from convscope.report.html import flat, render
from convscope.text import by, percent

COLUMNS = (
    "image", "truth", "rank", "neighbour", "neighbour_truth", "similarity", "same_class",
    "same_kind",
)  # fmt: skip
"""Of the table of neighbours, a row for each photograph and rank."""

AGREEMENTS = tuple(field.name for field in fields(Agreement))
"""Of the table of agreement, a row for each question."""

DRAWN = 24  # photographs in the picture


@dataclass(frozen=True)
class Neighbourhood:
    """The photographs nearest to each, by the features of one network.

    Attributes:
        network: its name.
        source: which weights these are.
        layer: whose features.
        filters: how many there are.
        images: the names of the photographs.
        labels: the class of each; None: it has none.
        names: {class: the name that is shown}.
        origin: where the classes come from.
        places: the nearest of each photograph, nearest first `(N, count)`.
        cosines: to those.
        same: whether both are of one class, and of one kind `(2, N, count)`.
        agreements: how often they are, and what chance and random weights give.
        controlled: whether random weights could be asked.
        sides: height and width in pixels that photographs were shown at.
        fit: how they were brought to that.
        skipped: photographs that were set aside.
    """

    network: str
    source: str
    layer: str
    filters: int
    images: tuple[str, ...]
    labels: tuple[str | None, ...]
    names: Mapping[str, str]
    origin: str
    places: np.ndarray
    cosines: np.ndarray
    same: np.ndarray
    agreements: tuple[Agreement, ...]
    controlled: bool
    sides: tuple[int, int]
    fit: str
    skipped: int

    @classmethod
    def of(
        cls,
        *,
        labels: Sequence[str | None],
        features: np.ndarray,
        control: np.ndarray | None,
        count: int,
        images: Sequence[str],
        **given: Any,
    ) -> Neighbourhood:
        """Find the neighbours, and compare what they show.

        Photographs without a class are shown among the others' neighbours, and do not count.

        Args:
            labels: the class of each photograph.
            features: of each `(N, C)`.
            control: the same of random weights; None: they could not be asked.
            count: neighbours of each.
            images: the names of the photographs.
            given: the other attributes.
        """
        places, cosines = nearest(features, count)
        known = [at for at, key in enumerate(labels) if key is not None]
        keys = sorted({str(labels[at]) for at in known})
        codes = np.array([-1 if key is None else keys.index(key) for key in labels])
        kinds = (np.eye(len(keys), dtype=bool), same_kind(keys))
        both = (codes[:, None] >= 0) & (codes[places] >= 0)
        same = (
            np.stack([both & one[codes[:, None], codes[places]] for one in kinds])
            if keys
            else (np.zeros((2, *places.shape), bool))
        )
        found: list[Agreement | None] = []
        if len(known) > 2:
            near, _ = nearest(features[known], count)
            beside = None if control is None else nearest(control[known], count)[0]
            for what, one in zip(("class", "kind"), kinds, strict=True):
                for some in dict.fromkeys((1, near.shape[1])):
                    other = None if beside is None else beside[:, :some]
                    found.append(agreement(what, one, codes[known], near[:, :some], other))
        return cls(
            images=tuple(images), labels=tuple(labels), filters=features.shape[1], places=places,
            cosines=cosines, same=same, agreements=tuple(filter(None, found)),
            controlled=control is not None, **given,
        )  # fmt: skip

    # In numbers

    def rows(self) -> list[list[object]]:
        """Return the rows of the table of neighbours."""
        found: list[list[object]] = []
        for at, image in enumerate(self.images):
            for rank, other in enumerate(self.places[at].tolist()):
                known = self.labels[at] is not None and self.labels[other] is not None
                same = [bool(one[at, rank]) if known else None for one in self.same]
                cosine = np.float32(self.cosines[at, rank])
                found.append([
                    image, self.label(at), rank + 1, self.images[other], self.label(other), cosine,
                    *same,
                ])  # fmt: skip
        return found

    def agreement_rows(self) -> list[list[object]]:
        """Return the rows of the table of agreement."""
        return [list(asdict(one).values()) for one in self.agreements]

    def label(self, at: int) -> str | None:
        """Return the name of the class of a photograph."""
        key = self.labels[at]
        return None if key is None else self.names.get(key, key)

    @cached_property
    def main(self) -> Agreement | None:
        """What decides: the nearest photograph's kind, since that is told of the most."""
        ones = [one for one in self.agreements if one.count == 1]
        return max(ones, key=lambda one: one.photographs, default=None)

    def summary(self) -> dict[str, object]:
        """Return every scalar result."""
        found: dict[str, object] = {
            "layer": self.layer,
            "photographs": len(self.images),
            "labelled": sum(key is not None for key in self.labels),
            "sees": self.main.clear if self.main else None,
            "picture": "images/neighbours.png",
        }
        for one in self.agreements:
            for key in ("share", "low", "high", "chance", "p", "control", "p_control"):
                found |= {f"{one.what}_{key}": getattr(one, key)} if one.count == 1 else {}
        return {f"classify/{key}": value for key, value in found.items()}

    # In pictures

    def picture(self, views: Sequence[np.ndarray]) -> np.ndarray:
        """Return photographs, each with its nearest, uint8 `(height, width, 3)`."""
        images: list[np.ndarray | None] = []
        captions = []
        for at in self.order[:DRAWN]:
            images.append(views[at])
            captions.append(self.label(at) or self.images[at])
            for rank, other in enumerate(self.places[at].tolist()):
                images.append(views[other])
                mark = "\N{CHECK MARK} " if self.same[1, at, rank] else ""
                captions.append(f"{mark}{self.label(other) or self.images[other]}")
        return contact_sheet(images, captions, 1 + self.places.shape[1], side=112, gap=12)

    @cached_property
    def order(self) -> list[int]:
        """The photographs, those first whose nearest is the nearest of all."""
        order: list[int] = np.argsort(-self.cosines[:, 0], kind="stable").tolist()
        return order

    def page(self, views: Sequence[np.ndarray], most: int, settings: Mapping[str, object]) -> str:
        """Return the report as one HTML page that makes no network request.

        Args:
            views: what the network saw of each photograph, uint8 `(height, width, 3)`.
            most: photographs that are shown with their neighbours at most.
            settings: the settings of the run; groups may be nested.
        """
        shown = self.order[:most]
        needed = sorted({*shown, *self.places[shown].ravel().tolist()})
        uris = {at: data_uri(views[at], format="WEBP", quality=80, method=4) for at in needed}
        return render(
            "neighbours.html",
            report=self,
            shown=shown,
            uris=uris,
            settings=flat(settings),
            broadest=BROADEST,
            draws=DRAWS,
        )

    # In words

    @property
    def verdict(self) -> str:
        """What came out, in a sentence."""
        one = self.main
        if one is None:
            return (
                "No two of these photographs are labelled alike, so that it is for you to see"
                " whether those that lie near each other are."
            )
        beside = f"by chance {percent(one.chance)} (p = {one.p:.2g})"
        if one.control is not None:
            beside += f", with random weights {percent(one.control)} (p = {one.p_control:.2g})"
        if one.clear:
            start = "It sees"
        elif one.few:
            start = "Too few photographs to tell whether it sees"
        else:
            than = "random weights" if one.p < 0.05 else "chance"
            start = f"It tells photographs apart no better than {than}"
        return (
            f"{start}: the nearest photograph to {percent(one.share)} of {one.photographs:,} shows"
            f" the same {one.what}; {beside}."
        )

    def lines(self) -> list[str]:
        """Return what the terminal is told."""
        return [self.verdict]

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the head of the page states."""
        labelled = any(key is not None for key in self.labels)
        return {
            "network": self.network,
            "weights": self.source,
            "features": f"{self.layer}, the means of its {self.filters:,} filters",
            "photographs": f"{len(self.images):,} at {by(self.sides)} ({self.fit})",
            "labels": f"from {self.origin}" if labelled else "none",
        }

    @cached_property
    def notes(self) -> list[str]:
        """What a reader should keep in mind, as far as these photographs say so."""
        said = []
        if not self.controlled:
            said.append(
                "The network has layers of its author's own, or ends in numbers that are not"
                " finite, with random weights; so it is compared with chance alone."
            )
        if self.main and self.main.few:
            said.append(
                f"{self.main.photographs} photographs are few: with others like them the share may"
                f" well be anything from {percent(self.main.low)} to {percent(self.main.high)}."
            )
        if self.skipped:
            said.append(f"{dataset.aside(self.skipped)}: tables/skipped.csv says why.")
        return said
