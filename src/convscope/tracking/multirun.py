"""A multirun as its folder tells it: what each job was asked, how it ended, what it reached.

Jobs may run in other processes, and refused ones leave no folder. So each adds a line to
`jobs.jsonl` when it starts and one when it ends; the rest stands in its own `summary.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

JOBS = "jobs.jsonl"
ENDS = ("done", "failed", "refused", "interrupted")
COMPARABLE = 0.5  # share of a grid's cells that are filled; below it is no grid but a list
ACROSS = 10  # pictures in a row where no second value asks for a certain number


@dataclass(frozen=True)
class Job:
    """One run of a multirun.

    Attributes:
        number: from 0, in the order of their start.
        swept: its values of the settings that are not the same for all jobs.
        status: one of `ENDS`.
        why: one line for a job that failed or was refused, otherwise "".
        activation: what the unit reached in it; None unless the job is done.
        seconds: how long it took; None where it did not start.
        folder: relative to the sweep's; None: it left none.
        picture: the file of its main picture, relative to the sweep's folder.
        report: the file of its page, relative to the sweep's folder.
    """

    number: int
    swept: Mapping[str, object]
    status: str
    why: str = ""
    activation: float | None = None
    seconds: float | None = None
    folder: str | None = None
    picture: str | None = None
    report: str | None = None


@dataclass(frozen=True)
class Block:
    """Jobs in rows and columns.

    Attributes:
        titles: what all jobs of the block have in common, setting by setting.
        rows: a label for each row, "" where rows say nothing.
        columns: a label for each column.
        jobs: `jobs[row][column]`; None: there is none with these values.
    """

    titles: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    jobs: tuple[tuple[Job | None, ...], ...]


@dataclass(frozen=True)
class Grid:
    """All jobs laid out over their swept values.

    Attributes:
        down: the setting whose values label the rows, "" for none.
        across: the setting whose values label the columns, "" for none.
        blocks: one for each combination of the other settings.
    """

    down: str
    across: str
    blocks: tuple[Block, ...]

    @property
    def listed(self) -> bool:
        """Whether the jobs fill no grid and only stand in rows, each with its own values."""
        return not self.across


@dataclass(frozen=True)
class Sweep:
    """A multirun.

    Attributes:
        folder: where it lies.
        asked: what the command line said, override by override.
        fixed: the settings that it gave to all jobs alike, as text.
        jobs: in the order of their numbers.
    """

    folder: Path
    asked: tuple[str, ...]
    fixed: Mapping[str, str]
    jobs: tuple[Job, ...]

    @cached_property
    def values(self) -> dict[str, tuple[object, ...]]:
        """The values of each swept setting, in the order they were first used."""
        found: dict[str, dict[str, object]] = {}
        for job in self.jobs:
            for key, value in job.swept.items():
                found.setdefault(key, {}).setdefault(json.dumps(value), value)
        return {key: tuple(values.values()) for key, values in found.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """The swept settings, in the order of the command line."""
        return tuple(self.values)

    @cached_property
    def ranked(self) -> tuple[Job, ...]:
        """The jobs, highest activation first; those without one follow by number."""

        def key(job: Job) -> tuple[float, bool, int]:
            reached = -math.inf if job.activation is None else job.activation
            return -reached, job.status != "done", job.number

        return tuple(sorted(self.jobs, key=key))

    @property
    def best(self) -> Job | None:
        """The job with the highest activation."""
        return next((job for job in self.ranked if job.activation is not None), None)

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs ended in which way."""
        ended = [job.status for job in self.jobs]
        return {end: ended.count(end) for end in ENDS if end in ended}


def read(folder: Path) -> Sweep:
    """Return the multirun that lies in a folder, whoever has written it and however it ended.

    A last line that the end of a process cut short counts as not written. A job without a word on
    its end was stopped from outside.
    """
    head: dict[str, Any] = {}
    found: dict[int, dict[str, Any]] = {}
    path = folder / JOBS
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "job" in entry:
            found.setdefault(entry["job"], {}).update(entry)
        else:
            head |= entry
    jobs = tuple(_job(folder, number, found[number]) for number in sorted(found))
    return Sweep(folder, tuple(head.get("asked", ())), head.get("fixed", {}), jobs)


def activation(folder: Path) -> float | None:
    """Return what the unit reached in a run, or None where its stage measures nothing such."""
    values = outcome(folder)
    value = values.get(f"{values.get('stage')}/activation")
    return float(value) if value is not None and numbers([value]) else None


