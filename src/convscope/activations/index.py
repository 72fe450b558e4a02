"""The activation index: every filter's peak on every photograph, kept on disk and asked there.

The folder is named by what decides its content. Its photographs are divided into shards, which any
number of jobs may write; a filter's row in each of them is all that a question reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convscope.activations import shard, statistics
from convscope.activations.shard import Layout
from convscope.models.receptive_field import Axis, ReceptiveField, plain
from convscope.settings import sides
from convscope.tracking.files import canonical, clear, save, scratch, sealed, settle, unsealed

if TYPE_CHECKING:
    from convscope.data.views import Fit, Sides, Size


FILES, SHARDS = "files.jsonl", "shards"

By = Literal["peak", "mean"]
What = Literal["peak", "mean", "row", "column"]


@dataclass(frozen=True)
class ActivationIndex:
    """An index on disk, complete or not.

    Questions need all shards; `missing` names those that are still to be written.
    """

    folder: Path
    manifest: Manifest

    # Shards

    @property
    def count(self) -> int:
        """How many photographs there are, those set aside included."""
        return self.manifest.request.count

    @property
    def shards(self) -> int:
        """How many shards a complete index has."""
        return -(-self.count // self.manifest.shard)

    def layout(self, number: int) -> Layout:
        """Return which photographs a shard holds, and the arrays it holds of them."""
        said, first = self.manifest, number * self.manifest.shard
        count = min(said.shard, self.count - first)
        return Layout(number, first, count, said.filters, said.rows, said.columns)

    def path(self, number: int) -> Path:
        """Return the folder of a shard, written or not."""
        return self.folder / SHARDS / f"{number:06d}"

    def missing(self) -> list[int]:
        """Return the shards that are still to be written."""
        there = {entry.name for entry in os.scandir(self.folder / SHARDS) if entry.is_dir()}
        return [number for number in range(self.shards) if f"{number:06d}" not in there]

    def repair(self) -> Iterator[tuple[int, str]]:
        """Yield each written shard's number and what is wrong with it, "" for nothing.

        Every byte is read and compared with the checksum taken when it was written. A damaged shard
        is removed, so that the next pass writes it anew.
        """
        gone = set(self.missing())
        for number in range(self.shards):
            if number not in gone:
                if complaint := shard.complaint(self.path(number), self.layout(number)):
                    shard.discard(self.path(number))
                yield number, complaint

    # What stands in them

    def where(self, filter: int, places: Sequence[int] | np.ndarray) -> tuple[np.ndarray, ...]:
        """Return row and column of a filter's peak on some photographs, two arrays."""
        found = np.zeros((2, len(places)), np.int64)
        for at, place in enumerate(places):
            number, offset = divmod(int(place), self.manifest.shard)
            found[:, at] = [self._array(number, axis)[filter, offset] for axis in ("row", "column")]
        return found[0], found[1]

    def column(self, filter: int, what: What = "peak") -> np.ndarray:
        """Return a filter's peak, mean, row or column on every photograph `(count,)`.

        Activations are float16; those of photographs set aside are NaN.
        """
        if not 0 <= filter < self.manifest.filters:
            raise ValueError(
                f"{self.manifest.request.layer} has no filter {filter}. Its filters are 0 to"
                f" {self.manifest.filters - 1}."
            )
        parts = (self._array(number, what)[filter] for number in range(self.shards))
        return np.concatenate([*parts])

    def histogram(self, filters: Sequence[int] | None = None) -> np.ndarray:
        """Return at how many positions the preactivation lies in each bin `(filters, 512)`.

        A bin holds the values that share the first nine bits of their float16, the sign, the
        exponent and three bits of the fraction, at the number those bits spell; no value, zero
        included, that is not above zero stands below bin 256. `statistics.ordered` puts them in
        order.

        Args:
            filters: whose; None for all of the layer.
        """
        chosen = slice(None) if filters is None else list(filters)
        parts = (self._array(number, "histogram")[chosen] for number in range(self.shards))
        return sum(parts, np.zeros((), np.int64))

    def firing_rate(self) -> np.ndarray:
        """Return the exact share of positions at which each filter is above zero `(filters,)`."""
        return statistics.firing(self.histogram())

    def digests(self) -> np.ndarray:
        """Return the SHA-256 of each photograph's file `(count, 32)`; zeros for those set aside."""
        return np.concatenate([self._array(number, "digest") for number in range(self.shards)])

    def skipped(self) -> dict[int, str]:
        """Return the place of each photograph that was set aside, and why."""
        return {
            int(place): reason
            for number in range(self.shards)
            for place, reason in self._record(number)["skipped"].items()
        }

    def clipped(self) -> int:
        """Return how many activations lay beyond float16 and were stored as its largest."""
        return sum(self._record(number)["clipped"] for number in range(self.shards))

    def names(self) -> list[str]:
        """Return the name of each photograph's file, below the root that was given.

        Raises:
            ValueError: the list is damaged.
        """
        content = (self.folder / FILES).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest.request.files:
            raise ValueError(
                f"{self.folder / FILES} is not what was written. Remove {self.folder}; the next"
                " run builds it anew."
            )
        return [json.loads(line)[0] for line in content.splitlines()]

    def _record(self, number: int) -> dict[str, Any]:
        try:
            return shard.record(self.path(number))
        except ValueError as error:
            raise self._unusable(number, str(error)) from error

    def _array(self, number: int, name: str) -> np.ndarray:
        try:
            return shard.array(self.path(number), name, self.layout(number))
        except FileNotFoundError as error:
            raise self._unusable(number, f"{name}.npy is missing") from error

    def _unusable(self, number: int, why: str) -> ValueError:
        """Return the error of a shard that is damaged, or of an index without all its shards."""
        if not (missing := self.missing()):
            return ValueError(f"Shard {number} of {self.folder} is damaged: {why}.")
        return ValueError(
            f"The index {self.folder} is not complete: {len(missing)} of its {self.shards}"
            f" shards are missing, {ranges(missing)}."
        )


