"""Optima made batch by batch, written at once, and taken over from a run that was cut short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convscope.activations.recorder import counter
from convscope.data import photograph
from convscope.data.dataset import Batch
from convscope.models.network import Network
from convscope.optvis.ascent import Ascent, Goal, Optimum, Step, ascend
from convscope.report.maximize import OptimumSummary
from convscope.stages import resume
from convscope.tracking.tracker import Tracker

MILLISECONDS = 80  # between the frames of an animation


@dataclass(frozen=True)
class Reached:
    """An optimum, and how it was reached.

    Attributes:
        optimum: the image and what it does.
        curve: the score at each update of the last start.
        frames: the images on the way, if they were watched.
        seconds: how long it took, as a share of its batch.
    """

    optimum: Optimum
    curve: np.ndarray
    frames: Sequence[np.ndarray]
    seconds: float


@dataclass(frozen=True)
class Optimization:
    """How goals ascend, whatever becomes of their optima.

    Attributes:
        tracker: where progress and scores are shown.
        seed: of the starts and the draws.
        attempts: starts before a unit counts as not alive.
        curve: the name of a goal's curve; None: only the mean of the scores is logged.
        watched: whether the images on the way are kept as frames.
    """

    tracker: Tracker
    seed: int
    attempts: int
    curve: Callable[[Goal], str] | None
    watched: bool = False

    def optima(self, ascent: Ascent, batches: Sequence[Sequence[Goal]]) -> Iterator[Reached]:
        """Yield the optimum of each goal, batch by batch; a goal that fills a batch counts once."""
        count = sum(len(set(batch)) for batch in batches)
        what = f"{count} image{'s' * (count != 1)} of {ascent.width} x {ascent.height}"
        with self.tracker.progress(what, len(batches) * ascent.steps) as update:
            for index, batch in enumerate(batches):

                def show(step: Step, before: int = index * ascent.steps) -> None:
                    again = f", attempt {step.attempt}" if step.attempt > 1 else ""
                    update(before + step.number, f"score {average(step):.1f}{again}")
                    self._log(step, before)

                start = time.perf_counter()
                steps = ascend(ascent, batch, self.seed, self.attempts, self.watched)
                found = climbed(steps, show)
                seconds = round((time.perf_counter() - start) / len(found), 2)
                for best, curve, frames in found.values():
                    yield Reached(best, curve, frames, seconds)

    def _log(self, step: Step, before: int) -> None:
        """Record how the scores rise: each image's, or of many images the mean."""
        if self.curve is None:
            self.tracker.log({"ascent/mean": average(step)}, before + step.total)
            return
        names = [f"ascent/{self.curve(goal)}" for goal in step.goals]
        for number, scores in enumerate(step.curve, before + step.total - len(step.curve) + 1):
            self.tracker.log(dict(zip(names, scores, strict=True)), number)


@dataclass(frozen=True)
class OptimumFiles:
    """The files of optima: a picture and a line in the journal for each.

    Attributes:
        tracker: where they go.
        text: what every picture says inside of where it comes from.
        shown: whether W&B gets each picture by itself; many fit better into a table.
    """

    tracker: Tracker
    text: Mapping[str, str]
    shown: bool

    def write(self, reached: Reached) -> OptimumSummary:
        """Write an optimum, and return it as it is shown."""
        best, goal, moving = reached.optimum, reached.optimum.goal, None
        if reached.frames:
            path = self.tracker.animation(goal.slug, np.stack(reached.frames), MILLISECONDS)
            moving = f"images/{path.name}"
        shared = vars(best) | vars(goal) | vars(goal.unit)
        found = OptimumSummary(
            **{name: value for name, value in shared.items() if name not in ("goal", "unit")},
            name=str(goal.unit),
            quantile=None,
            alive=best.alive,
            seconds=reached.seconds,
            curve=reached.curve,
            file=goal.file,
            animation=moving,
        )
        self._keep(found)
        return found

    def copy(self, folder: Path) -> Iterator[OptimumSummary]:
        """Write the finished optima of another run here too, and yield each."""
        _, optima = resume.read(folder)
        for values in {values["file"]: values for values in optima}.values():
            path = folder / values["file"]
            if not path.is_file():
                continue
            curve = np.array([np.nan if score is None else score for score in values["curve"]])
            image, moving = np.asarray(photograph.load(path)), values["animation"]
            if moving and (folder / moving).is_file():
                self.tracker.copy(moving, folder / moving)
            else:
                moving = None
            changed = {"image": image, "curve": curve, "animation": moving}
            found = OptimumSummary(**{**values, **changed})
            self._keep(found)
            yield found

    def _keep(self, found: OptimumSummary) -> None:
        """Write the picture of an optimum, and after it a line in the journal."""
        text = {
            "Title": f"{found.name}, image {found.sample}, {found.side}",
            "convscope:unit": found.name,
            "convscope:activation": repr(found.activation),
            **self.text,
        }
        self.tracker.image(found.slug, found.image, text=text, shown=self.shown)
        values = {name: value for name, value in vars(found).items() if name != "image"}
        self.tracker.append(resume.JOURNAL, values)


def average(step: Step) -> float:
    """Return the mean of the last scores that are numbers; NaN if none is."""
    scores = step.curve[-1][np.isfinite(step.curve[-1])]
    return float(scores.mean()) if len(scores) else float("nan")


def climbed(
    steps: Iterator[Step], show: Callable[[Step], None]
) -> dict[Goal, tuple[Optimum, np.ndarray, list[np.ndarray]]]:
    """Return the optimum, the curve and, if they were watched, the frames of each goal."""
    curves: dict[Goal, list[float]] = {}
    frames: dict[Goal, list[np.ndarray]] = {}
    for step in steps:
        show(step)
        for goal in dict.fromkeys(step.goals):  # of copies that fill a batch, the first
            at = step.goals.index(goal)
            if step.number == len(step.curve):  # another attempt begins
                curves[goal], frames[goal] = [], []
            curves[goal] += step.curve[:, at].tolist()
            if step.images is not None:
                frames[goal].append(step.images[at])
    return {
        best.goal: (best, np.array(curves[best.goal]), frames[best.goal]) for best in step.finished
    }


def compare(
    network: Network,
    optima: Sequence[OptimumSummary],
    photographs: Iterable[Batch],
    update: Callable[[int], None],
) -> tuple[list[OptimumSummary], int, list[Path], int]:
    """Return the optima with the share of positions on photographs that lie below each.

    Args:
        network: the network, in float32.
        optima: of filters of one layer.
        photographs: what their activations are compared with.
        update: is told how many photographs are done.

    Returns:
        The optima, how many positions there are, the photographs, and how many were unreadable.
    """
    count = counter(network, optima[0].layer, [optimum.filter for optimum in optima])
    activations = np.array([optimum.activation for optimum in optima], np.float32)
    below, positions = np.zeros(len(optima), np.int64), 0
    seen: list[Path] = []
    skipped = 0
    for batch in photographs:
        if batch.paths:
            more, many = count(batch.pixels, activations)
            below, positions = below + more, positions + many
        seen += batch.paths
        skipped += len(batch.skipped)
        update(len(seen) + skipped)
    shares = (below / positions).tolist() if positions else [None] * len(optima)
    compared = [replace(one, quantile=share) for one, share in zip(optima, shares, strict=True)]
    return compared, positions, seen, skipped
