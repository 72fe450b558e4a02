"""Examples: photographs that excite a unit, each with the part of it that the unit saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from convscope.data import photograph, views

if TYPE_CHECKING:
    from convscope.data.views import Fit
    from convscope.models.receptive_field import ReceptiveField


CROP, WHOLE = 224, 320
"""Pixels of the longer side of a crop and of a photograph, as they are kept to be shown."""


@dataclass(frozen=True)
class Hit:
    """A place on a photograph that is to be shown.

    Attributes:
        rank: from 1 for the strongest.
        path: the photograph's file.
        image: its name, as it is shown.
        activation: the unit's preactivation there.
        row: of the layer's map.
        column: of the layer's map.
        wnid: the photograph's class, a synset or another key; None: unlabelled.
        label: the class in words; None: unlabelled.
    """

    rank: int
    path: Path
    image: str
    activation: float
    row: int
    column: int
    wnid: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Cut:
    """What a unit sees of a photograph at one place.

    Attributes:
        box: half-open (top, left, bottom, right) in pixels of the upright original.
        crop: the box's pixels, uint8, its longer side at most `CROP`.
        whole: the whole photograph, uint8, its longer side at most `WHOLE`.
        size: height and width of the original.
    """

    box: tuple[int, int, int, int]
    crop: np.ndarray
    whole: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class Example:
    """A photograph, and the place in it that excites a unit.

    Attributes:
        rank: see `Hit`, as are path, image, activation, row, column, wnid and label.
        box: see `Cut`, as are crop, whole and size.
    """

    rank: int
    path: Path
    image: str
    activation: float
    row: int
    column: int
    wnid: str | None
    label: str | None
    box: tuple[int, int, int, int]
    crop: np.ndarray
    whole: np.ndarray
    size: tuple[int, int]


def cut(
    path: Path,
    places: Sequence[tuple[int, int]],
    field: ReceptiveField,
    size: int,
    fit: Fit = "crop",
) -> tuple[Cut, ...]:
    """Return what a unit saw of a photograph at each of `places`, (row, column) of its map.

    The photograph is read once. A field that reaches beyond it is cut off at its edges; for one
    that lies beyond it altogether, on the padding of `fit="pad"`, the nearest row or column of its
    pixels is shown, though no pixel decided.

    Args:
        path: the photograph's file.
        places: positions of the layer's map.
        field: the layer's receptive field.
        size: pixels of the square view that the network got.
        fit: how the photograph was fitted into the view.

    Raises:
        ValueError: the photograph cannot be read any more.
    """
    try:
        picture = photograph.load(path)
    except ValueError as error:
        raise ValueError(
            f"{path.name} was ranked but cannot be shown: {error}. Restore the file, or run again "
            "so that it is left out."
        ) from error
    width, height = picture.size
    view = views.view(height, width, size, fit)
    whole = _small(picture, WHOLE)
    cuts = []
    for row, column in places:
        seen = field.box(row, column)
        box = view.original(seen.top, seen.left, seen.bottom, seen.right)
        top, left, bottom, right = box
        crop = _small(picture.crop((left, top, right, bottom)), CROP)
        cuts.append(Cut(box, crop, whole, (height, width)))
    return tuple(cuts)


def examples(
    hits: Sequence[Hit], field: ReceptiveField, size: int, fit: Fit = "crop"
) -> tuple[Example, ...]:
    """Return an example for each hit, in order; a photograph with several hits is read once.

    Args:
        hits: the places to show.
        field: the layer's receptive field.
        size: pixels of the square view that the network got.
        fit: how the photographs were fitted into the view.

    Raises:
        ValueError: a photograph cannot be read any more.
    """
    found: dict[int, Example] = {}
    places: dict[Path, list[int]] = {}
    for index, hit in enumerate(hits):
        places.setdefault(hit.path, []).append(index)
    for path, indices in places.items():
        cuts = cut(path, [(hits[at].row, hits[at].column) for at in indices], field, size, fit)
        for index, seen in zip(indices, cuts, strict=True):
            found[index] = Example(**vars(hits[index]), **vars(seen))
    return tuple(found[index] for index in range(len(hits)))


def _small(picture: Image.Image, side: int) -> np.ndarray:
    """Return a picture as an array, made smaller where its longer side exceeds `side`."""
    if max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)
