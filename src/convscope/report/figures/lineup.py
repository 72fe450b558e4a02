"""Photographs beside the classes a network takes them for, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from convscope.activations.predictions import Guess, Prediction, mistakes
from convscope.report.figures.canvas import INK, QUIET, VOID, Page

# Never by colour alone: a mark stands beside each. They end what figures.EFFECTS begins.
RIGHT, WRONG = "#17713f", "#b00b1a"
TINTS = {True: "#bfe5cd", False: "#f3c9c9", None: "#cdd7ea"}
MARKS = {True: "\N{CHECK MARK} ", False: "\N{BALLOT X} ", None: ""}
BARS = 5  # classes of a photograph that are drawn

ACROSS, CELL, SIDE, MARGIN, GAP, LINE = 3, 392, 124, 24, 28, 21


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


def described(drawn: Sequence[Prediction], total: int) -> str:
    """Return in words which of all photographs `chosen` has left; nothing where that is all."""
    if len(drawn) == total:
        return ""
    half = max(len(drawn) // 2, 1)
    wrong = sum(one.correct is False for one in drawn[:half])
    many = f"{len(drawn)} of {total:,} photographs"
    if not wrong:
        return f"{many}, spread over all of them"
    first = f"the {wrong} most confident mistakes" if wrong > 1 else "the most confident mistake"
    rest = f", then {len(drawn) - wrong} spread over the others" * (wrong < len(drawn))
    return f"{many}: {first}{rest}"


def percent(probability: float) -> str:
    """Return a probability in whole percent, its ends only where it lies there."""
    if 0 < probability < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"


def predictions_picture(
    name: str,
    drawn: Sequence[Prediction],
    views: Mapping[Path, np.ndarray],
    total: int,
    result: str,
) -> np.ndarray:
    """Return photographs with bars of their most probable classes, uint8 `(height, width, 3)`.

    Args:
        name: the network.
        drawn: the photographs.
        views: what the network saw of each, uint8 `(height, width, 3)`.
        total: photographs that there are.
        result: what came out, in a line.

    Raises:
        ValueError: there are no photographs.
    """
    if not drawn:
        raise ValueError(
            "The picture of predictions needs at least one photograph. Received: none."
        )
    columns = min(ACROSS, len(drawn))
    bars = min(BARS, max(len(one.guesses) for one in drawn))
    tall = max(SIDE, 26 + LINE * bars) + GAP
    width = max(2 * MARGIN + columns * (CELL + GAP) - GAP, 620)
    page = Page(width, 104 + -(-len(drawn) // columns) * tall, scale=2)
    room = width - 2 * MARGIN
    page.text(MARGIN, 36, f"What {name} takes photographs for", 22, weight="bold", fit=room)
    page.text(MARGIN, 62, result, 14, fit=room)
    words = f"{MARKS[True]}stands for what a photograph is labelled" * any(
        one.rank for one in drawn
    )
    if left_out := described(drawn, total):
        words = "; ".join([f"{left_out} (the table has them all)", *filter(None, [words])])
    page.text(MARGIN, 82, words, 13, color=QUIET, fit=room)
    for index, one in enumerate(drawn):
        left = MARGIN + index % columns * (CELL + GAP)
        top = 104 + index // columns * tall
        page.paste(views[one.path], left, top, SIDE, SIDE)
        _answer(page, one, left + SIDE + 12, top, CELL - SIDE - 12)
    return page.array()


def _answer(page: Page, one: Prediction, left: int, top: int, width: int) -> None:
    """Write what a photograph shows, and draw the bars of its classes."""
    colour = {True: RIGHT, False: WRONG, None: QUIET}[one.correct]
    words = MARKS[one.correct] + "labelled " * (one.correct is False)
    words += _short(one.label or one.image, 42)
    words += ", no class of the network" * (one.state == "unknown")
    page.text(left, top + 9, words, 13.5, weight="bold", color=colour,
              fit=width)  # fmt: skip
    for rank, guess in enumerate(one.guesses[:BARS]):
        _bar(page, guess, left, top + 24 + rank * LINE, width)


def _bar(page: Page, guess: Guess, left: int, top: int, width: int) -> None:
    page.box(left, top, width, LINE - 3, VOID)
    tint = TINTS[True] if guess.right else TINTS[None]
    page.box(left, top, max(width * guess.probability, 1.5), LINE - 3, tint)
    weight = "bold" if guess.right else "normal"
    name = MARKS[True] * bool(guess.right) + _short(guess.name, 40)
    middle = top + (LINE - 3) / 2
    page.text(left + 5, middle, name, 12.5, fit=width - 58, weight=weight, color=INK)
    page.text(left + width - 5, middle, percent(guess.probability), 12.5, ha="right", color=INK)


def _short(words: str, most: int) -> str:
    """Return `words` of at most so many letters; of longer ones the end is left out."""
    return words if len(words) <= most else f"{words[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