def find(home: Path, request: Request) -> ActivationIndex | None:
    """Return the index for a request, complete or not; None if none was begun.

    Raises:
        ValueError: what lies in its place is damaged.
    """
    folder = request.folder(home)
    if not folder.is_dir():
        return None
    manifest = Manifest.read(folder)
    if manifest.request != request:
        raise ValueError(
            f"{folder} holds the index of another request. Remove the folder; the next run builds"
            " it anew."
        )
    return ActivationIndex(folder, manifest)


def create(home: Path, manifest: Manifest, files: bytes) -> ActivationIndex:
    """Begin an index and return it; of several jobs that do so at once all get the same one.

    Args:
        home: where indices lie; it is made if need be.
        manifest: what it is to hold.
        files: the listing of the photographs.

    Raises:
        ValueError: the listing is another, or what lies there is damaged.
    """
    request = manifest.request
    if hashlib.sha256(files).hexdigest() != request.files:
        raise ValueError("The listing of the photographs is not the one of the request.")
    home.mkdir(parents=True, exist_ok=True)
    clear(home)
    folder = request.folder(home)
    if not folder.is_dir():
        with scratch(home, folder.name) as partial:
            (partial / SHARDS).mkdir()
            save(partial / FILES, files)
            save(partial / MANIFEST, sealed({**_plain(manifest), "shard": manifest.shard}))
            settle(partial, folder)
    found = find(home, request)
    if found is None:
        raise ValueError(f"{folder} was removed while it was begun. Start again.")
    clear(folder / SHARDS)
    return found


def strongest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the largest values, largest first, earlier before later if equal.

    NaN is never among them, so there may be fewer than `count`.
    """
    values = values.astype(np.float32)
    values[np.isnan(values)] = -np.inf
    least = np.float32(-np.inf)
    if 0 < 4 * count <= len(values):
        # The largest of each of many pieces: so many values at least reach the last of the best.
        pieces = values[: len(values) // (4 * count) * 4 * count].reshape(4 * count, -1).max(axis=1)
        least = np.partition(pieces, -count)[-count]
    near = np.flatnonzero((values >= least) & (values > -np.inf))
    return near[np.lexsort((near, -values[near]))][: max(count, 0)]


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in few words: `3, 5-7`."""
    together = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in run] for _, run in together]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


MANIFEST = "manifest.json"


def _plain(manifest: Manifest) -> dict[str, object]:
    """Return a manifest as JSON takes it: a fraction of a pixel as a text like 1/2."""
    return asdict(
        manifest,
        dict_factory=lambda pairs: {
            name: str(part) if isinstance(part, Fraction) else part for name, part in pairs
        },
    )


