"""What a filter may be for, in words: a first paragraph from the statistics, and the user's own.

The paragraph is drawn from what is significant and from nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from convscope.data.splits import LEVEL
from convscope.units.selectivity import Selectivity

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
