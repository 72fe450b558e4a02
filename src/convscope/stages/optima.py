"""Images on their way: made batch by batch, kept at once, taken over from a run cut short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convscope.activations.recorder import counter
from convscope.data import photograph
from convscope.data.dataset import Batch
from convscope.models.network import Network
from convscope.optvis.ascent import Ascent, Goal, Optimum, Step, ascend
from convscope.optvis.recipe import filled
from convscope.report.maximize import OptimumSummary
from convscope.stages import resume
from convscope.tracking.tracker import Tracker

MILLISECONDS = 80  # between the frames of an animation


@dataclass(frozen=True)
class Studio:
    """Where the images of a run are made and kept.

    Attributes:
        tracker: where they go.
        text: what every picture says inside of where it comes from.
        shown: whether W&B gets each picture and curve by itself; many fit better into a table.
    """

    tracker: Tracker
    text: Mapping[str, str]
    shown: bool

    def make(
        self,
        ascent: Ascent,
        batches: Sequence[Sequence[Goal]],
        length: int,
        seed: int,
        attempts: int,
        animation: bool,
    ) -> Iterator[OptimumSummary]:
        """Make the images of each batch, and yield each image when it is kept.

        Args:
            ascent: how to climb.
            batches: the goals that climb together.
            length: goals in a full batch; shorter ones are filled up to it.
            seed: of the starts and the draws.
            attempts: starts before a unit counts as not alive.
            animation: whether each ascent is kept as an animation too.
        """
        count = sum(map(len, batches))
        what = f"{count} image{'s' * (count != 1)} of {ascent.width} x {ascent.height}"
        with self.tracker.progress(what, len(batches) * ascent.steps) as update:
            for index, batch in enumerate(batches):

                def show(step: Step, before: int = index * ascent.steps) -> None:
                    again = f", attempt {step.attempt}" if step.attempt > 1 else ""
                    update(before + step.number, f"score {average(step):.1f}{again}")
                    self._log(step, before)

                start = time.perf_counter()
                steps = ascend(ascent, filled(batch, length), seed, attempts, animation)
                found = climbed(steps, show)
                seconds = round((time.perf_counter() - start) / len(batch), 2)
                for goal in batch:
                    yield self._kept(*found[goal], seconds)

    def take(self, folder: Path) -> Iterator[OptimumSummary]:
        """Keep the finished images of another run here too, and yield each."""
        _, optima = resume.read(folder)
        for values in {values["file"]: values for values in optima}.values():
            path = folder / values["file"]
            if not path.is_file():
                continue
            curve = np.array([np.nan if score is None else score for score in values["curve"]])
            image = np.asarray(photograph.load(path))
            card = OptimumSummary(**{**values, "image": image, "curve": curve})
            if card.animation and (folder / card.animation).is_file():
                self.tracker.copy(card.animation, folder / card.animation)
            else:
                card = replace(card, animation=None)
            self.keep(card)
            yield card

    def keep(self, card: OptimumSummary) -> None:
        """Write the picture of a card, and after it a line in the journal."""
        text = {
            "Title": f"{card.name}, image {card.sample}, {card.side}",
            "convscope:unit": card.name,
            "convscope:activation": repr(card.activation),
            **self.text,
        }
        self.tracker.image(card.slug, card.image, text=text, shown=self.shown)
        values = {name: value for name, value in vars(card).items() if name != "image"}
        self.tracker.append(resume.JOURNAL, values)

    def _kept(
        self, best: Optimum, curve: np.ndarray, frames: Sequence[np.ndarray], seconds: float
    ) -> OptimumSummary:
        """Return an optimum as it is shown, and keep it."""
        goal, moving = best.goal, None
        if frames:
            path = self.tracker.animation(goal.slug, np.stack(frames), MILLISECONDS)
            moving = f"images/{path.name}"
        card = OptimumSummary(
            name=str(goal.unit),
            layer=goal.unit.layer,
            filter=goal.unit.filter,
            sample=goal.sample,
            sign=goal.sign,
            image=best.image,
            activation=best.activation,
            activation_mean=best.activation_mean,
            activation_start=best.activation_start,
            score=best.score,
            quantile=None,
            alive=best.alive,
            attempt=best.attempt,
            seconds=seconds,
            curve=curve,
            stopped=best.stopped,
            file=goal.file,
            animation=moving,
        )
        self.keep(card)
        return card

    def _log(self, step: Step, before: int) -> None:
        """Record how the scores rise: each image's, or of many images the mean."""
        if not self.shown:
            total = before + step.total
            self.tracker.log({"ascent/mean": average(step)}, total)
            return
        names = [f"ascent/{goal.slug}" for goal in step.goals]
        for number, scores in enumerate(step.curve, before + step.total - len(step.curve) + 1):
            self.tracker.log(dict(zip(names, scores, strict=True)), number)


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


def judge(
    network: Network, cards: Sequence[OptimumSummary], photographs: Iterator[Batch]
) -> Iterator[tuple[Batch, list[OptimumSummary], int]]:
    """Yield after each batch of photographs the cards with their quantile, as far as it is known.

    Args:
        network: the network, in float32.
        cards: images for filters of one layer.
        photographs: what their activations are compared with.

    Yields:
        The batch, the cards, and over how many positions their quantiles are.
    """
    count = counter(network, cards[0].layer, [card.filter for card in cards])
    activations = np.array([card.activation for card in cards], np.float32)
    below, positions = np.zeros(len(cards), np.int64), 0
    for batch in photographs:
        if batch.paths:
            more, many = count(batch.pixels, activations)
            below, positions = below + more, positions + many
        shares = (below / max(positions, 1)).tolist()
        judged = [replace(card, quantile=share) for card, share in zip(cards, shares, strict=True)]
        yield batch, judged if positions else list(cards), positions