FORMAT = 4  # of the files; another one is another index
PACKAGES = ("tensorflow", "keras", "pillow")  # whose versions may change an activation
PARTS, STEP, MOST = 64, 16, 4096  # shards aimed at; photographs in one: multiple of, at most


@dataclass(frozen=True)
class Request:
    """What decides the content of an index.

    Attributes:
        model: the network's name.
        weights: SHA-256 of its weights.
        preprocess: how an image becomes what the network takes.
        layer: whose filters are observed.
        sides: height and width in pixels of what the network sees.
        fit: how a photograph becomes that.
        files: SHA-256 of the listing of the photographs.
        count: how many there are.
        versions: of the packages that decode and compute, and of the format.
    """

    model: str
    weights: str
    preprocess: str
    layer: str
    sides: Sides
    fit: Fit
    files: str
    count: int
    versions: Mapping[str, str]

    @property
    def key(self) -> str:
        """The SHA-256 of the request, by which its folder is named."""
        return hashlib.sha256(canonical(asdict(self))).hexdigest()

    def folder(self, home: Path) -> Path:
        """Return where the index lies below `home`."""
        return home / re.sub(r"[^\w.+-]", "_", f"{self.model}-{self.layer}-{self.key[:12]}")


def listing(paths: Sequence[Path], root: Path | None) -> bytes:
    """Return the content of `files.jsonl`: name below `root`, bytes and time of change of each.

    A file that is missing or may not be read has -1 bytes, so that it counts as changed once it
    can be. Without a root the names are those of the files alone.
    """
    lines = []
    above = "" if root is None else os.path.join(root, "")  # noqa: PTH118 - a million of them
    for path in paths:
        full = os.fspath(path)
        name = full[len(above) :] if above and full.startswith(above) else path.name
        size, changed = -1, 0
        try:
            found = os.stat(full)  # noqa: PTH116
            if os.access(full, os.R_OK):
                size, changed = found.st_size, found.st_mtime_ns
        except OSError:
            pass
        # In ASCII: whatever bytes a name has, they come back, and each name takes one line.
        lines.append(json.dumps([name, size, changed], separators=(",", ":")))
    return "".join(f"{line}\n" for line in lines).encode()


def request(
    *, model: str, weights: str, preprocess: str, layer: str, size: Size, fit: Fit, files: bytes
) -> Request:
    """Return a request for the photographs of a listing, with the versions installed here."""
    versions = {name: metadata.version(name) for name in PACKAGES} | {"format": str(FORMAT)}
    digest = hashlib.sha256(files).hexdigest()
    count = files.count(b"\n")
    return Request(model, weights, preprocess, layer, sides(size), fit, digest, count, versions)


@dataclass(frozen=True)
class Manifest:
    """What an index holds.

    Attributes:
        request: what decides its content.
        filters: of the layer.
        rows: of the layer's map.
        columns: of the layer's map.
        field: what a position sees; None: all of the view.
        device: what computed the first shard.
    """

    request: Request
    filters: int
    rows: int
    columns: int
    field: ReceptiveField | None
    device: str

    @property
    def shard(self) -> int:
        """How many photographs a shard holds; the last one may hold fewer.

        Their number alone decides it, so that it is the same for every job: small enough that an
        interrupted pass loses little and many jobs find work, large enough that a question about a
        million photographs opens few files.
        """
        return min(MOST, max(STEP, -(-self.request.count // (PARTS * STEP)) * STEP))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return the manifest of an index.

        Raises:
            ValueError: there is none, or it is damaged.
        """
        try:
            said = unsealed(folder / MANIFEST)
            field, size = said.pop("field"), said.pop("shard")
            if field:
                axes = (
                    {name: plain(Fraction(part)) for name, part in field[axis].items()}
                    for axis in ("rows", "columns")
                )
                rows, columns = (Axis(**axis) for axis in axes)
                field = ReceptiveField(rows, columns, tuple(field["whole"]))
            request = said.pop("request")
            height, width = request.pop("sides")
            asked = Request(**request, sides=(height, width))
            found = cls(request=asked, field=field, **said)
            if found.shard != size:
                raise ValueError(f"its shards hold {size} photographs, not {found.shard}")
            return found
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{folder} is no index that can be used: {error}. Remove the folder; the next run"
                " builds it anew."
            ) from error
