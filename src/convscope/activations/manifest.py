"""What an activation index is of: the request that names its folder, and the shape of a map."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.models.receptive_field import Axis, ReceptiveField
from convscope.tracking.whole import canonical, sealed, unsealed

if TYPE_CHECKING:
    from convscope.data.views import Fit


MANIFEST = "manifest.json"
FORMAT = 2  # of the files; another one is another index
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
        size: pixels of the square that the network sees.
        fit: how a photograph becomes that square.
        files: SHA-256 of the listing of the photographs.
        count: how many there are.
        versions: of the packages that decode and compute, and of the format.
    """

    model: str
    weights: str
    preprocess: str
    layer: str
    size: int
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
    *, model: str, weights: str, preprocess: str, layer: str, size: int, fit: Fit, files: bytes
) -> Request:
    """Return a request for the photographs of a listing, with the versions installed here."""
    versions = {name: metadata.version(name) for name in PACKAGES} | {"format": str(FORMAT)}
    digest = hashlib.sha256(files).hexdigest()
    count = files.count(b"\n")
    return Request(model, weights, preprocess, layer, size, fit, digest, count, versions)


@dataclass(frozen=True)
class Manifest:
    """What an index holds.

    Attributes:
        request: what decides its content.
        filters: of the layer.
        rows: of the layer's map.
        columns: of the layer's map.
        field: what a position sees; None: the whole square.
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
        """How many photographs a shard holds; the last one may hold fewer."""
        return shard_size(self.request.count)

    @property
    def content(self) -> bytes:
        """What stands in the manifest's file."""
        return sealed({**asdict(self), "shard": self.shard})

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
                rows, columns = Axis(**field["rows"]), Axis(**field["columns"])
                field = ReceptiveField(rows, columns, tuple(field["whole"]))
            found = cls(request=Request(**said.pop("request")), field=field, **said)
            if found.shard != size:
                raise ValueError(f"its shards hold {size} photographs, not {found.shard}")
            return found
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{folder} is no index that can be used: {error}. Remove the folder; the next run"
                " builds it anew."
            ) from error


def shard_size(count: int) -> int:
    """Return how many photographs a shard holds; the same for every job, from their number alone.

    Small enough that an interrupted pass loses little and many jobs find work, large enough that a
    question about a million photographs opens few files.
    """
    return min(MOST, max(STEP, -(-count // (PARTS * STEP)) * STEP))
