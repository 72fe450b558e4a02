"""An album of photographs that a network has seen, and the crops that excite a unit most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from convscope.activations.recorder import Observation, Sight, join, observer
from convscope.data import dataset, photograph
from convscope.data.splits import halves
from convscope.data.views import Fit, View
from convscope.models.network import Network
from convscope.models.position import receptive_field
from convscope.models.receptive_field import ReceptiveField, sees_all
from convscope.unit import Unit


@dataclass(frozen=True)
class Crop:
    """The part of a photograph that made a unit respond.

    Attributes:
        path: the photograph.
        box: half-open (top, left, bottom, right) in pixels of the original file.
        activation: the unit's preactivation there.
        pixels: uint8 `(bottom - top, right - left, 3)`.
    """

    path: Path
    box: tuple[int, int, int, int]
    activation: float
    pixels: np.ndarray


@dataclass
class Album:
    """Photographs as a network sees them, page by page.

    Attributes:
        paths: the readable photographs seen so far.
        views: how each was cut to the square that the network saw.
        skipped: (file, reason) of the unreadable ones.
        digests: SHA-256 of each file seen so far, 32 bytes.
        fields: {layer: its receptive field}.
        pages: what each batch did.
        sight: the latest batch as a whole; None where no file of it could be read.
    """

    paths: list[Path] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    fields: dict[str, ReceptiveField] = field(default_factory=dict)
    pages: list[Observation] = field(default_factory=list)
    sight: Sight | None = None

    @property
    def observation(self) -> Observation:
        """What all the photographs did."""
        if len(self.pages) > 1:
            self.pages = [join(self.pages)]
        return self.pages[0]

    @property
    def halves(self) -> np.ndarray:
        """Which photographs belong to the discovery half, bool `(photographs,)`."""
        return halves(np.frombuffer(b"".join(self.digests), np.uint8).reshape(-1, 32))

    def crops(self, unit: Unit, count: int) -> tuple[Crop, ...]:
        """Return the crops that excite a unit most, strongest first, one of each photograph.

        A layer that was not observed has none.
        """
        peaks = self.observation.peaks.get(unit.layer)
        if peaks is None:
            return ()
        found = []
        for index in peaks.strongest(unit.filter, count):
            place = peaks.rows[index, unit.filter], peaks.columns[index, unit.filter]
            seen = self.fields[unit.layer].box(*map(int, place))
            box = self.views[index].original(seen.top, seen.left, seen.bottom, seen.right)
            whole = photograph.load(self.paths[index])
            pixels = np.asarray(whole.crop((box[1], box[0], box[3], box[2])))
            activation = float(peaks.values[index, unit.filter])
            found.append(Crop(self.paths[index], box, activation, pixels))
        return tuple(found)


def fill(
    network: Network,
    target: str,
    sources: Sequence[str],
    paths: Sequence[Path],
    size: int,
    batch: int,
    fit: Fit = "crop",
) -> Iterator[Album]:
    """Show photographs to a network and yield the growing album after each batch.

    Args:
        network: the network, in float32.
        target: the linear layer whose inputs and peaks are observed.
        sources: layers before it whose peaks are observed too.
        paths: the photographs' files.
        size: pixels of the square view that the network gets.
        batch: photographs at a time.
        fit: how photographs that are no squares are shown.
    """
    observe = observer(network, target, sources)
    whole = sees_all(size)
    fields = {
        name: receptive_field(network, name, (size, size)) or whole for name in (target, *sources)
    }
    album = Album(fields=fields)
    for seen in dataset.batches(paths, size, batch, fit):
        album.skipped.extend(seen.skipped)
        album.sight = None
        if seen.paths:
            album.paths.extend(seen.paths)
            album.views.extend(seen.views)
            album.digests.extend(seen.digests)
            page, album.sight = observe(seen.pixels)
            album.pages.append(page)
        yield album
