"""Examples: photographs that excite a unit, each with the part of it that the unit saw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from convscope.data import dataset, photograph, views
from convscope.data.views import Fit, Size
from convscope.unit import Unit

if TYPE_CHECKING:
    from convscope.activations.recorder import Recording
    from convscope.models.network import Network
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


@dataclass(frozen=True, kw_only=True)
class Example(Hit):
    """A photograph, the place in it that excites a unit, and what the unit sees there.

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


def examples(
    hits: Sequence[Hit], field: ReceptiveField, size: Size, fit: Fit = "crop"
) -> tuple[Example, ...]:
    """Return an example for each hit, in order; a photograph with several hits is read once.

    A field that reaches beyond a photograph is cut off at its edges; for one that lies beyond it
    altogether, on the padding of `fit="pad"`, the nearest row or column of its pixels is shown,
    though no pixel decided.

    Args:
        hits: the places to show.
        field: the layer's receptive field.
        size: of the view that the network got, one side or (height, width).
        fit: how the photographs were fitted into the view.

    Raises:
        ValueError: a photograph cannot be read any more.
    """
    found: dict[int, Example] = {}
    places: dict[Path, list[int]] = {}
    for at, hit in enumerate(hits):
        places.setdefault(hit.path, []).append(at)
    for path, inside in places.items():
        try:
            picture = photograph.load(path)
        except ValueError as error:
            raise ValueError(
                f"{path.name} was ranked but cannot be shown: {error}. Restore the file, or run"
                " again so that it is left out."
            ) from error
        width, height = picture.size
        view, whole = views.view(height, width, size, fit), _small(picture, WHOLE)
        for at in inside:
            seen = field.box(hits[at].row, hits[at].column)
            box = view.original(seen.top, seen.left, seen.bottom, seen.right)
            top, left, bottom, right = box
            crop = _small(picture.crop((left, top, right, bottom)), CROP)
            found[at] = Example(
                **vars(hits[at]), box=box, crop=crop, whole=whole, size=(height, width)
            )
    return tuple(found[at] for at in range(len(hits)))


def _small(picture: Image.Image, side: int) -> np.ndarray:
    """Return a picture as an array, made smaller where its longer side exceeds `side`."""
    if max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


