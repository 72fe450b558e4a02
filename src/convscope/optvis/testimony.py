"""Optima beside photographs: which of them are evidence of what their units do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.activations.album import Album
from convscope.data import dataset
from convscope.models.network import Network
from convscope.models.position import receptive_field
from convscope.optvis import reliability
from convscope.optvis.ascent import Optimum
from convscope.optvis.reliability import Views, Witness
from convscope.settings import ImageSettings
from convscope.unit import IMAGE, Unit

EXEMPLARS, OTHERS = 20, 40  # photographs that an optimum is compared with, the best and any
LEAST = 6  # of either: with fewer, likeness says nothing


def witnesses(
    network: Network,
    album: Album,
    optima: Mapping[Unit, Optimum],
    shown: ImageSettings,
    seed: int,
) -> dict[Unit, Witness]:
    """Return of each optimum that is alive whether it is evidence.

    Args:
        network: the network, in float32.
        album: the photographs and what they did.
        optima: the images.
        shown: how photographs are shown.
        seed: of the photographs and positions that stand for any.
    """
    found: dict[Unit, Witness] = {}
    usual: dict[str, Mapping[str, np.ndarray]] = {}
    if len(album.paths) < 2 * LEAST:
        return found
    for unit, best in optima.items():
        peaks = album.observation.peaks.get(unit.layer)
        if not best.alive or peaks is None or unit.layer == IMAGE:
            continue
        how = _Cut(network, unit.layer, shown, (best.image.shape[0], best.image.shape[1]))
        if unit.layer not in usual:
            usual[unit.layer] = _any(network, album, unit.layer, how, seed)
        chosen = peaks.strongest(unit.filter, min(EXEMPLARS, len(album.paths) // 2))
        places = np.stack(
            [peaks.rows[chosen, unit.filter], peaks.columns[chosen, unit.filter]], axis=1
        )
        exemplars = how.views([album.paths[place] for place in chosen], places)
        below = album.observation.below(unit, best.activation)
        if exemplars and usual[unit.layer] and below is not None:
            found[unit] = reliability.examine(
                network, unit, best.image, exemplars, usual[unit.layer], below
            )
    return found


@dataclass(frozen=True)
class _Cut:
    """How a part of a photograph is shown like an optimum: on a canvas, its position in the middle.

    Attributes:
        network: the network.
        layer: of the position.
        shown: how photographs are shown.
        size: (height, width) of the canvas.
    """

    network: Network
    layer: str
    shown: ImageSettings
    size: tuple[int, int]

    def views(self, paths: Sequence[Path], places: np.ndarray) -> Views | None:
        """Return parts of photographs around positions; None where a photograph is gone by now.

        They begin whole strides away from where the photograph does, so that their maps are those
        of the photograph but for what lies beyond the part.
        """
        parts = list(pixels_of(paths, self.shown))
        pixels = np.concatenate(parts) if parts else np.zeros((0, 1, 1, 3))
        if len(pixels) != len(paths):
            return None
        side = self.shown.side
        field = receptive_field(self.network, self.layer, (side, side))
        if field is None:
            return Views(pixels, places)
        strides = field.rows.stride, field.columns.stride
        middle = [length // stride // 2 for length, stride in zip(self.size, strides, strict=True)]
        cut = [
            _window(
                view,
                [
                    stride * (at - centre)
                    for stride, at, centre in zip(strides, place.tolist(), middle, strict=True)
                ],
                self.size,
            )
            for view, place in zip(pixels, places, strict=True)
        ]
        return Views(np.stack(cut), np.tile(middle, (len(cut), 1)))


def _window(view: np.ndarray, first: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Return part of a view, mirrored beyond its edges."""
    rows, columns = (
        np.arange(start, start + length) for start, length in zip(first, size, strict=True)
    )
    return view[_mirrored(rows, view.shape[0])][:, _mirrored(columns, view.shape[1])]


def _mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Return places along an axis, those beyond its ends mirrored back."""
    around: np.ndarray = places % (2 * length)
    return np.where(around < length, around, 2 * length - 1 - around)


def _any(
    network: Network, album: Album, layer: str, how: _Cut, seed: int
) -> Mapping[str, np.ndarray]:
    """Return the profiles of any photographs at any positions of a layer."""
    generator = np.random.default_rng(seed)
    count = min(OTHERS, len(album.paths))
    chosen = generator.choice(len(album.paths), count, replace=False)
    # The peaks of any filters lie where something is, as those of this one do.
    peaks = album.observation.peaks[layer]
    filters = generator.integers(0, peaks.rows.shape[1], count)
    places = np.stack([peaks.rows[chosen, filters], peaks.columns[chosen, filters]], axis=1)
    views = how.views([album.paths[place] for place in chosen], places)
    return reliability.profiles(network, layer, views) if views else {}


def pixels_of(paths: Sequence[Path], shown: ImageSettings) -> Iterator[np.ndarray]:
    """Yield photographs as the network sees them, a batch at a time, without those gone by now."""
    for batch in dataset.batches(paths, shown.side, shown.batch, shown.fit):
        if batch.paths:
            yield batch.pixels
