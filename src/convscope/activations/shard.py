"""Shards of an activation index: what some photographs did to a layer, in a folder of its own.

A shard is written beside its place and renamed into it: it is there whole or not at all, whatever
stops its writer. Of several writers the first one stays.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convscope.activations.statistics import BINS, Peaks
from convscope.tracking.files import save, scratch, sealed, settle, unsealed

HALF = 65504.0  # the largest float16
RECORD = "shard.json"


@dataclass(frozen=True)
class Layout:
    """The arrays of one shard.

    Attributes:
        number: of the shard, from 0.
        first: place of its first photograph in the whole sequence.
        count: photographs in it.
        filters: of the layer.
        rows: of the layer's map.
        columns: of the layer's map.
    """

    number: int
    first: int
    count: int
    filters: int
    rows: int
    columns: int

    @cached_property
    def arrays(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and number format of each array; those with filters are unit-major."""
        place = np.dtype(np.uint8 if max(self.rows, self.columns) <= 256 else np.uint16)
        units = (self.filters, self.count)
        return {
            "peak": (units, np.dtype(np.float16)),
            "row": (units, place),
            "column": (units, place),
            "mean": (units, np.dtype(np.float16)),
            "histogram": ((self.filters, BINS), np.dtype(np.uint32)),
            "digest": ((self.count, 32), np.dtype(np.uint8)),
            "size": ((self.count, 2), np.dtype(np.uint32)),
        }


class Draft:
    """A shard in memory that fills batch by batch, until it is written."""

    def __init__(self, layout: Layout) -> None:
        """Begin with nothing known: NaN for activations, zero for the rest."""
        self.layout = layout
        self.arrays = {name: np.zeros(*how) for name, how in layout.arrays.items()}
        self.arrays["peak"][:] = self.arrays["mean"][:] = np.nan
        self.skipped: dict[int, str] = {}
        self.clipped = 0
        self._due = np.ones(layout.count, bool)

    def add(
        self,
        places: Sequence[int],
        peaks: Peaks,
        digests: Sequence[bytes],
        sizes: Sequence[tuple[int, int]],
    ) -> None:
        """Take in what some photographs did.

        Args:
            places: of the photographs in the whole sequence.
            peaks: what the layer's filters do on them.
            digests: SHA-256 of each file.
            sizes: height and width of each original.

        Raises:
            ValueError: an activation is no finite number.
        """
        if not (np.isfinite(peaks.values).all() and np.isfinite(peaks.means).all()):
            raise ValueError(
                f"Among photographs {min(places)} to {max(places)} there are activations that are"
                " no finite numbers. An index cannot hold them."
            )
        at = np.asarray(places) - self.layout.first
        for name, values in (("peak", peaks.values), ("mean", peaks.means)):
            self.clipped += int((np.abs(values) > HALF).sum())
            self.arrays[name][:, at] = np.clip(values, -HALF, HALF).T
        self.arrays["row"][:, at], self.arrays["column"][:, at] = peaks.rows.T, peaks.columns.T
        self.arrays["histogram"] += peaks.histogram.astype(np.uint32)
        self.arrays["digest"][at] = [np.frombuffer(digest, np.uint8) for digest in digests]
        self.arrays["size"][at] = sizes
        self._due[at] = False

    def skip(self, place: int, reason: str) -> None:
        """Note that a photograph was set aside, and why."""
        self.skipped[place] = reason
        self._due[place - self.layout.first] = False

    def write(self, folder: Path) -> bool:
        """Write the shard as `folder`, on the disk before this returns.

        Returns:
            Whether it is this one that stands there now, not one that another job wrote before.

        Raises:
            ValueError: some photographs are neither in it nor set aside.
        """
        if self._due.any():
            missing = self.layout.first + np.flatnonzero(self._due)
            raise ValueError(
                f"Shard {self.layout.number} lacks {len(missing)} of {self.layout.count}"
                f" photographs, the first of them {missing[0]}."
            )
        with scratch(folder.parent, folder.name) as partial:
            sums = {}
            for name, values in self.arrays.items():
                np.save(content := io.BytesIO(), values)
                sums[name] = hashlib.sha256(content.getvalue()).hexdigest()
                save(partial / f"{name}.npy", content.getvalue())
            record = {
                "number": self.layout.number,
                "first": self.layout.first,
                "count": self.layout.count,
                "clipped": self.clipped,
                "skipped": {str(place): self.skipped[place] for place in sorted(self.skipped)},
                "sha256": sums,
            }
            save(partial / RECORD, sealed(record))
            return settle(partial, folder)


def record(folder: Path) -> dict[str, Any]:
    """Return what `shard.json` says of a shard.

    Raises:
        ValueError: it is missing or damaged.
    """
    return unsealed(folder / RECORD)


def complaint(folder: Path, layout: Layout) -> str:
    """Return what is wrong with a shard, checksums included; "" for nothing."""
    try:
        said = record(folder)
        if any(said[name] != getattr(layout, name) for name in ("number", "first", "count")):
            return f"{RECORD} is of shard {said['number']}, photographs from {said['first']} on"
        for name in layout.arrays:
            content = (folder / f"{name}.npy").read_bytes()
            if hashlib.sha256(content).hexdigest() != said["sha256"][name]:
                return f"{name}.npy is not what was written: its SHA-256 is another"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read: {error.strerror}"
    except (ValueError, KeyError) as error:
        return str(error)
    return ""


def discard(folder: Path) -> None:
    """Remove a damaged shard, so that it counts as missing, unless another job has removed it."""
    with scratch(folder.parent, folder.name) as aside, suppress(FileNotFoundError):
        folder.rename(aside / "damaged")


def array(folder: Path, name: str, layout: Layout) -> np.ndarray:
    """Return an array of a shard, mapped: only what is asked of it is read from the disk.

    Raises:
        FileNotFoundError: the shard is missing.
        ValueError: the file is not the array that belongs here.
    """
    path, (shape, dtype) = folder / f"{name}.npy", layout.arrays[name]
    try:
        found = np.load(path, mmap_mode="r")
        whole = path.stat().st_size == found.offset + found.nbytes
    except (ValueError, EOFError):
        whole = False
    if not whole or (found.shape, found.dtype) != (shape, dtype):
        raise ValueError(
            f"{path} is damaged: it is no array {shape} of {dtype}. Remove its folder and start"
            " again; the pass over the photographs fills the gap."
        )
    return found
