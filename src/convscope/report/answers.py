"""The page of a classify run: what a network takes photographs for, and how often it is right."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from convscope.activations.accuracy import Rate
from convscope.activations.predictions import Prediction, mistakes
from convscope.report.figures.lineup import BARS, described, percent
from convscope.report.html import data_uri, flat, render, shrunk

PIXELS = 5_200_000  # that the photographs of a page have in all
LARGEST, LEAST = 224, 96  # pixels of a side of each
FIRST = 20  # rows of the table of classes that are shown before all are asked for

# What the photographs can be sorted by: words, and whether the largest comes first.
ORDERS = (
    ("place in the list", False),
    ("confidence", True),
    ("probability of the truth", False),
    ("rank of the truth", True),
)
STATES = ("right", "wrong", "unknown", "unlabelled")


def classify_page(
    *,
    name: str,
    shown: Sequence[Prediction],
    views: Mapping[Path, np.ndarray],
    total: int,
    large: int,
    rates: Mapping[int, Rate],
    confidence: float,
    classes: Sequence[Mapping[str, object]],
    facts: Mapping[str, str],
    notes: Sequence[str],
    settings: Mapping[str, object],
) -> str:
    """Return the report of a classify run as one HTML page that makes no network request.

    Args:
        name: the network.
        shown: the photographs, in the order to show.
        views: what the network saw of each of them, uint8 `(height, width, 3)`.
        total: photographs that there are.
        large: mistakes that are shown large at most, among the photographs shown.
        rates: {k: how often the truth was among the k most probable classes}.
        confidence: mean probability of the most probable class.
        classes: of the photographs' labels, with wnid, name, photographs, top1, topk, mistake and
            times; none where nothing is labelled.
        facts: what the head of the page states, label to value.
        notes: what to keep in mind, one sentence or two each.
        settings: the settings of the run; groups may be nested.

    Raises:
        ValueError: there is no photograph.
    """
    if not shown:
        raise ValueError("A page of predictions needs at least one photograph. Received: none.")
    side = min(LARGEST, max(LEAST, math.isqrt(PIXELS // len(shown))))
    tiles = {
        one.path: _tile(place, one, views[one.path], side) for place, one in enumerate(shown, 1)
    }
    top = max(rates)
    # Where some are left out, the mistakes beyond the first half are not the surest any more.
    surest = mistakes(shown if len(shown) == total else shown[: max(len(shown) // 2, 1)])
    return render(
        "classify.html",
        name=name,
        tiles=list(tiles.values()),
        mistakes=[tiles[one.path] for one in surest[:large]],
        counts={state: sum(one.state == state for one in shown) for state in STATES},
        described=described(shown, total),
        total=total,
        top=top,
        scores=[(k, rate, _scale(rate)) for k, rate in rates.items() if rate.total],
        confidence=percent(confidence),
        classes=[
            {key: "" if value is None else value for key, value in row.items()} for row in classes
        ],
        first=FIRST,
        orders=ORDERS if rates[1].total else ORDERS[:2],
        facts=facts,
        notes=notes,
        settings=flat(settings),
    )


def _scale(rate: Rate) -> dict[str, str]:
    """Return a rate as words, and its interval as places on a line from 0 to 100."""
    low, high = rate.interval or (0.0, 1.0)
    return {
        "share": f"{100 * (rate.share or 0):.0f}",
        "words": f"{100 * low:.0f} to {100 * high:.0f}",
        "left": f"{100 * low:.1f}",
        "width": f"{100 * (high - low):.1f}",
    }


def _tile(place: int, one: Prediction, view: np.ndarray, side: int) -> dict[str, object]:
    """Return a photograph as the template shows it."""
    small = shrunk(view, side)
    numbers = (place, one.best.probability, one.probability, one.rank)
    return {
        "one": one,
        "slug": f"photograph-{place}",
        "uri": data_uri(small, format="WEBP", quality=80, method=4),
        "title": one.label or one.image,
        "bars": [(guess, percent(guess.probability)) for guess in one.guesses[:BARS]],
        "names": "\n".join(guess.name for guess in one.guesses[:1]),
        "numbers": json.dumps([None if n is None else float(f"{n:.6g}") for n in numbers]),
        "facts": _facts(one),
    }


def _facts(one: Prediction) -> dict[str, str]:
    """Return what is known about a photograph, label to words."""
    said = {"file": one.image}
    if one.truth is None:
        return said | {"label": "none"}
    key = f" ({one.truth})" if one.truth != one.label else ""
    said["label"] = f"{one.label}{key}"
    if one.rank is None or one.probability is None:
        return said | {"truth": "no class of the network"}
    return said | {
        "taken for": f"{one.best.name}, which is {one.state}",
        "truth": f"rank {one.rank:,}, probability {percent(one.probability)}",
    }
