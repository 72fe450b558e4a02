"""Where everything a run finds goes: files first, Weights & Biases at the same time.

The files are complete without W&B, and all that W&B writes lies inside the run's folder too.
"""

from __future__ import annotations

import platform
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
from convscope.tracking.files import Folder, picture, plain, relative
from convscope.tracking.wandb import Run, wandb_within

SECONDS_BETWEEN_LINES = 10.0  # of progress, where no terminal can show a bar


class Tracker(Folder):
    """The results of one run: written as files, then shown to W&B if it takes part.

    Attributes:
        resumes: whether the same command would go on from what is finished; a stage says so.
    """

    def __init__(self, directory: Path, run: Run | None = None, flat: bool = False) -> None:
        """Write into `directory`, which must exist; `run` is that of W&B, if it takes part."""
        super().__init__(directory, flat)
        self.resumes = False
        self._run = run
        self._console = Console(highlight=False, markup=False)
        self._summary: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._start = time.perf_counter()

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
        path = super().image(name, image, text)
        if shown:
            self._show(lambda run: run.image(name, path))
        return path

    def animation(self, name: str, frames: np.ndarray, milliseconds: int) -> Path:
        """Write `images/<name>.webp`, as `Folder.animation` does, and show it."""
        path = super().animation(name, frames, milliseconds)
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
        drawn = {}
        for key, column in (pictures or {}).items():
            if len(column) != len(rows):
                raise ValueError(
                    f"Picture column {key!r} of table {name!r} has {len(column)} pictures. The"
                    f" table has {len(rows)} rows."
                )
            drawn[key] = [picture(key, item) for item in column]
        path = super().table(name, columns, rows)
        self._show(lambda run: run.table(name, columns, [plain(row) for row in rows], drawn))
        return path

    def page(self, name: str, html: str) -> Path:
        """Write `<name>.html` and return its path."""
        path = super().page(name, html)
        self._show(lambda run: run.page(name, html))
        return path

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
