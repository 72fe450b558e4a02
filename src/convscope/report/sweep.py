"""All jobs of a multirun at a glance: one picture, and one page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from convscope.report.figures import sweep as sweeps
from convscope.report.figures.canvas import PAPER, QUIET, RULE, VOID, Page
from convscope.report.html import render
from convscope.text import aligned, number
from convscope.tracking.multirun import ACROSS, Grid, Job, Sweep, grid, numbers, spelled

BEST = "#b5540a"  # the colour of the highest activation
SIDE, SMALL = 176, 104  # pixels of a picture on the sheet; the first are drawn at double scale
TILE = 128  # pixels of a picture in W&B's table
MANY = 60  # jobs; from more of them the pictures are small
UNITS = {"layer", "filter", "model", "stage"}  # settings that change what an activation is of

Pictures = Mapping[int, np.ndarray]


def pictures(sweep: Sweep) -> dict[int, np.ndarray]:
    """Return the main picture of each job that has one, uint8 RGB, by number of the job."""
    found = {}
    for job in sweep.jobs:
        if job.picture is None:
            continue
        try:
            with Image.open(sweep.folder / job.picture) as file:
                image = file.convert("RGB")
        except OSError:  # damaged since: the job is shown without it
            continue
        image.thumbnail((2 * SIDE, 2 * SIDE), Image.Resampling.LANCZOS)
        found[job.number] = np.asarray(image)
    return found


def tiles(sweep: Sweep, pictures: Pictures) -> list[np.ndarray]:
    """Return a small square for each job, empty for one without picture."""
    blank = {job.status: _blank(absence(job)) for job in sweep.jobs if job.number not in pictures}
    return [
        np.asarray(ImageOps.pad(Image.fromarray(pictures[job.number]), (TILE, TILE), color=VOID))
        if job.number in pictures
        else blank[job.status]
        for job in sweep.jobs
    ]


def absence(job: Job) -> str:
    """Return why a job has no picture, in a word or two."""
    return "no picture" if job.status == "done" else job.status


def sheet(sweep: Sweep, pictures: Pictures) -> np.ndarray:
    """Return all pictures over the swept values, each above its activation."""
    layout, many = grid(sweep), len(sweep.jobs) > MANY
    side, scale = (SMALL, 1) if many else (SIDE, 2)
    margin, gap, left = 24, 14, 128 if layout.down else 0
    first = layout.blocks[0]
    tall = side + 24 + gap + (15 * len(sweep.keys) if layout.listed else 0)
    block_width = left + len(first.columns) * (side + gap) - gap
    block_height = 22 * len(first.titles) + 44 + len(first.rows) * tall + 12
    beside = max(1, min(len(layout.blocks), ACROSS // len(first.columns)))
    # The first line needs some width even above a single picture.
    width = max(margin + beside * (block_width + margin), 520)
    page = Page(width, 92 + -(-len(layout.blocks) // beside) * block_height, scale)
    page.text(margin, 38, title(sweep), 20, weight="bold", fit=width - 2 * margin)
    page.text(margin, 66, subtitle(sweep), 12, color=QUIET, fit=width - 2 * margin)
    for place, block in enumerate(layout.blocks):
        across = margin + place % beside * (block_width + margin)
        top = 92 + place // beside * block_height
        for words in block.titles:
            page.text(across, top + 12, words, 13, weight="bold", fit=block_width)
            top += 22
        across += left
        for column, label in enumerate(block.columns):
            middle = across + column * (side + gap) + side / 2
            _label(page, middle, top + 18, layout.across, label, side, "center")
        top += 44
        for row, jobs in zip(block.rows, block.jobs, strict=True):
            if layout.down:
                _label(page, across - 14, top + side / 2, layout.down, row, left - 14, "right")
            for column, job in enumerate(jobs):
                at = across + column * (side + gap)
                _cell(page, job, pictures, at, top, side, job is not None and job is sweep.best)
                if job and layout.listed:
                    _values(page, job, at, top + side + 28, side)
            top += tall
    return page.array()


def title(sweep: Sweep) -> str:
    """Return what was varied, in one line."""
    count = len(sweep.jobs)
    jobs = f"{count} job{'s' * (count != 1)}"
    if len(sweep.keys) > 3:
        return f"{jobs} over {len(sweep.keys)} settings"
    *others, last = [*sweep.keys] or [""]
    return f"{jobs} over {' and '.join(filter(None, [', '.join(others), last]))}" if last else jobs


def subtitle(sweep: Sweep) -> str:
    """Return what all jobs share, how they ended and which of them reached most."""
    shared = " ".join(f"{key}={value}" for key, value in sweep.fixed.items())
    ends = ", ".join(f"{count} {end}" for end, count in sweep.counts.items())
    best = sweep.best
    most = f"highest activation: {number(best.activation)} in job {best.number}" if best else ""
    return "  \N{MIDDLE DOT}  ".join(filter(None, [shared, ends, most]))


def page(sweep: Sweep, pictures: Pictures) -> str:
    """Return one HTML page: parallel coordinates, the pictures and a table, linked to each other.

    It makes no network request; its links lead to the reports of the jobs beside it.
    """
    jobs, ranked, keys = sweep.jobs, sweep.ranked, sweep.keys
    axes = [sweeps.axis(key, [job.swept.get(key) for job in jobs]) for key in keys]
    axes.append(sweeps.axis("seconds", [job.seconds for job in jobs], measured=True))
    axes.append(sweeps.axis("activation", [job.activation for job in jobs], measured=True))
    lines = {job.number: [axis.places[at] for axis in axes] for at, job in enumerate(jobs)}
    layout = grid(sweep)
    places, headings = _placed(layout)
    activations = aligned([job.activation for job in ranked])
    cards = [
        {
            "job": job,
            "swept": {key: spelled(job.swept[key]) for key in keys if key in job.swept},
            "order": {key: _order(sweep.values[key], job.swept.get(key)) for key in keys},
            "activation": activations[rank],
            "seconds": "\N{EN DASH}" if job.seconds is None else f"{job.seconds:.1f}",
            "picture": pictures.get(job.number),
            "absence": absence(job),
            "place": places[job.number],
            "places": lines[job.number],
            "warmth": _warmth(axes[-1].places, lines[job.number][-1]),
        }
        for rank, job in enumerate(ranked)
    ]
    return render(
        "sweep.html",
        title=title(sweep),
        sweep=sweep,
        axes=axes,
        cards=cards,
        layout=layout,
        headings=headings,
        columns=max(len(block.columns) for block in layout.blocks),
        side=2 * SIDE if len(sweep.jobs) <= MANY else SIDE,
        command=f"python run.py -m {shlex.join(sweep.asked)}",
        notes=_notes(sweep),
        short=_short(keys),
        line=sweeps.line,
        room=_room(axes),
    )


def _label(
    page: Page, x: float, middle: float, key: str, value: str, fit: float, side: str
) -> None:
    if key:
        page.text(x, middle - 8, key, 11, color=QUIET, ha=side, fit=fit)
    page.text(x, middle + 8 * bool(key), value, 13, weight="bold", ha=side, fit=fit)


def _cell(
    page: Page, job: Job | None, pictures: Pictures, left: int, top: int, side: int, best: bool
) -> None:
    if best:
        page.box(left - 4, top - 4, side + 8, side + 8, BEST)
    if job and job.number in pictures:
        page.box(left, top, side, side, VOID)
        page.paste(pictures[job.number], left, top, side, side)
    else:
        page.box(left, top, side, side, RULE)
        page.box(left + 1, top + 1, side - 2, side - 2, VOID if job else PAPER)
        words = absence(job) if job else "not run"
        page.text(left + side / 2, top + side / 2, words, 13, ha="center", color=QUIET)
    if job and job.activation is not None:
        look = {"weight": "bold", "color": BEST} if best else {}
        words = number(job.activation) + " highest" * best
        page.text(left + side / 2, top + side + 14, words, 13, ha="center", fit=side, **look)


def _values(page: Page, job: Job, left: int, top: int, side: int) -> None:
    for at, (key, value) in enumerate(job.swept.items()):
        words = f"{key} = {spelled(value)}"
        page.text(left + side / 2, top + 15 * at, words, 11, ha="center", color=QUIET, fit=side)


def _blank(words: str) -> np.ndarray:
    page = Page(TILE, TILE, 1)
    page.box(0, 0, TILE, TILE, VOID)
    page.text(TILE / 2, TILE / 2, words, 13, ha="center", color=QUIET)
    return page.array()


def _placed(layout: Grid) -> tuple[dict[int, tuple[int, int]], list[dict[str, Any]]]:
    """Return row and column of each job on a page's one grid, and what stands around them."""
    first = 2 if layout.down else 1
    places: dict[int, tuple[int, int]] = {}
    headings: list[dict[str, Any]] = []
    row = 1
    for block in layout.blocks:
        if block.titles:
            words = ", ".join(block.titles)
            headings.append({"kind": "block", "row": row, "column": 1, "words": words})
            row += 1
        for column, label in enumerate(block.columns, first):
            headings.append({"kind": "across", "row": row, "column": column, "words": label})
        for label, jobs in zip(block.rows, block.jobs, strict=True):
            row += 1
            if layout.down:
                headings.append({"kind": "down", "row": row, "column": 1, "words": label})
            places |= {job.number: (row, at) for at, job in enumerate(jobs, first) if job}
        row += 1
    return places, headings


