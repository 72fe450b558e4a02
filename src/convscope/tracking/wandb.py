"""Weights & Biases: a run of it, which a tracker shows what it has written.

All that W&B writes lies inside the run's folder too.
"""

from __future__ import annotations

import base64
import os
import shlex
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.settings import FilesTracker, TrackerSettings
from convscope.text import one_line
from convscope.tracking.files import relative

if TYPE_CHECKING:
    from PIL import Image

SECONDS_TO_CONNECT = 30.0  # then W&B is taken to be out of reach


class Run:
    """A run of W&B. What its process cannot take any more ends in one of `errors`."""

    def __init__(self, run: Any) -> None:
        """Take what `wandb.init` gives."""
        self._run, self._wandb = run, sys.modules["wandb"]
        self._curves: set[str] = set()
        self.errors = (OSError, self._wandb.errors.Error)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""
        for name in values.keys() - self._curves:
            # Not wandb's own step=, which drops every point that comes late.
            self._run.define_metric(name, step_metric="step")
            self._curves.add(name)
        self._run.log({"step": step} | {name: float(value) for name, value in values.items()})

    def image(self, name: str, path: Path) -> None:
        """Show an image file."""
        self._run.log({f"images/{name}": self._wandb.Image(str(path))})

    def animation(self, name: str, path: Path) -> None:
        """Show a WebP: W&B's videos are none, but a page shows one, in every browser."""
        data = base64.b64encode(path.read_bytes()).decode()
        self.page(
            f"animations/{name}",
            f'<!DOCTYPE html><meta charset="utf-8"><img alt="{name}" style="max-width:100%"'
            f' src="data:image/webp;base64,{data}">',
        )

    def table(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        pictures: Mapping[str, Sequence[Image.Image]],
    ) -> None:
        """Show a table, with further columns of pictures."""
        drawn = ([self._wandb.Image(item) for item in column] for column in pictures.values())
        data = [[*row, *more] for row, *more in zip(rows, *drawn, strict=True)]
        self._run.log(
            {f"tables/{name}": self._wandb.Table(columns=[*columns, *pictures], data=data)}
        )

    def page(self, name: str, html: str) -> None:
        """Show a page, without the style sheet from the network that W&B would give it."""
        self._run.log({name: self._wandb.Html(html, inject=False, data_is_not_path=True)})

    def reference(self, name: str, kind: str, place: Path, facts: Mapping[str, object]) -> None:
        """Name a file or folder outside the run, as an artifact that is not uploaded."""
        # Without checksums, for which gigabytes would be read; the folder has its own.
        artifact = self._wandb.Artifact(name, type=kind, metadata=facts)
        artifact.add_reference(place.resolve().as_uri(), checksum=False)
        self._run.log_artifact(artifact)

    def summarize(self, values: Mapping[str, object]) -> None:
        """Merge scalars into the summary."""
        self._run.summary.update(values)

    def finish(self, code: int) -> list[str]:
        """End with an exit code and return the line that says how to see the run."""
        home = Path(self._run.dir).parent
        page = None if self._run.settings.mode == "offline" else self._run.url
        try:
            # Not `with run`: that prints the traceback, and knows no exit code but 0 and 1.
            self._run.finish(exit_code=code)
            _end_service()
        except self.errors as error:
            return [f"W&B     did not finish ({one_line(error)}). The files are complete."]
        if page:
            return [f"W&B     {page}"]
        # W&B says nothing when the disk fills up: its file just ends in the middle.
        place = relative(home)
        if not any(has_exit_record(path) for path in home.glob("run-*.wandb")):
            return [f"W&B     {place} is incomplete; is the disk full? The files are complete."]
        return [f"W&B     offline; this uploads it: wandb sync {shlex.quote(place)}"]


@contextmanager
def wandb_within(directory: Path, settings: TrackerSettings) -> Iterator[Callable[..., Run | None]]:
    """Yield the function that starts a W&B run whose every file lies in `directory`."""
    if isinstance(settings, FilesTracker) or settings.mode == "disabled":
        yield lambda **_: None
        return
    home = directory.resolve() / "wandb"
    # Pictures of tables are staged in the data folder, by default in HOME, and uploaded from there.
    folders = {"WANDB_DATA_DIR": str(home / "data"), "WANDB_CACHE_DIR": str(home / "cache")}
    ours = {key: os.environ.get(key) or folder for key, folder in folders.items()}
    # Set here and not only as arguments, for the parts of W&B that read nothing else.
    ours |= {"WANDB_MODE": settings.mode, "WANDB_SILENT": "true"}
    before = {key: os.environ.get(key) for key in ours}
    os.environ.update(ours)
    try:
        import wandb  # takes most of a second

        def start(*, group: str | None, tags: Sequence[str], **arguments: Any) -> Run:
            # Made anew for each run: the id of the run stays in it.
            quiet = wandb.Settings(
                mode=settings.mode,
                silent=True,
                console="off",
                init_timeout=SECONDS_TO_CONNECT,
                x_transaction_log_flush_interval=2,
            )
            arguments |= {"project": settings.project, "group": settings.group or group}
            short = [tag[:64] for tag in tags]  # it takes no longer ones
            try:
                made = wandb.init(
                    dir=directory, settings=quiet, tags=[*short, *settings.tags], **arguments
                )
            except ValueError as error:  # of pydantic: some value is not to W&B's taste
                details = [str(item["msg"]) for item in getattr(error, "errors", list)()]
                why = "; ".join(details) or str(error)
                raise ConnectionError(f"W&B did not start: {why}") from error
            except (wandb.errors.Error, OSError) as error:
                why = str(error).partition("\n")[0].rstrip(".")
                way_out = ""
                if isinstance(error, wandb.errors.CommError) or "API key" in why:
                    way_out = " Without its server: tracker.mode=offline, or tracker=files."
                raise ConnectionError(f"W&B did not start: {why}.{way_out}") from error
            return Run(made)

        yield start
    finally:
        _end_service()
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def _end_service() -> None:
    """Wait for W&B's process to end.

    Until then its file may lack the last records, and the next run would be given the same process
    and with it the folders of this one.
    """
    if wandb := sys.modules.get("wandb"):
        with suppress(OSError, wandb.errors.Error, SystemExit):  # it exits as its process did
            wandb.teardown()


def has_exit_record(path: Path) -> bool:
    """Return whether a .wandb file was written to its end.

    After 7 bytes it is a LevelDB log: blocks of 32 KiB, filled with parts that have a header of
    checksum, length and type (1 whole, 2 first, 3 middle, 4 last part of a protobuf message).
    """
    from wandb.proto import wandb_internal_pb2

    data, place, message = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (room := 32768 - place % 32768) < 7:
            place += room
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        part = data[place + 7 : place + 7 + size]
        if kind not in (1, 2, 3, 4) or len(part) < size:
            return False
        place += 7 + size
        message = part if kind in (1, 2) else message + part
        if kind in (1, 4) and wandb_internal_pb2.Record.FromString(message).HasField("exit"):
            return True
    return False
