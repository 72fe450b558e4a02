"""The page of a rank run about one unit: photographs, classes and a first hypothesis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.activations.dataset_examples import CROP, WHOLE, Example
from convscope.activations.statistics import firing
from convscope.report.figures.canvas import number
from convscope.report.figures.charts import spread
from convscope.report.figures.quilt import Bin
from convscope.report.html import aligned, data_uri, flat, picture, render, shrunk

if TYPE_CHECKING:
    from convscope.report.hypothesis import Claim, Generated
    from convscope.units.selectivity import Association, Selectivity


FULL = 64  # examples that a page holds as they are; more of them become smaller
LEAST = 96  # pixels of a side, however many examples there are
FIRST = 12  # rows of a table that are shown at first
WIDE, NARROW = 1130, 340  # the drawings of the distribution for wide and for narrow windows

# Columns of both tables: key, title, explanation, and kind: words, rank, small (numbers whose
# smallest is of interest) or plain numbers. "classes" and "p_max" are of groups alone.
COLUMNS = (
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
            "broad": spread(histogram, scores, optimum, WIDE),
            "slim": spread(histogram, scores, optimum, NARROW),
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
        "columns": [column for column in COLUMNS if kind == "groups" or column[0] not in GROUPS],
        "rows": [_row(one) | {"mean": mean} for one, mean in zip(rows, means, strict=True)],
    }
