"""All that photographs have told about one filter: its table, its pictures and its page."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from convscope.activations.dataset_examples import CROP, WHOLE, Bin, Example, shrunk
from convscope.activations.statistics import below, firing
from convscope.data.photograph import data_uri
from convscope.data.splits import LEVEL
from convscope.report.figures.charts import distribution, distribution_picture
from convscope.report.figures.grids import quantiles_picture, top_picture
from convscope.report.filters import facts, notes
from convscope.report.html import flat, picture, render
from convscope.text import some
from convscope.unit import Unit
from convscope.units.responses import SCORES, Responses
from convscope.units.selectivity import Selectivity, sparseness

if TYPE_CHECKING:
    from convscope.units.selectivity import Association


COLUMNS = (
    "rank", "image", "wnid", "label", "activation", "row", "column", "top", "left", "bottom",
    "right", "mean",
)  # fmt: skip
"""Of the table of the strongest positions."""

DRAWN = 100
"""Examples in the picture of the strongest; the table and the page have all."""

FULL = 64  # examples that a page holds as they are; more of them become smaller
LEAST = 96  # pixels of a side, however many examples there are
FIRST = 12  # rows of a table that are shown at first
WIDE, NARROW = 1130, 340  # the drawings of the distribution for wide and for narrow windows
SAID = 5  # names that a sentence lists before it only counts


@dataclass(frozen=True)
class UnitReport:
    """The findings about one filter, side by side.

    Attributes:
        responses: the photographs and what they did.
        unit: the filter.
        selectivity: which classes and groups it fires for and avoids.
        examples: its strongest positions, strongest first.
        bins: photographs from all parts of its range, strongest first.
        own: the user's own hypothesis, as `own_hypothesis` gives it; None: none was given.
        optimum: the activation on an image that was made for it; None: none was given.
        source: which weights these are.
    """

    responses: Responses
    unit: Unit
    selectivity: Selectivity
    examples: tuple[Example, ...]
    bins: Sequence[tuple[Bin, tuple[Example, ...]]]
    own: Mapping[str, str] | None
    optimum: float | None
    source: str

    @cached_property
    def histogram(self) -> np.ndarray:
        """Positions in each bin of activations `(512,)`."""
        return self.responses.index.histogram([self.unit.filter])[0]

    @cached_property
    def scores(self) -> np.ndarray:
        """The score of each photograph `(photographs,)`; NaN for those set aside."""
        return self.responses.scores(self.unit.filter)

    @property
    def score(self) -> str:
        """What the score of a photograph is, in words."""
        return SCORES[self.responses.score]

    @property
    def rate(self) -> float:
        """The share of positions at which the filter is active, from 0 to 1."""
        return float(firing(self.histogram))

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of the patch that the filter looks at, in pixels."""
        field, (height, width) = self.responses.field, self.responses.index.manifest.request.sides
        return min(field.rows.pixels, height), min(field.columns.pixels, width)

    @cached_property
    def hypothesis(self) -> str:
        """The first hypothesis, made from what is significant."""
        return first_hypothesis(self.selectivity, self.patch, self.rate, self.responses.seen)

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the head of the page states."""
        return facts(self.responses, self.unit.filter, self.source)

    @cached_property
    def notes(self) -> list[str]:
        """What to keep in mind, each once."""
        said = [*notes(self.responses, self.source), *self.selectivity.notes]
        return list(dict.fromkeys(said))

    def rows(self) -> list[list[object]]:
        """Return the rows of the table of the strongest positions."""
        paths = [one.path for one in self.examples]
        measured = self.responses.measured(self.unit.filter, paths)
        return [
            [one.rank, one.image, one.wnid, one.label,
             one.activation if self.responses.score == "peak" else peak,
             one.row, one.column, *one.box, mean]
            for one, (peak, mean) in zip(self.examples, measured, strict=True)
        ]  # fmt: skip

    def pictures(self) -> dict[str, np.ndarray]:
        """Return the pictures of the run by their names, uint8 `(height, width, 3)`."""
        name, drawn = str(self.unit), self.examples[:DRAWN]
        more, seen = len(self.examples) - len(drawn), self.responses.seen
        return {
            "top": top_picture(name, drawn, self.score, more),
            "quantiles": quantiles_picture(name, self.bins, seen, self.score),
            "distribution": distribution_picture(name, self.histogram, self.scores, self.optimum),
        }

    def summary(self) -> dict[str, object]:
        """Return every scalar result."""
        filter, optimum, fires = self.unit.filter, self.optimum, self.selectivity.fires
        quantile = None if optimum is None else below(self.histogram, optimum)
        return {
            "filter": filter,
            "rank/activation": self.responses.peak(filter),
            "rank/score": self.examples[0].activation,
            "rank/picture": "images/top.png",
            "rank/firing_rate": self.rate,
            "rank/sparseness": sparseness(self.scores),
            "rank/fires": [one.name for one in fires],
            "rank/avoids": [one.name for one in self.selectivity.avoids],
            "rank/auroc": fires[0].auroc if fires else None,
            "rank/q": fires[0].q if fires else None,
            "rank/hypothesis": self.hypothesis,
            "rank/optimum": optimum,
            "rank/optimum_quantile": quantile,
        }

    def document(self) -> dict[str, object]:
        """Return both hypotheses, the generated one with its numbers, for a JSON file."""
        numbers = ("auroc", "low", "high", "q", "images", "classes")
        findings = [
            {"name": one.name, "wnid": one.wnid, "fires": one.auroc > 0.5}
            | {key: getattr(one, key) for key in numbers}
            for one in significant(self.selectivity)
        ]
        generated = {
            "text": self.hypothesis,
            "findings": findings,
            "field": self.patch,
            "rate": self.rate,
            "images": self.responses.seen,
            "score": self.responses.score,
        }
        return {"generated": generated, "own": self.own}

    def page(self, settings: Mapping[str, object]) -> str:
        """Return the report as one HTML page that asks for nothing; settings may be nested."""
        many = len(self.examples) + sum(len(inside) for _, inside in self.bins)
        found = self.selectivity
        return render(
            "rank.html",
            report=self,
            view=partial(_view, part=min(1.0, math.sqrt(FULL / many))),
            stretch=partial(_stretch, bins=[one for one, _ in self.bins]),
            photographs=int(np.isfinite(self.scores).sum()),
            several=len({example.path for example in self.examples}) < len(self.examples),
            drawings={
                name: distribution(self.histogram, self.scores, self.optimum, width)
                for name, width in (("broad", WIDE), ("slim", NARROW))
            },
            labelled=found.discovery + found.confirmation > 0,
            findings=significant(found),
            verdict=verdict,
            first=FIRST,
            settings=flat(settings),
        )


def own_hypothesis(text: str, time: str) -> dict[str, str]:
    """Return the user's own hypothesis with its hash: another text would have another.

    Args:
        text: the sentence, as given before it is tested.
        time: when it was given, in ISO 8601.
    """
    return {"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest(), "time": time}


def verdict(association: Association) -> str:
    """Return in words what is known of a class or group."""
    if association.significant:
        return "fires for it" if association.auroc > 0.5 else "avoids it"
    return "not confirmed" if association.chosen else "not chosen"


def _view(example: Example, part: float) -> dict[str, object]:
    """Return the pictures of an example, `part` of their full size, and the frame around it."""
    whole = shrunk(example.whole, max(LEAST, round(WHOLE * part)))
    top, left, bottom, right = example.box
    # A frame that is thinner than this cannot be seen on the photograph as it is shown.
    least = max(example.size) / 60
    down, across = max(bottom - top, least), max(right - left, least)
    return {
        "crop": picture(example.crop, max(LEAST, round(CROP * part))),
        "whole": data_uri(whole, format="WEBP", quality=82, method=4),
        "frame": ((left + right - across) / 2, (top + bottom - down) / 2, across, down),
    }


def _stretch(bin_: Bin, bins: Sequence[Bin]) -> tuple[float, float]:
    """Return where a bin begins in the range of all of them, and how long it is, in percent."""
    low, high = min(one.low for one in bins), max(one.high for one in bins)
    start, stop = (
        100 * (value - low) / (high - low) if high > low else 100.0
        for value in (bin_.low, bin_.high)
    )
    return round(min(start, 98.5), 1), round(max(stop - start, 1.5), 1)


def significant(selectivity: Selectivity) -> list[Association]:
    """Return what is significant, what the filter fires for first."""
    return [one for one in selectivity.fires + selectivity.avoids if one.significant]


def first_hypothesis(
    selectivity: Selectivity, patch: tuple[int, int], rate: float, images: int
) -> str:
    """Return the first hypothesis on a filter, a paragraph made from the statistics.

    Args:
        selectivity: what it fires for and avoids.
        patch: height and width of the patch it looks at, in pixels.
        rate: the share of positions at which it is active, from 0 to 1.
        images: the photographs looked at, with labels or without.
    """
    found = significant(selectivity)
    fires = [one.name for one in found if one.auroc > 0.5]
    avoids = [one.name for one in found if one.auroc <= 0.5]
    sentences = [
        f"{words}: {some(names, SAID)}."
        for words, names in (("Fires for", fires), ("Avoids", avoids))
        if names
    ]
    active = f"at {_percent(rate)} of positions" if rate else "nowhere on these photographs"
    outlook = f"It looks at a patch of {patch[0]} x {patch[1]} pixels and is active {active}."
    return " ".join([*(sentences or _nothing(selectivity, images)), outlook])


def _percent(share: float) -> str:
    """Return a share in at most two digits; never 0 % or 100 % where it is not."""
    if 0 < share < 0.0001:
        return "less than 0.01 %"
    if 0.99 < share < 1:
        return "more than 99 %"
    return f"{float(f'{100 * share:.2g}'):g} %"


def _nothing(selectivity: Selectivity, images: int) -> list[str]:
    """Return what is to be said where nothing is significant, and what it would take."""
    labelled = selectivity.discovery + selectivity.confirmation
    if not labelled:
        return [
            f"{_count(images, 'photograph')} without labels: what it fires for cannot be told.",
            "It would take labels, such as a folder for each class.",
        ]
    photographs = _count(labelled, "labelled photograph")
    if selectivity.present == 1:
        return [
            f"{photographs} of one class: there is nothing to compare.",
            "It would take photographs of other classes beside it.",
        ]
    tested = {"group": selectivity.groups, "class": selectivity.classes}
    if not any(tested.values()):
        return [
            f"{photographs} are too few to test any class or group."
            if labelled != 1
            else "One labelled photograph is too few to test any class or group.",
            f"It would take {selectivity.min_images} or more photographs of a class, "
            "and of other classes beside it.",
        ]
    names = " and ".join(_count(len(part), kind) for kind, part in tested.items() if part)
    return [
        f"Nothing is significant among the {names} tested on {photographs} (q < {LEVEL:g}).",
        "It would take more photographs to find a weaker preference, if there is one.",
    ]


def _count(count: int, noun: str) -> str:
    many = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{many * (count != 1)}"