def _order(values: Sequence[object], value: object) -> object:
    """Return what a column sorts by: the number itself, or when a value was first used."""
    if value is None and None not in values:
        return ""
    return value if numbers(values) else [repr(other) for other in values].index(repr(value))


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted name, or all of it where others end alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def _warmth(places: Sequence[float | None], own: float | None) -> int | None:
    """Return how far up among all activations one lies, in percent."""
    given = [place for place in places if place is not None]
    if own is None:
        return None
    low, high = min(given), max(given)
    return round(100 * (own - low) / (high - low)) if high > low else 100


def _room(axes: Sequence[sweeps.Axis]) -> dict[str, float]:
    """Return the pixels that the words on upright axes take.

    Labels stand outside the first and the last axis and names above all, in two lines of heights
    if they are too wide to stand side by side.
    """
    letter = 7.6
    names = [letter * len(axis.name.rpartition(".")[2]) for axis in axes]
    labels = [letter * max([len(label) for _, label in axis.ticks], default=0) for axis in axes]
    left, right = (max(names[end] / 2, labels[end] + 12) + 4 for end in (0, -1))
    apart = (848 - left - right) / max(1, len(axes) - 1)
    crowded = any(sum(pair) / 2 + 8 > apart for pair in pairwise(names))
    return {"left": round(left), "right": round(right), "stagger": 36 if crowded else 0}


def _notes(sweep: Sweep) -> list[str]:
    changing = sorted(UNITS & set(sweep.keys))
    if not changing:
        return []
    return [
        f"The jobs differ in {' and '.join(changing)}: their activations are of different units or"
        " measured in another way, so the highest of them is not the best in any sense."
    ]
