"""Where everything a run finds goes: files first, Weights & Biases at the same time.

The files are complete without W&B, and all that W&B writes lies inside the run's folder too.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from convscope.settings import TrackerSettings
from convscope.text import one_line
from convscope.tracking.files import picture, plain, relative
from convscope.tracking.wandb import Run, wandb_within

HOLD = 1500  # milliseconds that an animation rests on its last frame
SECONDS_BETWEEN_LINES = 10.0  # of progress, where no terminal can show a bar


class Tracker:
    """The results of one run: written as files, each whole, then shown to W&B if it takes part.

    Attributes:
        directory: where the files lie.
        written: those that are finished, in the order they were first written.
        resumes: whether the same command would go on from what is finished; a stage says so.
    """

    def __init__(self, directory: Path, run: Run | None = None, flat: bool = False) -> None:
        """Write into `directory`, which must exist; `run` is that of W&B, if it takes part.

        Where it is `flat`, there are no folders for images and the like.
        """
        self.directory, self._flat, self._run = directory, flat, run
        self.written: list[Path] = []
        self.resumes = False
        self._console = Console(highlight=False, markup=False)
        self._summary: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def append(self, name: str, values: Mapping[str, object]) -> None:
        """Add a line to the JSON lines file `name`; it is on the disk when this returns."""
        self.line(name, json.dumps(plain(values)))

    def line(self, name: str, text: str) -> None:
        """Add one line to a text file; it is on the disk when this returns."""
        with self._writing(self.directory / name) as path, path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add a line to `metrics.jsonl`, and a point to each curve in W&B."""
        self.append("metrics.jsonl", {"step": step} | dict(values))
        self._show(lambda run: run.log(values, step))

    def image(
        self,
        name: str,
        image: np.ndarray,
        text: Mapping[str, str] | None = None,
        *,
        shown: bool = True,
    ) -> Path:
        """Write `images/<name>.png` and return its path.

        Args:
            name: the file's name, without folder and ending.
            image: uint8 `(height, width, 3)`.
            text: what the file itself says about where it comes from, as PNG's text chunks.
            shown: whether W&B gets the image too. Hundreds of them are better shown as a table.
        """
        from PIL.PngImagePlugin import PngInfo  # here: a question to an index needs no pictures

        buffer, info = io.BytesIO(), PngInfo()
        for key, value in (text or {}).items():
            # What the format asks of a keyword, without the few letters beyond ASCII.
            if len(key) > 79 or not re.fullmatch(r"[!-~]+( [!-~]+)*", key):
                raise ValueError(
                    f"{key!r} cannot name a text in an image. It takes up to 79 ASCII characters,"
                    " with single spaces between them."
                )
            info.add_text(key, value)
        picture(name, image).save(buffer, "PNG", pnginfo=info)
        path = self._write(f"images/{_checked(name)}.png", buffer.getvalue())
        if shown:
            self._show(lambda run: run.image(name, path))
        return path

    def animation(self, name: str, frames: np.ndarray, milliseconds: int) -> Path:
        """Write `images/<name>.webp`, which repeats for ever and rests on its last frame.

        Args:
            name: the file's name, without folder and ending.
            frames: uint8 `(frames, height, width, 3)`.
            milliseconds: how long each frame but the last is shown.
        """
        if frames.ndim != 4 or not len(frames) or milliseconds < 1:
            raise ValueError(
                f"Animation {name!r} has frames of shape {frames.shape}, {milliseconds} ms each. It"
                " must be uint8 of shape (frames, height, width, 3), each at least 1 ms."
            )
        first, *others = [picture(name, frame) for frame in frames]
        times = [milliseconds] * len(others) + [max(HOLD, milliseconds)]
        buffer, how = io.BytesIO(), {"quality": 85, "method": 4}
        first.save(
            buffer, "WEBP", save_all=True, append_images=others, duration=times, loop=0, **how
        )
        path = self._write(f"images/{_checked(name)}.webp", buffer.getvalue())
        self._show(lambda run: run.animation(name, path))
        return path

    def records(
        self,
        name: str,
        rows: Sequence[Mapping[str, object]],
        pictures: Mapping[str, Sequence[np.ndarray]] | None = None,
    ) -> None:
        """Write a table of rows that all have the same keys; one without rows is not written."""
        if rows:
            self.table(name, list(rows[0]), [list(row.values()) for row in rows], pictures)

    def table(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        pictures: Mapping[str, Sequence[np.ndarray]] | None = None,
    ) -> Path:
        """Write `tables/<name>.csv`; None and numbers that are not finite are empty cells.

        Args:
            name: the file's name, without folder and ending.
            columns: the header.
            rows: one sequence of cells for each row.
            pictures: further columns for W&B alone, with a uint8 image `(height, width, 3)` a row.

        Returns:
            The path of the file.

        Raises:
            ValueError: a row is not as long as the header, or a column of pictures as the table.
        """
        for number, row in enumerate(rows):
            if len(row) != len(columns):
                raise ValueError(
                    f"Row {number} of table {name!r} has {len(row)} cells. The header has"
                    f" {len(columns)}."
                )
        drawn = {}
        for key, column in (pictures or {}).items():
            if len(column) != len(rows):
                raise ValueError(
                    f"Picture column {key!r} of table {name!r} has {len(column)} pictures. The"
                    f" table has {len(rows)} rows."
                )
            drawn[key] = [picture(key, item) for item in column]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([columns, *([_cell(cell) for cell in row] for row in rows)])
        path = self._write(f"tables/{_checked(name)}.csv", text.getvalue().encode())
        self._show(lambda run: run.table(name, columns, [plain(row) for row in rows], drawn))
        return path

    def array(self, name: str, **arrays: np.ndarray) -> Path:
        """Write `arrays/<name>.npz` and return its path."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return self._write(f"arrays/{_checked(name)}.npz", buffer.getvalue())

    def document(self, name: str, content: object) -> Path:
        """Write `<name>.json` and return its path; NaN and infinities are null."""
        text = json.dumps(plain(content), indent=2, allow_nan=False, ensure_ascii=False)
        return self._write(f"{_checked(name)}.json", f"{text}\n".encode())

    def page(self, name: str, html: str) -> Path:
        """Write `<name>.html` and return its path."""
        path = self._write(f"{_checked(name)}.html", html.encode())
        self._show(lambda run: run.page(name, html))
        return path

    def copy(self, name: str, source: Path) -> Path:
        """Write the file `name`, like `images/a.webp`, with the content of another."""
        return self._write(name, source.read_bytes())

    def reference(self, name: str, kind: str, place: Path, facts: Mapping[str, object]) -> None:
        """Name a file or folder outside the run to W&B, as an artifact that is not uploaded.

        Args:
            name: the artifact's name.
            kind: W&B's type of it.
            place: the file or folder.
            facts: what W&B shows with it.
        """
        self._show(lambda run: run.reference(name, kind, place, plain(facts)))

    def summarize(self, values: Mapping[str, object]) -> None:
        """Merge results and provenance into `summary.json`; W&B gets the scalars of them."""
        self._summary |= plain(values)
        kinds = bool | int | float | str
        scalars = {key: value for key, value in plain(values).items() if isinstance(value, kinds)}
        self._show(lambda run: run.summarize(scalars))

    def say(self, line: str) -> None:
        """Show a line on the terminal and keep it in `run.log`."""
        with suppress(SystemExit):  # of rich, when nobody reads on (| head); the run goes on
            self._console.print(line, soft_wrap=True)
        self.line("run.log", line)

    @contextmanager
    def timer(self, name: str) -> Iterator[None]:
        """Add the seconds inside to `seconds` of the summary."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + spent

    @contextmanager
    def progress(self, description: str, total: int) -> Iterator[Callable[..., None]]:
        """Yield `update(completed, note="")`, which moves a bar or, without terminal, says a line.

        Either way one last line stays: how far it came, the last note, the seconds it took.
        """
        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        task = bar.add_task(description, total=total, note="")
        start = shown = time.perf_counter()
        line = f"{description} 0/{total}"

        def update(completed: int, note: str = "") -> None:
            nonlocal shown, line
            line = "  ".join(filter(None, [f"{description} {completed}/{total}", note]))
            bar.update(task, completed=completed, note=note)
            if bar.disable and time.perf_counter() - shown > SECONDS_BETWEEN_LINES:
                shown = time.perf_counter()
                left = (shown - start) / max(completed, 1) * (total - completed)
                self.say(f"{line}  {_duration(left)} left")

        with bar:
            yield update
        self.say(f"{line}  {time.perf_counter() - start:.1f} s")

    def close(self, status: str) -> None:
        """Write `summary.json` with `status`, the versions of what took part, and the seconds."""
        spent = {"total": time.perf_counter() - self._start} | self._seconds
        seconds = {name: round(value, 3) for name, value in spent.items()}
        parts = {"status": status, "versions": _versions(), "seconds": seconds}
        self.document("summary", self._summary | parts)
        flat = {f"seconds/{name}": value for name, value in seconds.items()} | {"status": status}
        self._show(lambda run: run.summarize(flat))

    def _write(self, name: str, content: bytes) -> Path:
        path = self.directory / (Path(name).name if self._flat else name)
        partial = path.with_name(f".{path.name}.partial")
        with self._writing(path):
            path.parent.mkdir(exist_ok=True)
            try:
                partial.write_bytes(content)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        return path

    @contextmanager
    def _writing(self, path: Path) -> Iterator[Path]:
        """Remember a file that is written inside; say what to do where that fills the disk."""
        try:
            yield path
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OSError(
                f"The disk of {relative(self.directory)} is full. Free some space, or give a folder"
                " on another disk with outputs=PATH, and start again. What was finished is kept."
            ) from error
        if path not in self.written:
            self.written.append(path)

    def _show(self, send: Callable[[Run], object]) -> None:
        """Show something to W&B. Its process may die; the run goes on without it."""
        if (run := self._run) is None:
            return
        try:
            send(run)
        except run.errors as error:
            self._run = None
            self.say(f"W&B takes no more results ({one_line(error)}). The files go on.")


