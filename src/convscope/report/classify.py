"""All that a network took photographs for, in tables, pictures and words."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from convscope.activations.dataset_examples import shrunk
from convscope.activations.predictions import Prediction, Rate, Target, mistakes, rate
from convscope.data import dataset
from convscope.data.photograph import data_uri
from convscope.data.wordnet import taxonomy
from convscope.report.figures.grids import BARS, described, predictions_picture
from convscope.report.html import flat, render
from convscope.text import by, percent, some

COLUMNS = ("image", "rank", "wnid", "label", "probability", "truth", "correct")
"""Of the table of predictions, a row for each photograph and rank."""

PHOTOGRAPHS = (
    "image", "wnid", "label", "probability", "truth", "truth_rank", "truth_probability", "correct",
)  # fmt: skip
"""Of the table of photographs, a row for each."""

CLASSES = ("wnid", "name", "photographs", "top1", "topk", "mistake", "times")
"""Of the table of labels."""

DRAWN = 24  # photographs in the picture
LISTED = 20  # photographs on the terminal
FEW = 100  # labelled photographs below which the width of the interval is said
NAMED = 3  # labels that a sentence names at most
PIXELS = 5_200_000  # that the photographs of a page have in all
LARGEST, LEAST = 224, 96  # pixels of a side of each
FIRST = 20  # rows of the table of classes that are shown before all are asked for

# What became of photographs of another shape than the network's images.
CUTS = {
    "crop": "The network saw the middle {shape} of each photograph; what lies beside it was"
    " cut away.",
    "center": "The network saw the middle of each photograph, as it is tested; what lies around it"
    " was cut away.",
    "squash": "Each photograph was squashed into a {shape}, which distorts those of another shape.",
    "pad": "Each photograph was shown whole, with grey beside it where it is no {shape}; the"
    " networks learned without.",
}


PROBABILITIES = {
    "softmax": "the network's own, a softmax over all classes",
    "sigmoid": "the network's own, each class by itself",
    "binary": "the network's own, a sigmoid for the second class",
    "linear": "a softmax taken here; the network gives logits",
}

BARS_ARE = {
    "softmax": "a softmax over all of them",
    "sigmoid": "each by itself, a sigmoid, so that they need not sum to 100 %",
    "binary": "one sigmoid for the second of both, and what it leaves for the first",
    "linear": "a softmax over all of them, taken here of the logits that the network gives",
}


@dataclass(frozen=True)
class Recognition:
    """The predictions of one network on some photographs.

    Attributes:
        network: its name.
        source: which weights these are.
        classes: its classes, synsets or plain names.
        kind: what its output is, as in `network.Head`.
        predictions: of the photographs that could be read, in their order.
        skipped: photographs that were set aside.
        targets: what the labels stand for among the classes.
        origin: where the labels come from.
        top: the k of top-k.
        sides: height and width in pixels that photographs were shown at.
        fit: how they were brought to that.
        trained: height and width of the images that the network learned from; None: not known.
    """

    network: str
    source: str
    classes: tuple[str, ...]
    kind: str
    predictions: tuple[Prediction, ...]
    skipped: int
    targets: Mapping[str, Target]
    origin: str
    top: int
    sides: tuple[int, int]
    fit: str
    trained: tuple[int, int] | None

    @cached_property
    def rates(self) -> dict[int, Rate]:
        """How often the truth was the best class, and among the `top` best."""
        return {k: rate(self.predictions, k) for k in dict.fromkeys((1, self.top))}

    @cached_property
    def known(self) -> list[Prediction]:
        """The photographs whose label the network knows."""
        return [one for one in self.predictions if one.rank is not None]

    @cached_property
    def confidence(self) -> float:
        """The mean probability of the best class, where the truth is known if it is anywhere."""
        asked = self.known or self.predictions
        return float(np.mean([one.best.probability for one in asked]))

    @property
    def labelled(self) -> int:
        """How many photographs have a label."""
        return sum(one.truth is not None for one in self.predictions)

    # In numbers

    def rows(self) -> list[list[object]]:
        """Return the rows of the table of predictions."""
        return [
            [one.image, rank, guess.key, guess.name, np.float32(guess.probability), one.label,
             guess.right]
            for one in self.predictions
            for rank, guess in enumerate(one.guesses, 1)
        ]  # fmt: skip

    def photographs(self, shown: Sequence[Prediction]) -> list[list[object]]:
        """Return the rows of the table of photographs."""
        return [
            [one.image, one.best.key, one.best.name, np.float32(one.best.probability), one.label,
             one.rank, None if one.probability is None else np.float32(one.probability),
             one.correct]
            for one in shown
        ]  # fmt: skip

    @cached_property
    def labels(self) -> list[dict[str, object]]:
        """What became of each label that the network knows, by the names of `CLASSES`.

        The most frequent come first, of these the ones that are least often right.
        """
        found: defaultdict[str, list[Prediction]] = defaultdict(list)
        for one in self.known:
            found[str(one.truth)].append(one)
        rows: list[dict[str, object]] = []
        for key in sorted(found, key=lambda key: (-len(found[key]), rate(found[key]).hits, key)):
            own = found[key]
            wrong = Counter(one.best.name for one in mistakes(own)).most_common(1)
            hits = rate(own).hits, rate(own, self.top).hits
            values = (key, own[0].label, len(own), *hits, *(wrong[0] if wrong else (None, None)))
            rows.append(dict(zip(CLASSES, values, strict=True)))
        return rows

    def summary(self) -> dict[str, object]:
        """Return every scalar result."""
        found: dict[str, object] = {}
        for name, k in (("top1", 1), ("topk", self.top)):
            low, high = self.rates[k].interval or (None, None)
            found |= {name: self.rates[k].share, f"{name}_low": low, f"{name}_high": high}
        found |= {
            "k": self.top,
            "output": self.kind,
            "confidence": self.confidence,
            "photographs": len(self.predictions),
            "labelled": self.labelled,
            "known": len(self.known),
            "picture": "images/predictions.png",
        }
        return {f"classify/{key}": value for key, value in found.items()}

    # In pictures

    def picture(self, shown: Sequence[Prediction], views: Mapping[Path, np.ndarray]) -> np.ndarray:
        """Return some of the photographs shown beside their classes, uint8."""
        drawn = chosen(shown, DRAWN)
        return predictions_picture(self.network, drawn, views, len(self.predictions), self.result)

    def page(
        self,
        shown: Sequence[Prediction],
        views: Mapping[Path, np.ndarray],
        large: int,
        settings: Mapping[str, object],
    ) -> str:
        """Return the report as one HTML page that makes no network request.

        Args:
            shown: the photographs, in the order to show; one at least.
            views: what the network saw of each of them, uint8 `(height, width, 3)`.
            large: mistakes that are shown large at most, among the photographs shown.
            settings: the settings of the run; groups may be nested.
        """
        side, total = math.isqrt(PIXELS // len(shown)), len(self.predictions)
        side = min(LARGEST, max(LEAST, side))
        # Where some are left out, the mistakes beyond the first half are not the surest any more.
        surest = mistakes(shown if len(shown) == total else shown[: max(len(shown) // 2, 1)])
        return render(
            "classify.html",
            report=self,
            shown=shown,
            places={one.path: place for place, one in enumerate(shown, 1)},
            uris={
                one.path: data_uri(
                    shrunk(views[one.path], side), format="WEBP", quality=80, method=4
                )
                for one in shown
            },
            mistakes=surest[:large],
            counts=Counter(one.state for one in shown),
            described=described(shown, total),
            scores={k: one for k, one in self.rates.items() if one.total},
            first=FIRST,
            bars=BARS,
            settings=flat(settings),
        )

    # In words

    @property
    def result(self) -> str:
        """What came out, in a line."""
        sure = f"mean confidence {percent(self.confidence)}"
        if not self.known:
            why = "no labels" if not self.labelled else "no label that the network knows"
            return f"{why}, so no accuracy; {sure}"
        return "; ".join([*(f"top-{k} {one}" for k, one in self.rates.items()), sure])

    def lines(self) -> list[str]:
        """Return the first photographs as a table, right or wrong, and the result."""
        listed = self.predictions[:LISTED]
        marks = {True: "right", False: "wrong", None: ""}
        cells = [
            (_cut(one.image, 36), _cut(one.best.name, 28), f"{100 * one.best.probability:.1f} %",
             marks[one.correct] or (one.state if one.truth else ""),
             "" if one.correct or one.truth is None else f"it is {_cut(str(one.label), 28)}")
            for one in listed
        ]  # fmt: skip
        wide = [max(len(row[at]) for row in cells) for at in range(4)]
        said = [
            f"{image:<{wide[0]}}  {name:<{wide[1]}}  {share:>{wide[2]}}  {mark:<{wide[3]}}"
            f"  {truth}".rstrip()
            for image, name, share, mark, truth in cells
        ]
        if more := len(self.predictions) - len(listed):
            said.append(f"and {more:,} more: see tables/predictions.csv")
        return [*said, self.result]

    @property
    def bars_are(self) -> str:
        """What the bars of the page are, in words."""
        return BARS_ARE[self.kind]

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the head of the page states."""
        said = {
            "network": f"{self.network}, {len(self.classes):,} classes",
            "weights": self.source,
            "photographs": f"{len(self.predictions):,} at {by(self.sides)} ({self.fit})",
            "labels": f"from {self.origin}" if self.labelled else "none",
        }
        for k, one in self.rates.items():
            if one.total:
                said[f"top-{k} accuracy"] = str(one)
        said["probabilities"] = PROBABILITIES[self.kind]
        return said | {"mean confidence": f"{percent(self.confidence)} in the best class"}

    @cached_property
    def notes(self) -> list[str]:
        """What a reader should keep in mind, as far as these photographs say so."""
        said = self._label_notes()
        synsets = set(self.classes) <= taxonomy().words.keys()
        if not self.known:
            said.append(
                f"The network always names some of its {len(self.classes):,} classes, also for a"
                " photograph that shows none of them."
            )
        elif synsets and len(self.classes) > 1:
            said.append(
                "A label of ImageNet names one object of a photograph. Where there are several, the"
                " name of another one counts as a mistake."
            )
        tall, wide = self.sides
        shape = "square" if tall == wide else f"rectangle of {wide} to {tall}"
        said.append(CUTS[self.fit].format(shape=shape))
        if self.trained and self.trained != self.sides:
            said.append(
                f"The network learned from images of {by(self.trained)} pixels and saw these at"
                f" {by(self.sides)}: it may do better at its own size."
            )
        if self.skipped:
            said.append(f"{dataset.aside(self.skipped)}: tables/skipped.csv says why.")
        return said

    def _label_notes(self) -> list[str]:
        """Return what is to be said of the labels and of the accuracy that they gave."""
        if not self.labelled:
            return [
                "The photographs have no labels, so nothing says whether a class is right. Name the"
                " files as ILSVRC does, sort them into folders of a class each, or give a table"
                " with images.labels=PATH."
            ]
        said, rest = [], len(self.predictions) - self.labelled
        if rest:
            said.append(f"{_many(rest)} no label, and no part in the accuracy.")
        strange = [one for one in self.predictions if one.state == "unknown"]
        if strange:
            names = some(dict.fromkeys(str(one.label) for one in strange), NAMED)
            said.append(
                f"{_many(len(strange))} a class that the network does not know ({names}), and no"
                " part in the accuracy."
            )
        said += self._target_notes()
        if not self.known:
            return said
        one = self.rates[1]
        low, high = one.interval or (0.0, 1.0)
        if one.total < FEW:
            said.append(
                f"{one.total} photographs are few: with others like them the accuracy may well be"
                f" anything from {100 * low:.0f} to {100 * high:.0f} %."
            )
        if not low <= self.confidence <= high:
            what = "surer than it is right" if self.confidence > high else "right more often"
            said.append(
                f"The network is {what}{' than it is sure' * (self.confidence < low)}: its mean"
                f" confidence is {percent(self.confidence)}, its accuracy {100 * low:.0f} to"
                f" {100 * high:.0f} %."
            )
        return said

    def _target_notes(self) -> list[str]:
        """Return which labels stand for several classes."""
        names, said = {str(one.truth): str(one.label) for one in self.known}, []
        for how, what in (("group", "groups above classes"), ("name", "names that classes share")):
            found = {
                f"{names[key]}: {len(target.places)}": None
                for key, target in self.targets.items()
                if target.how == how and len(target.places) > 1 and key in names
            }
            if found:
                said.append(
                    f"Some labels are {what}: each of the classes counts as right"
                    f" ({some(found, NAMED)})."
                )
        return said


def _many(count: int) -> str:
    return "1 photograph has" if count == 1 else f"{count:,} photographs have"


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def chosen(predictions: Sequence[Prediction], count: int) -> list[Prediction]:
    """Return photographs to show: all if they are few enough, in their order.

    Else half of them are mistakes, the most confident first, as far as there are so many; the
    others are spread evenly over all that is left.
    """
    if len(predictions) <= count:
        return list(predictions)
    wrong = mistakes(predictions)[: max(count // 2, 1)]
    taken = set(map(id, wrong))
    rest = [one for one in predictions if id(one) not in taken]
    places = np.linspace(0, len(rest) - 1, count - len(wrong)).round().astype(int)
    return [*wrong, *(rest[place] for place in places)]
