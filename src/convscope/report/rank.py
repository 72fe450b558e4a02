"""All that photographs have told about one filter, drawn and put into words."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.activations.dataset_examples import CROP, WHOLE, Bin, Example, shrunk
from convscope.activations.statistics import firing
from convscope.data.photograph import data_uri
from convscope.data.splits import LEVEL
from convscope.report.figures.charts import distribution, distribution_picture
from convscope.report.figures.grids import quantiles_picture, top_picture
from convscope.report.filters import facts, notes
from convscope.report.html import flat, picture, render
from convscope.text import aligned, number
from convscope.unit import Unit
from convscope.units import selectivity
from convscope.units.responses import SCORES, Responses
from convscope.units.selectivity import Selectivity

if TYPE_CHECKING:
    from convscope.units.selectivity import Association


COLUMNS = (
    "rank", "image", "wnid", "label", "activation", "row", "column", "top", "left", "bottom",
    "right", "mean",
)  # fmt: skip
"""Of the table of the strongest positions."""

DRAWN = 100
"""Examples in the picture of the strongest; the table and the page have all."""


@dataclass(frozen=True)
class Account:
    """The findings about one filter, side by side.

    Attributes:
        evidence: the photographs and what they did.
        unit: the filter.
        study: which classes and groups it fires for and avoids.
        examples: its strongest positions.
        quilt: photographs from all parts of its range.
        claim: the user's own hypothesis; None: none was given.
        optimum: the activation on an image that was made for it; None: none was given.
        source: which weights these are.
    """

    evidence: Responses
    unit: Unit
    study: Selectivity
    examples: tuple[Example, ...]
    quilt: Sequence[tuple[Bin, tuple[Example, ...]]]
    claim: Claim | None
    optimum: float | None
    source: str

    @cached_property
    def histogram(self) -> np.ndarray:
        """Positions in each bin of activations `(512,)`."""
        return self.evidence.index.histogram([self.unit.filter])[0]

    @cached_property
    def scores(self) -> np.ndarray:
        """The score of each photograph `(photographs,)`; NaN for those set aside."""
        return self.evidence.scores(self.unit.filter)

    @cached_property
    def generated(self) -> Generated:
        """The first hypothesis, made from what is significant."""
        evidence, view = self.evidence, self.evidence.index.manifest.request.size
        field = evidence.field
        return first(
            self.study,
            (min(field.rows.size, view), min(field.columns.size, view)),
            evidence.rate(self.unit.filter),
            evidence.seen,
            evidence.score,
        )

    def rows(self) -> list[list[object]]:
        """Return the rows of the table of the strongest positions."""
        paths = [one.path for one in self.examples]
        measured = self.evidence.measured(self.unit.filter, paths)
        return [
            [one.rank, one.image, one.wnid, one.label,
             one.activation if self.evidence.score == "peak" else peak,
             one.row, one.column, *one.box, mean]
            for one, (peak, mean) in zip(self.examples, measured, strict=True)
        ]  # fmt: skip

    def pictures(self) -> dict[str, np.ndarray]:
        """Return the pictures of the run by their names, uint8 `(height, width, 3)`."""
        name = str(self.unit)
        score, seen = SCORES[self.evidence.score], self.evidence.seen
        drawn = self.examples[:DRAWN]
        return {
            "top": top_picture(name, drawn, score, len(self.examples) - len(drawn)),
            "quantiles": quantiles_picture(name, self.quilt, seen, score),
            "distribution": distribution_picture(name, self.histogram, self.scores, self.optimum),
        }

    def summary(self) -> dict[str, object]:
        """Return every scalar result."""
        filter, optimum, fires = self.unit.filter, self.optimum, self.study.fires
        below = None if optimum is None else self.evidence.index.quantile_of(filter, optimum)
        return {
            "filter": filter,
            "rank/activation": self.evidence.peak(filter),
            "rank/score": self.examples[0].activation,
            "rank/picture": "images/top.png",
            "rank/firing_rate": self.generated.rate,
            "rank/sparseness": selectivity.sparseness(self.scores),
            "rank/fires": [one.name for one in fires],
            "rank/avoids": [one.name for one in self.study.avoids],
            "rank/auroc": fires[0].auroc if fires else None,
            "rank/q": fires[0].q if fires else None,
            "rank/hypothesis": self.generated.text,
            "rank/optimum": optimum,
            "rank/optimum_quantile": below,
        }

    def page(self, settings: Mapping[str, object]) -> str:
        """Return the report of a run with these settings."""
        return rank_page(
            name=str(self.unit),
            examples=self.examples,
            quilt=self.quilt,
            histogram=self.histogram,
            scores=self.scores,
            optimum=self.optimum,
            score=SCORES[self.evidence.score],
            selectivity=self.study,
            generated=self.generated,
            own=self.claim,
            facts=facts(self.evidence, self.unit.filter, self.source),
            settings=settings,
            notes=notes(self.evidence, self.source),
        )


FULL = 64  # examples that a page holds as they are; more of them become smaller
LEAST = 96  # pixels of a side, however many examples there are
FIRST = 12  # rows of a table that are shown at first
WIDE, NARROW = 1130, 340  # the drawings of the distribution for wide and for narrow windows

# Columns of both tables: key, title, explanation, and kind: words, rank, small (numbers whose
# smallest is of interest) or plain numbers. "classes" and "p_max" are of groups alone.
CLASS_COLUMNS = (
    ("name", "name", "Class, or group of classes", "words"),
    ("verdict", "verdict", "Fires for or avoids: q < 0.05, same direction in both halves", "words"),
    ("classes", "classes", "Classes of the group among the photographs", ""),
    ("images", "images", "Photographs of it in the confirmation half", ""),
    ("auroc", "AUROC", "Chance that it excites the unit more than another photograph does", ""),
    ("interval", "95 % interval", "Of the AUROC; the line in the middle is 0.5: chance", "words"),
    ("effect", "effect", "Hedges' g: difference of the means in standard deviations", ""),
    ("mean", "mean", "Mean score of its photographs", ""),
    ("p", "p", "Of the confirmation half alone, for this name alone", "small"),
    ("q", "q", "Share of false discoveries among names with a q this small", "small"),
    ("p_max", "p max", "p with all tested groups in mind, by the largest of them", "small"),
    ("discovery", "discovery", "AUROC on the discovery half, on which names are chosen", ""),
)
GROUPS = {"classes", "p_max"}


def rank_page(
    *,
    name: str,
    examples: Sequence[Example],
    quilt: Sequence[tuple[Bin, Sequence[Example]]],
    histogram: np.ndarray,
    scores: np.ndarray,
    optimum: float | None,
    score: str,
    selectivity: Selectivity,
    generated: Generated,
    own: Claim | None,
    facts: Mapping[str, object],
    settings: Mapping[str, object],
    notes: Sequence[str],
) -> str:
    """Return the report of a rank run about one unit as one HTML page that asks for nothing.

    Args:
        name: the unit.
        examples: the photographs that excite it most, strongest first.
        quilt: photographs over its range, each bin with the examples of its places.
        histogram: positions for each upper 9 bits of the float16 preactivation `(512,)`.
        scores: each photograph's score, NaN where there is none.
        optimum: the activation on an image that was made for the unit; None: there is none.
        score: what the score of a photograph is, in words: `peak activation`.
        selectivity: which classes and groups it fires for and avoids.
        generated: the first hypothesis.
        own: the user's own; None: none was given.
        facts: what the page states about the run, label to value.
        settings: the settings of the run; groups may be nested.
        notes: what to keep in mind, one sentence or two each.

    Raises:
        ValueError: there are no examples.
    """
    if not examples:
        raise ValueError("The page of a unit needs at least one example. Received: none.")
    many = len(examples) + sum(len(inside) for _, inside in quilt)
    tables = {"groups": selectivity.groups, "classes": selectivity.classes}
    return render(
        "rank.html",
        name=name,
        examples=[_view(example, many, score) for example in examples],
        quilt=[
            {
                "bin": bin_,
                "stretch": _stretch(bin_, [one for one, _ in quilt]),
                "examples": [_view(example, many, score) for example in inside],
            }
            for bin_, inside in quilt
        ],
        photographs=int(np.isfinite(scores).sum()),
        firing=firing(histogram),
        score=score,
        several=len({example.path for example in examples}) < len(examples),
        drawings={
            "broad": distribution(histogram, scores, optimum, WIDE),
            "slim": distribution(histogram, scores, optimum, NARROW),
        },
        selectivity=selectivity,
        labelled=selectivity.discovery + selectivity.confirmation > 0,
        tables={kind: _table(rows, kind) for kind, rows in tables.items()},
        first=FIRST,
        generated=generated,
        own=own,
        facts=facts,
        settings=flat(settings),
        notes=list(dict.fromkeys([*notes, *selectivity.notes])),
    )


def verdict(association: Association) -> str:
    """Return in words what is known of a class or group."""
    if association.significant:
        return "fires for it" if association.auroc > 0.5 else "avoids it"
    return "not confirmed" if association.chosen else "not chosen"


def _view(example: Example, many: int, score: str) -> dict[str, object]:
    """Return one example as the template shows it; `many` of them share the page."""
    part = min(1.0, math.sqrt(FULL / many))
    whole = shrunk(example.whole, max(LEAST, round(WHOLE * part)))
    height, width = example.size
    top, left, bottom, right = example.box
    # A frame that is thinner than this cannot be seen on the photograph as it is shown.
    least = max(height, width) / 60
    down, across = max(bottom - top, least), max(right - left, least)
    return {
        "example": example,
        "title": example.label or example.image,
        "crop": picture(example.crop, max(LEAST, round(CROP * part))),
        "whole": data_uri(whole, format="WEBP", quality=82, method=4),
        "frame": ((left + right - across) / 2, (top + bottom - down) / 2, across, down),
        "facts": _facts(example, score),
    }


def _facts(example: Example, score: str) -> dict[str, str]:
    """Return what is known about an example, label to words."""
    top, left, bottom, right = example.box
    height, width = example.size
    key = f" ({example.wnid})" if example.wnid and example.wnid != example.label else ""
    return {
        score: number(example.activation, digits=4),
        "class": (example.label or example.wnid or "no label") + key * bool(example.label),
        "file": example.image,
        "position": f"row {example.row}, column {example.column} of the map",
        "box": f"rows {top} to {bottom - 1}, columns {left} to {right - 1}",
        "photograph": f"{height} x {width} pixels",
    }


def _stretch(bin_: Bin, bins: Sequence[Bin]) -> tuple[float, float]:
    """Return where a bin begins in the range of all of them, and how long it is, in percent."""
    low, high = min(one.low for one in bins), max(one.high for one in bins)
    start, stop = (
        100 * (value - low) / (high - low) if high > low else 100.0
        for value in (bin_.low, bin_.high)
    )
    return round(min(start, 98.5), 1), round(max(stop - start, 1.5), 1)


def _row(one: Association) -> dict[str, Any]:
    """Return the words of a class or group for a table, but for its mean."""
    sign = "\N{MINUS SIGN}"
    return {
        "association": one,
        "verdict": verdict(one),
        "side": "up" if one.auroc > 0.5 else "down",
        "classes": f"{one.classes:,}",
        "images": f"{one.images:,}",
        "auroc": f"{one.auroc:.3f}",
        "effect": f"{one.effect:+.2f}".replace("-", sign),
        "p": number(one.p, digits=2),
        "q": "" if one.q is None else number(one.q, digits=2),
        "p_max": "" if one.p_max is None else number(one.p_max, digits=2),
        "discovery": f"{one.discovery:.3f}",
    }


def _table(rows: Sequence[Association], kind: str) -> dict[str, Any]:
    """Return the columns and the words of each cell of the table of all classes or groups."""
    means = aligned([one.mean for one in rows])
    return {
        "columns": [
            column for column in CLASS_COLUMNS if kind == "groups" or column[0] not in GROUPS
        ],
        "rows": [_row(one) | {"mean": mean} for one, mean in zip(rows, means, strict=True)],
    }


SAID = 5  # names that a sentence lists before it only counts


@dataclass(frozen=True)
class Finding:
    """One significant name of the paragraph, with its numbers from the confirmation half.

    Attributes:
        name: as the paragraph says it.
        wnid: its key.
        fires: whether the filter fires for it; otherwise it avoids it.
        auroc: the share of pairs of one of its photographs and another that it wins.
        low: where the AUROC's 95 % interval begins.
        high: where it ends.
        q: Benjamini-Hochberg's.
        images: its photographs.
        classes: its classes.
    """

    name: str
    wnid: str
    fires: bool
    auroc: float
    low: float
    high: float
    q: float
    images: int
    classes: int


@dataclass(frozen=True)
class Generated:
    """A paragraph made from the statistics, and its numbers.

    Attributes:
        text: the paragraph.
        findings: what is significant, what it fires for first; those that the text only counts
            are among them.
        field: height and width of the patch that the filter looks at, in pixels.
        rate: the share of positions at which it is active, from 0 to 1; None: not measured.
        images: the photographs looked at.
        score: what stands for a photograph, such as "peak".
    """

    text: str
    findings: tuple[Finding, ...]
    field: tuple[int, int]
    rate: float | None
    images: int
    score: str


@dataclass(frozen=True)
class Claim:
    """A sentence on what a filter is for, written down before it is tested.

    Attributes:
        text: the sentence, as given.
        time: when it was given, in ISO 8601.
    """

    text: str
    time: str

    def __post_init__(self) -> None:
        """Refuse a sentence without words."""
        if not self.text.strip():
            raise ValueError(
                f"The hypothesis {self.text!r} says nothing. Write a sentence, "
                'such as stage.hypothesis="It fires for dogs."'
            )

    @property
    def sha256(self) -> str:
        """The SHA-256 of the text in UTF-8: another text would have another."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def record(self) -> dict[str, str]:
        """Return the claim as plain values, for a JSON file."""
        return {"text": self.text, "sha256": self.sha256, "time": self.time}