CROPS = 9
"""That a filter is shown by."""


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """Return `image`, made smaller where its longer side exceeds `side` pixels."""
    longer = max(image.shape[:2])
    if longer <= side:
        return image
    size = [max(1, round(length * side / longer)) for length in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


TOP = 0.001  # the share of the photographs that counts as the strongest
# The quantiles that other bins lie around, and the least that each reaches to: halfway between.
AROUND = ((0.99, 0.945), (0.9, 0.7), (0.5, 0.25))


@dataclass(frozen=True)
class Bin:
    """Photographs that excite a unit about equally much.

    Attributes:
        name: which part of the range: `top 0.1 %`, `around 99 %`, ..., `bottom`.
        quantiles: the shares of all photographs below its weakest, and up to its strongest.
        low: the score of its weakest.
        high: the score of its strongest.
        places: those to show, indices of the values that were given, strongest first.
        count: how many photographs it has; those to show are spread evenly over them.
        beyond: the share of all photographs that lies at or above what it is named after.
        share: how much of all excitation (the sum of the scores above zero) those photographs
            have, from 0 to 1; None: they are less than one, or nothing is excited.
    """

    name: str
    quantiles: tuple[float, float]
    low: float
    high: float
    places: tuple[int, ...]
    count: int
    beyond: float
    share: float | None

    @property
    def note(self) -> str:
        """What to know about a bin that is named after less than one photograph; or nothing."""
        covered = self.quantiles[1] - self.quantiles[0]
        few = self.name.startswith("top") and covered > self.beyond + 1e-9
        return "0.1 % is less than one photograph: this is the strongest." if few else ""

    @property
    def range(self) -> str:
        """Which part of the photographs it is, in words, such as `quantiles 96.6 to 99.5 %`."""
        low, high = (100 * quantile for quantile in self.quantiles)
        digits = 1 if high - low >= 0.2 else 2 if high - low >= 0.02 else 3
        return f"quantiles {low:.{digits}f} to {high:.{digits}f} %"


def bins(values: np.ndarray, each: int) -> tuple[Bin, ...]:
    """Return photographs from all parts of a unit's range, the strongest bin first.

    The bins are the top 0.1 %, those nearest to the quantiles 99, 90 and 50 %, and the bottom. No
    photograph is in two of them; where photographs are few, a bin has fewer or is left out.

    Args:
        values: the score of each photograph `(photographs,)`; NaN for those without one.
        each: photographs to show in each bin.

    Raises:
        ValueError: no photograph has a score, or `each` is below 1.

    Source: the bins are those of Cammarata et al., "Curve Detectors", Distill, 2020.
    """
    scores = np.asarray(values, np.float64)
    count = int(np.count_nonzero(~np.isnan(scores)))
    if each < 1 or not count:
        message = "Bins need photographs with a score, and room for at least one in each."
        raise ValueError(f"{message} Received: {count} photographs, {each} for each bin.")
    order = np.argsort(-scores, kind="stable")[:count]  # NaN comes after all numbers
    found = []
    for name, beyond, start, stop in _spans(count, each):
        # The first is always among them, and of the bottom the last.
        ends = (stop - 1, start) if name == "bottom" else (start, stop - 1)
        shown = np.sort(np.linspace(*ends, min(each, stop - start)).round().astype(int))
        found.append(
            Bin(
                name=name,
                quantiles=(1 - stop / count, 1 - start / count),
                low=float(scores[order[stop - 1]]),
                high=float(scores[order[start]]),
                places=tuple(order[shown].tolist()),
                count=stop - start,
                beyond=beyond,
                share=_share(scores[order], beyond),
            )
        )
    return tuple(found)


def _spans(count: int, each: int) -> list[tuple[str, float, int, int]]:
    """Return name, share of photographs at or above it, and the half-open ranks of each bin.

    Ranks count from 0 for the strongest. The weakest of several photographs is the bottom's.
    """
    thousandth = math.floor(round(count * TOP, 9))
    start = max(1, thousandth)
    spans = [("top 0.1 %", TOP, 0, start)]
    for quantile, least in AROUND:
        # A rank stands for the middle of its step of 1 / count.
        stop = min(math.floor(round(count * (1 - least), 9) + 0.5), count - 1)
        wanted = round((1 - quantile) * (count - 1) - (each - 1) / 2)
        first = min(max(wanted, start), max(start, stop - each))
        name, beyond = f"around {100 * quantile:.0f} %", round(1 - quantile, 9)
        spans.append((name, beyond, first, min(first + each, stop)))
        start = max(start, stop)
    spans.append(("bottom", 1.0, max(start, count - max(each, thousandth)), count))
    return [span for span in spans if span[3] > span[2]]


def _share(ordered: np.ndarray, beyond: float) -> float | None:
    """Return how much of all that is above zero the strongest share `beyond` holds."""
    excited = np.maximum(ordered, 0)
    strongest, total = round(len(ordered) * beyond), float(excited.sum())
    if round(len(ordered) * beyond, 9) < 1 or not total or not math.isfinite(total):
        return None
    return float(excited[:strongest].sum() / total)


EXEMPLARS = 48  # of a unit, at most
CONTROLS, EACH = 20, 2  # other filters of its layer, and exemplars of each


@dataclass(frozen=True)
class Exemplars:
    """What excites a unit most, as one position of its layer sees it.

    Attributes:
        crops: strongest first, one of each photograph `(count, height, width, 3)` in [0, 1].
        keys: the class of each; None: not known. Empty: none is known.
        controls: {another filter of the layer: the same of its own strongest}.
    """

    crops: np.ndarray
    keys: tuple[str | None, ...] = ()
    controls: Mapping[int, np.ndarray] = field(default_factory=dict)


def gather(
    network: Network,
    unit: Unit,
    recording: Recording,
    keys: Sequence[str | None] = (),
    *,
    seed: int = 0,
) -> Exemplars:
    """Return what excites a unit most, and the same of other filters of its layer.

    A photograph that does not excite the unit is no exemplar of it.

    Args:
        network: the network.
        unit: the unit.
        recording: the photographs and what they did to its layer.
        keys: the class of each photograph, None where unknown; empty: none is known.
        seed: which other filters.
    """
    from convscope.models.position import probe

    peaks, size = recording.observation.peaks[unit.layer], probe(network, unit.layer).size
    others = np.delete(np.arange(peaks.values.shape[1]), unit.filter)
    count = min(CONTROLS, len(others))
    chosen = np.random.default_rng(seed).choice(others, count, replace=False)
    mine = peaks.strongest(unit.filter, EXEMPLARS)
    mine = mine[peaks.values[mine, unit.filter] > 0]

    @cache
    def view(place: int) -> np.ndarray:
        picture = photograph.load(recording.paths[place])
        return dataset.shown(picture, recording.sides, recording.fit)[0]

    def cut(filter: int, places: np.ndarray) -> np.ndarray:
        crops = np.empty((len(places), *size, 3), np.float32)
        positions = peaks.positions(places, filter).tolist()
        for at, (place, position) in enumerate(zip(places.tolist(), positions, strict=True)):
            box = recording.fields[unit.layer].box(*position)
            middle = (box.top + box.bottom) / 2, (box.left + box.right) / 2
            first = [round(at - length / 2) for at, length in zip(middle, size, strict=True)]
            crops[at] = window(view(place), first, size)
        return crops

    return Exemplars(
        crops=cut(unit.filter, mine),
        keys=tuple(keys[place] for place in mine) if keys else (),
        controls={one: cut(one, peaks.strongest(one, EACH)) for one in sorted(chosen.tolist())},
    )


def window(view: np.ndarray, first: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Return part of a view, from row and column `first` on, mirrored beyond its edges."""
    places = []
    for start, length, side in zip(first, size, view.shape[:2], strict=True):
        around = np.arange(start, start + length) % (2 * side)
        places.append(np.minimum(around, 2 * side - 1 - around))
    return view[np.ix_(*places)]
