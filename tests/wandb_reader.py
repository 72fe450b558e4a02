"""Read W&B's offline file back, without the client that wrote it."""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK = 32768
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class OfflineRun:
    """What one .wandb file holds: config, history, summary, metrics, tables, exit code."""

    def __init__(self, folder: Path) -> None:
        (self.path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
        self.files = self.path.parent / "files"
        self.project = self.group = self.job_type = self.name = ""
        self.tags: list[str] = []
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.step_metrics: dict[str, str] = {}
        self.artifact_files: list[dict[str, Path]] = []
        self.references: dict[str, dict[str, str]] = {}
        self.exit_code: int | None = None
        for record in records(self.path):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            self.project, self.group = run.project, run.run_group
            self.job_type, self.name, self.tags = run.job_type, run.display_name, list(run.tags)
            self.config |= {item.key: json.loads(item.value_json) for item in run.config.update}
        elif kind == "history":
            self.history.append(_nested(record.history.item))
        elif kind == "summary":
            self.summary |= _nested(record.summary.update)
        elif kind == "metric":
            self.step_metrics[record.metric.name] = record.metric.step_metric
        elif kind == "artifact":
            contents = record.artifact.manifest.contents
            self.artifact_files.append({item.path: Path(item.local_path) for item in contents})
            self.references[record.artifact.name] = {item.path: item.ref for item in contents}
        elif kind == "exit":
            self.exit_code = record.exit.exit_code

    def logged(self, key: str) -> Any:
        """Return the last value logged under a key."""
        return [row[key] for row in self.history if key in row][-1]

    def table(self, key: str) -> dict[str, Any]:
        """Return a logged table as it is uploaded, its pictures being references to files."""
        files = next(files for files in self.artifact_files if f"{key}.table.json" in files)
        content: dict[str, Any] = json.loads(files[f"{key}.table.json"].read_text())
        return content


def records(path: Path) -> Iterator[Any]:
    """Yield the protobuf records of a LevelDB log, each part's checksum checked."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    offset, message = 7, b""
    while offset + 7 <= len(data):
        room = BLOCK - offset % BLOCK
        if room < 7:  # too little for a header: the rest of the block is padding
            offset += room
            continue
        checksum, size, kind = struct.unpack_from("<IHB", data, offset)
        part = data[offset + 7 : offset + 7 + size]
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or len(part) < size:
            return
        assert zlib.crc32(bytes([kind]) + part) == checksum
        offset += 7 + size
        message = part if kind in (WHOLE, FIRST) else message + part
        if kind in (WHOLE, LAST):
            yield wandb_internal_pb2.Record.FromString(message)


def _nested(items: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for item in items:
        *groups, last = item.nested_key or [item.key]
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = json.loads(item.value_json)
    return tree