def first(
    selectivity: Selectivity,
    field: tuple[int, int],
    rate: float | None,
    images: int,
    score: str,
) -> Generated:
    """Return the first hypothesis on a filter.

    Args:
        selectivity: what it fires for and avoids.
        field: height and width of the patch it looks at, in pixels.
        rate: the share of positions at which it is active, from 0 to 1; None: not measured.
        images: the photographs looked at, with labels or without.
        score: what stands for a photograph, such as "peak".
    """
    findings = tuple(
        Finding(
            name=one.name,
            wnid=one.wnid,
            fires=one.auroc > 0.5,
            auroc=one.auroc,
            low=one.low,
            high=one.high,
            q=one.q,
            images=one.images,
            classes=one.classes,
        )
        for one in selectivity.fires + selectivity.avoids
        if one.q is not None and one.significant
    )
    sentences = [
        f"{words}: {_listed([one.name for one in findings if one.fires == fires])}."
        for words, fires in (("Fires for", True), ("Avoids", False))
        if any(one.fires == fires for one in findings)
    ]
    text = " ".join([*(sentences or _nothing(selectivity, images)), _outlook(field, rate)])
    return Generated(text, findings, field, rate, images, score)


def _listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - SAID
    return ", ".join(names[:SAID]) + (f" and {more:,} more" if more > 0 else "")


