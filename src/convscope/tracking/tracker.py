"""Where everything a run finds goes: files first, Weights & Biases at the same time.

The files are complete without W&B, and all that W&B writes lies inside the run's folder too.
"""

from __future__ import annotations

import base64
import json
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
from convscope.tracking.wandb import _finish, _wandb_within

SECONDS_BETWEEN_LINES = 10.0  # of progress, where no terminal can show a bar


class Tracker:
    """The results of one run: written as files, then shown to W&B if it takes part.

    Attributes:
        directory: the folder of the run.
        resumes: whether the same command would go on from what is finished; a stage says so.
    """

    def __init__(self, directory: Path, run: Any = None, flat: bool = False) -> None:
        """Write into `directory`, which must exist; `run` is W&B's object or None."""
        self.directory = directory
        self.resumes = False
        self._folder = Folder(directory, flat)
        self._run = run
        self._console = Console(highlight=False, markup=False)
        self._curves: set[str] = set()
        self._summary: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @property
    def written(self) -> list[Path]:
        """The files that are finished, in the order they were first written."""
        return list(self._folder.written)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add a line to `metrics.jsonl`, and a point to each curve in W&B."""
        self._folder.append("metrics.jsonl", json.dumps({"step": step} | plain(values)))

        def send(run: Any, _: Any) -> None:
            for name in values.keys() - self._curves:
                # Not wandb's own step=, which drops every point that comes late.
                run.define_metric(name, step_metric="step")
                self._curves.add(name)
            run.log({"step": step} | {name: float(value) for name, value in values.items()})

        self._show(send)

    def image(
        self,
        name: str,
        image: np.ndarray,
        *,
        text: Mapping[str, str] | None = None,
        shown: bool = True,
    ) -> Path:
        """Write `images/<name>.png` and return its path.

        Args:
            name: the file's name, without folder and ending.
            image: uint8 `(height, width, 3)`.
            text: what the file itself says about where it comes from, as PNG's text chunks.
            shown: whether W&B gets the image too. Hundreds of them are better shown as a table.
        """
        path = self._folder.image(name, image, text)
        if shown:
            self._show(lambda run, wandb: run.log({f"images/{name}": wandb.Image(str(path))}))
        return path

    def animation(self, name: str, frames: np.ndarray, milliseconds: int) -> Path:
        """Write `images/<name>.webp`, which repeats for ever, and return its path.

        Args:
            name: the file's name, without folder and ending.
            frames: uint8 `(frames, height, width, 3)`.
            milliseconds: how long each frame is shown; the last stays longer.
        """
        path = self._folder.animation(name, frames, milliseconds)

        def send(run: Any, wandb: Any) -> None:
            # W&B's videos are no WebP, and making others takes further packages. A page does show
            # one, in every browser.
            data = base64.b64encode(path.read_bytes()).decode()
            html = (
                f'<!DOCTYPE html><meta charset="utf-8"><img alt="{name}" style="max-width:100%"'
                f' src="data:image/webp;base64,{data}">'
            )
            page = wandb.Html(html, inject=False, data_is_not_path=True)
            run.log({f"animations/{name}": page})

        self._show(send)
        return path

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
        drawn = []
        for key, column in (pictures or {}).items():
            if len(column) != len(rows):
                raise ValueError(
                    f"Picture column {key!r} of table {name!r} has {len(column)} pictures. The"
                    f" table has {len(rows)} rows."
                )
            drawn.append([picture(key, item) for item in column])
        path = self._folder.table(name, columns, rows)

        def send(run: Any, wandb: Any) -> None:
            data = [plain(row) for row in rows]
            for column in drawn:
                data = [[*row, wandb.Image(item)] for row, item in zip(data, column, strict=True)]
            header = [*columns, *(pictures or ())]
            run.log({f"tables/{name}": wandb.Table(columns=header, data=data)})

        self._show(send)
        return path

    def array(self, name: str, **arrays: np.ndarray) -> Path:
        """Write `arrays/<name>.npz` and return its path."""
        return self._folder.array(name, **arrays)

    def append(self, name: str, values: Mapping[str, object]) -> None:
        """Add a line to the JSON lines file `name`; it is on the disk when this returns."""
        self._folder.append(name, json.dumps(plain(values)))

    def copy(self, name: str, source: Path) -> Path:
        """Write the file `name`, like `images/a.webp`, with the content of another."""
        return self._folder.copy(name, source)

    def document(self, name: str, content: object) -> Path:
        """Write `<name>.json` and return its path."""
        return self._folder.document(name, content)

    def page(self, name: str, html: str) -> Path:
        """Write `<name>.html` and return its path."""
        path = self._folder.page(name, html)
        # Without inject=False the page would be given a style sheet from the network.
        self._show(
            lambda run, wandb: run.log(
                {name: wandb.Html(html, inject=False, data_is_not_path=True)}
            )
        )
        return path

    def reference(self, name: str, kind: str, place: Path, facts: Mapping[str, object]) -> None:
        """Name a file or folder outside the run to W&B, as an artifact that is not uploaded.

        Args:
            name: the artifact's name.
            kind: W&B's type of it.
            place: the file or folder.
            facts: what W&B shows with it.
        """

        def send(run: Any, wandb: Any) -> None:
            # Without checksums, for which gigabytes would be read; the folder has its own.
            artifact = wandb.Artifact(name, type=kind, metadata=plain(facts))
            artifact.add_reference(place.resolve().as_uri(), checksum=False)
            run.log_artifact(artifact)

        self._show(send)

    def summarize(self, values: Mapping[str, object]) -> None:
        """Merge results and provenance into `summary.json`; W&B gets the scalars of them."""
        self._summary |= plain(values)
        kinds = bool | int | float | str
        scalars = {key: value for key, value in plain(values).items() if isinstance(value, kinds)}
        self._show(lambda run, _: run.summary.update(scalars))

    def say(self, line: str) -> None:
        """Show a line on the terminal and keeps it in `run.log`."""
        with suppress(SystemExit):  # of rich, when nobody reads on (| head); the run goes on
            self._console.print(line, soft_wrap=True)
        self._folder.append("run.log", line)

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
        self._folder.document("summary", self._summary | parts)
        flat = {f"seconds/{name}": value for name, value in seconds.items()} | {"status": status}
        self._show(lambda run, _: run.summary.update(flat))

    def _show(self, send: Callable[[Any, Any], object]) -> None:
        """Call `send(run, wandb)`. W&B's process may die; the run goes on without it."""
        if self._run is None:
            return
        wandb = sys.modules["wandb"]
        try:
            send(self._run, wandb)
        except (OSError, wandb.errors.Error) as error:
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
    for old in ("summary.json", "metrics.jsonl"):
        if (directory / old).exists():
            raise FileExistsError(
                f"{relative(directory)} already holds a run. Give another folder."
            )
    directory.mkdir(parents=True, exist_ok=True)
    with _wandb_within(directory, settings) as start:
        run = start(
            config=dict(config),
            job_type=stage,
            name=name,
            group=group,
            tags=tags,
        )
        tracker = Tracker(directory, run, flat)
        code = 1
        try:
            yield tracker
            tracker.close("done")
            code = 0
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            code = 130 if stopped else 1
            with suppress(OSError):  # a full disk must not hide the error itself
                tracker.close("interrupted" if stopped else "failed")
            raise
        finally:
            last = _finish(run, code)
        for line in (*closing_lines(directory), *last):
            tracker.say(line)


def closing_lines(directory: Path) -> list[str]:
    """Return where the report and the folder of a run are, as seen from the current folder."""
    pages = [directory / name for name in ("report.html", "sweep.html")]
    lines = [f"Report  {relative(page)}" for page in pages if page.exists()]
    return [*lines, f"Folder  {relative(directory)}"]


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
