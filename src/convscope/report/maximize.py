"""The page of a maximize run: one unit's images large, or a gallery of a layer's filters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from convscope.report.card import Card, by_unit
from convscope.report.figures.canvas import number
from convscope.report.html import data_uri, flat, render, shrunk

LOSSLESS = 16  # images that a page holds as they are
PIXELS = 5_200_000  # that the images of a page have in all if there are more of them
LEAST = 64  # pixels of a side, however many images there are
WIDE, TALL = 1000, 320  # the drawing of an ascent, in its own units
POINTS = 72  # of its curve

# What a gallery can be sorted by: words, and whether the largest comes first.
ORDERS = (
    ("filter number", False),
    ("activation", True),
    ("mean of the map", True),
    ("quantile", True),
    ("seconds", True),
)


def maximize_page(
    cards: Sequence[Card],
    facts: Mapping[str, str],
    settings: Mapping[str, object],
    notes: Sequence[str],
    positions: int | None = None,
) -> str:
    """Return the report of a maximize run as one HTML page that makes no network request.

    The images of one unit are shown large, with all that is known about each. Those of several are
    a gallery to search and sort; a click opens one large, and `#` with the name of its file links
    to it. There, and nowhere else, the page also looks for the image files beside itself: for the
    image as it was saved, and for the ascent as an animation.

    Args:
        cards: the images, in the order to show.
        facts: what the head of the page states, label to value.
        settings: the settings of the run; groups may be nested.
        notes: what to keep in mind, one sentence or two each.
        positions: how many positions on photographs the quantiles are about.

    Raises:
        ValueError: there are no cards, or two with the same file.
    """
    slugs = [card.slug for card in cards]
    if not cards or len(set(slugs)) < len(slugs):
        message = "A page needs images, each from a file of its own."
        received = f"{len(slugs)} images from {len(set(slugs))} files"
        raise ValueError(f"{message} Received: {received}.")
    units = by_unit(cards)
    signs = {card.sign for card in cards}
    return render(
        "maximize.html",
        units=[[_view(card, len(cards), positions) for card in unit] for unit in units],
        subject=cards[0].name if len(units) == 1 else _many(cards, len(units)),
        count=len(cards),
        positive=1 in signs,
        negative=-1 in signs,
        samples=max(card.sample for card in cards) + 1,
        marks={
            mark: sum(mark in card.marks for card in cards)
            for mark in ("weak", "not alive", "diverged")
        },
        compared=all(card.quantile is not None for card in cards),
        orders=ORDERS,
        facts=facts,
        settings=flat(settings),
        notes=notes,
        curve={"wide": WIDE, "tall": TALL},
    )


def _many(cards: Sequence[Card], units: int) -> str:
    layers = list(dict.fromkeys(card.layer for card in cards))
    return f"{units} filters of {', '.join(layers)}"


def _view(card: Card, count: int, positions: int | None) -> dict[str, object]:
    """Return one card as the template shows it; `count` cards share the page."""
    return {
        "card": card,
        "uri": _uri(card.image, count),
        "pixelated": max(card.image.shape[:2]) < 48,
        "facts": _facts(card, positions),
        "curve": _curve(card),
        "words": " ".join([card.side, *_words(card)]),
        "numbers": json.dumps([
            _finite(value)
            for value in (
                card.filter, card.activation, card.activation_mean, card.quantile, card.seconds
            )
        ]),
    }  # fmt: skip


def _words(card: Card) -> list[str]:
    """Return what a search finds the card by; "dead" since "not alive" has "alive" in it."""
    marks = [mark for mark in card.marks if mark != "not alive"]
    return ["alive" if card.alive else "dead", *marks]


def _uri(image: np.ndarray, count: int) -> str:
    """Return an image that shares the page with `count` - 1 others: as it is if they are few."""
    if count <= LOSSLESS:
        return data_uri(image)
    image = shrunk(image, max(LEAST, math.isqrt(PIXELS // count)))
    return data_uri(image, format="WEBP", quality=80, method=4)


def _facts(card: Card, positions: int | None) -> dict[str, str]:
    """Return what is known about a card, label to words."""
    start, end = number(card.activation_start), number(card.activation_mean)
    height, width = card.image.shape[:2]
    extreme = "peak" if card.sign > 0 else "lowest"
    return {
        "activation": f"{number(card.activation, digits=4)}, the {extreme} on the saved image",
        "mean of the map": f"{start} at the start, {end} at the end",
        "on photographs": card.standing(positions),
        "score": number(card.score) + f" after {len(card.curve)} updates" * (len(card.curve) > 0),
        "starts": str(card.attempt),
        "time": f"{number(card.seconds, digits=2)} s",
        "size": f"{height} x {width} pixels",
    }


def _curve(card: Card) -> dict[str, object] | None:
    """Return the drawing of an ascent: a path, its ends in words; None if there is nothing to draw.

    Of a long curve every so many points are drawn, the first and the last always.
    """
    scores = np.asarray(card.curve, np.float64)
    updates = np.arange(1, len(scores) + 1)
    usable = np.isfinite(scores)
    updates, scores = updates[usable], scores[usable]
    if len(scores) < 2:
        return None
    drawn = np.unique(np.linspace(0, len(scores) - 1, POINTS).round().astype(int))
    low, high = scores.min(), scores.max()
    last = max(int(updates[-1]), card.stopped or 0)
    across = WIDE * (updates[drawn] - 1) / max(last - 1, 1)
    down = TALL * (high - scores[drawn]) / ((high - low) or 1.0)
    points = zip(across.round().astype(int), down.round().astype(int), strict=True)
    return {
        "path": "M" + "L".join(f"{x} {y}" for x, y in points),
        "zero": round(TALL * high / (high - low)) if low < 0 < high else None,
        "low": number(float(low)),
        "high": number(float(high)),
        "first": number(float(scores[0])),
        "end": number(float(scores[-1])),
        "last": last,
        "stopped": round(WIDE * (card.stopped - 1) / max(last - 1, 1)) if card.stopped else None,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