def _outlook(field: tuple[int, int], rate: float | None) -> str:
    """Return the sentence on the filter's patch and how often it is active."""
    patch = f"It looks at a patch of {field[0]} x {field[1]} pixels"
    if rate is None:
        return f"{patch}."
    if not rate:
        return f"{patch} and is active nowhere on these photographs."
    return f"{patch} and is active at {_percent(rate)} of positions."


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
    tested = " and ".join(
        _count(len(part), one, many)
        for part, one, many in (
            (selectivity.groups, "group", "groups"),
            (selectivity.classes, "class", "classes"),
        )
        if part
    )
    if selectivity.present == 1:
        return [
            f"{_count(labelled, 'labelled photograph')} of one class: there is nothing to compare.",
            "It would take photographs of other classes beside it.",
        ]
    if not tested:
        return [
            f"{_count(labelled, 'labelled photograph')} are too few to test any class or group."
            if labelled != 1
            else "One labelled photograph is too few to test any class or group.",
            f"It would take {selectivity.min_images} or more photographs of a class, "
            "and of other classes beside it.",
        ]
    return [
        f"Nothing is significant among the {tested} tested on "
        f"{_count(labelled, 'labelled photograph')} (q < {LEVEL:g}).",
        "It would take more photographs to find a weaker preference, if there is one.",
    ]


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