@contextmanager
def track(
    directory: Path,
    settings: TrackerSettings,
    *,
    config: Mapping[str, object],
    stage: str,
    name: str,
    group: str | None,
    tags: Sequence[str],
    flat: bool = False,
) -> Iterator[Tracker]:
    """Yield the tracker of a run. On leaving, however, the summary is written and W&B's run ends.

    Args:
        directory: the run's folder. W&B's files lie in `wandb/` inside.
        settings: whether W&B takes part, and how.
        config: what W&B shows as the run's configuration.
        stage: W&B's job type.
        name: W&B's name for the run.
        group: W&B's group for the run, unless the settings name one.
        tags: W&B's tags, beside those of the settings.
        flat: whether tables and images lie in the folder itself.

    Raises:
        FileExistsError: the folder already holds a run.
        ConnectionError: W&B did not start.
    """
    if any((directory / old).exists() for old in ("summary.json", "metrics.jsonl")):
        raise FileExistsError(f"{relative(directory)} already holds a run. Give another folder.")
    directory.mkdir(parents=True, exist_ok=True)
    with wandb_within(directory, settings) as start:
        run = start(config=dict(config), job_type=stage, name=name, group=group, tags=tags)
        tracker = Tracker(directory, run, flat)
        code = 0
        try:
            yield tracker
            tracker.close("done")
        except BaseException as error:
            code = 130 if isinstance(error, KeyboardInterrupt) else 1
            with suppress(OSError):  # a full disk must not hide the error itself
                tracker.close("interrupted" if code == 130 else "failed")
            raise
        finally:
            last = run.finish(code) if run else []
        pages = [directory / name for name in ("report.html", "sweep.html")]
        reports = [f"Report  {relative(page)}" for page in pages if page.exists()]
        for line in (*reports, f"Folder  {relative(directory)}", *last):
            tracker.say(line)


def _duration(seconds: float) -> str:
    """Return a time in words that are as exact as an estimate is."""
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _versions() -> dict[str, str]:
    names = ("tensorflow", "keras", "numpy", "wandb")
    found = {"convscope": version("convscope"), "python": platform.python_version()}
    return found | {name: version(name) for name in names if name in sys.modules}


def _cell(value: object) -> object:
    value = plain(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def _checked(name: str) -> str:
    if not re.fullmatch(r"\w[\w.+:-]*", name):
        raise ValueError(f"{name!r} cannot name a file. It takes letters, digits and _ . + : -")
    return name