def outcome(folder: Path) -> dict[str, Any]:
    """Return the summary of a run; nothing where it was killed, or still goes on."""
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def rows(sweep: Sweep) -> tuple[list[str], list[list[object]]]:
    """Return the header and the rows of `sweep.csv`.

    Each column holds numbers or text and not both, as W&B asks of its tables.
    """
    columns: dict[str, list[object]] = {"job": [job.number for job in sweep.jobs]}
    for key in sweep.keys:
        columns[key] = _alike([job.swept.get(key) for job in sweep.jobs])
    for name in ("status", "activation", "seconds", "folder"):
        columns[name] = [getattr(job, name) for job in sweep.jobs]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def summary(sweep: Sweep) -> dict[str, object]:
    """Return what is to be said of the whole multirun."""
    found: dict[str, object] = {
        "stage": "sweep",
        "overrides": list(sweep.asked),
        "swept": {key: list(values) for key, values in sweep.values.items()},
        "sweep/jobs": len(sweep.jobs),
        **{f"sweep/{end}": sweep.counts.get(end, 0) for end in ENDS},
    }
    if best := sweep.best:
        found |= {"sweep/best": best.number, "sweep/activation": best.activation}
        found |= {f"best/{key}": value for key, value in best.swept.items()}
    return found


def grid(sweep: Sweep) -> Grid:
    """Return the jobs as rows and columns of pictures.

    The last swept setting goes across and the one before it down; each combination of the others
    is a block. Jobs that fill less than half of that, or that share their values, are only listed.
    """
    keys = ["", "", *sweep.keys][-max(2, len(sweep.keys)) :]
    *others, down, across = keys
    # As text, which tells 1 from "1" and can be a key.
    cells = {tuple(json.dumps(job.swept.get(key)) for key in keys): job for job in sweep.jobs}
    outer = list(dict.fromkeys(place[:-2] for place in cells))
    rows, columns = (sweep.values.get(key, (None,)) for key in (down, across))
    room = len(outer) * len(rows) * len(columns)
    if not across or len(cells) < len(sweep.jobs) or len(sweep.jobs) < COMPARABLE * room:
        lines = [sweep.jobs[at : at + ACROSS] for at in range(0, len(sweep.jobs), ACROSS)]
        blocks = [
            Block((), ("",), tuple(f"job {job.number}" for job in line), (line,)) for line in lines
        ]
        return Grid("", "", tuple(blocks))
    most = len(columns) if down else ACROSS
    blocks = [
        Block(
            tuple(
                f"{key} = {spelled(json.loads(one))}"
                for key, one in zip(others, place, strict=True)
            ),
            tuple(map(spelled, rows)) if down else ("",),
            tuple(map(spelled, part)),
            tuple(
                tuple(cells.get((*place, *map(json.dumps, (row, one)))) for one in part)
                for row in rows
            ),
        )
        for place in outer
        for part in (columns[at : at + most] for at in range(0, len(columns), most))
    ]
    return Grid(down, across, tuple(blocks))


def spelled(value: object) -> str:
    """Return a value as the command line spells it; a long number in four digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return min(f"{value:.4g}", repr(value), key=len)
    if isinstance(value, list):
        return f"[{','.join(map(spelled, value))}]"
    return str(value)


def numbers(values: Sequence[object]) -> bool:
    """Return whether all values are finite numbers; True and False are none."""
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )


def _job(folder: Path, number: int, entry: Mapping[str, Any]) -> Job:
    name = entry.get("folder") or str(number)
    values = outcome(folder / name)
    status = values.get("status") or entry.get("status") or "interrupted"
    done = status == "done"
    picture = values.get(f"{values.get('stage')}/picture") if done else None
    return Job(
        number=number,
        swept=entry.get("swept", {}),
        status=status,
        why=entry.get("why", ""),
        activation=activation(folder / name) if done else None,
        seconds=values.get("seconds", {}).get("total"),
        folder=name if (folder / name).is_dir() else None,
        picture=_inside(folder, name, picture) if isinstance(picture, str) else None,
        report=_inside(folder, name, "report.html"),
    )


def _inside(folder: Path, job: str, name: str) -> str | None:
    """Return the path of a job's file as seen from the sweep's folder, if the file is there."""
    path = (folder / job / name).resolve()
    there = path.is_file() and (folder / job).resolve() in path.parents
    return f"{job}/{name}" if there else None


def _alike(values: list[object]) -> list[object]:
    """Return values of one kind: numbers, or text where any of them is none."""
    given = [value for value in values if value is not None]
    if numbers(given) or all(isinstance(value, bool) for value in given):
        return values
    return [value if value is None else spelled(value) for value in values]


def remove_empty(folder: Path) -> None:
    """Remove the folder of a multirun, and the one above, where no job left a thing in it."""
    ours = {"multirun.yaml", JOBS}
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= ours:
        for name in ours:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
        if folder.parent.name == "sweeps" and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def note(sweep: Path, /, **content: object) -> None:
    """Add a line to the jobs of a multirun, unless it is over and has its summary."""
    with suppress(OSError):
        if not (sweep / "summary.json").exists():
            with (sweep / JOBS).open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(content, ensure_ascii=False)}\n")
