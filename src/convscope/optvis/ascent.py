"""Gradient ascent to the images that excite units most, for many of them in one batch."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from html import escape

import numpy as np

from convscope import text
from convscope.data.photograph import data_uri
from convscope.models.backend import tf
from convscope.models.network import Network, cast
from convscope.optvis.objectives import Objective, Reader, Reading, Samples, reader
from convscope.optvis.optimizers import Optimizer, Rate
from convscope.optvis.parameterization import Parameterization
from convscope.optvis.penalties import Penalty
from convscope.optvis.transforms import Transform
from convscope.unit import WHOLE, Unit

Groups = tuple[tuple[str, int], ...]
"""Layers in the order of the batch, and how many samples of it each has."""

State = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""Free numbers, those of the last good images, and what the optimizer remembers."""


@dataclass(frozen=True, order=True)
class Goal:
    """One image to be found.

    Attributes:
        unit: the unit it is for.
        sample: which of several images of the unit, from 0.
        sign: 1 for what excites the unit most, -1 for what it most dislikes.
    """

    unit: Unit
    sample: int = 0
    sign: int = 1

    @property
    def slug(self) -> str:
        """The goal as it stands in file names: `block4_conv3-17-0`."""
        return f"{self.unit.slug}-{self.sample}" + "-negative" * (self.sign < 0)

    @property
    def file(self) -> str:
        """Where its picture lies in the folder of a run."""
        return f"images/{self.slug}.png"


@dataclass(frozen=True)
class Optimum:
    """The best image found for a goal, and what it truly does.

    Attributes:
        goal: whose optimum it is.
        image: the 8-bit image `(height, width, 3)`, as it is saved.
        activation: the largest preactivation anywhere on that very image, in float32; for a
            negative goal the smallest.
        activation_mean: the mean preactivation over the map of that image.
        activation_start: the mean preactivation of the image the ascent began with.
        score: what the objective gave at the last update, under the transforms.
        attempt: how many starts it took.
        stopped: the update at which the score was no number any more, from 1; the image is the
            last good one before it. None: that never happened.
    """

    goal: Goal
    image: np.ndarray
    activation: float
    activation_mean: float
    activation_start: float
    score: float
    attempt: int
    stopped: int | None = None

    @property
    def unit(self) -> Unit:
        """The unit it is for."""
        return self.goal.unit

    @property
    def alive(self) -> bool:
        """Whether the image moves the unit at all: a preactivation beyond zero somewhere on it."""
        return self.activation * self.goal.sign > 0

    def _repr_html_(self) -> str:
        """Return the image and what it does, for a notebook."""
        name, does = escape(str(self.unit)), f"preactivation {text.number(self.activation)}"
        words = does if self.alive else f"not alive after {self.attempt} starts"
        return (
            f'<figure style="margin:0"><img src="{data_uri(self.image)}" alt="optimum of {name}">'
            f"<figcaption><b>{name}</b>: {words}</figcaption></figure>"
        )


@dataclass(frozen=True)
class Step:
    """Where an ascent stands.

    Attributes:
        number: updates done in this attempt.
        attempt: which start this is, from 1.
        goals: the goals still ascending.
        curve: their scores `(updates, goals)` under the transforms, at each update since the last
            step.
        total: updates done in all attempts together.
        images: the 8-bit images `(goals, height, width, 3)` as they are now; None unless watched.
        finished: the optima found so far.
    """

    number: int
    attempt: int
    goals: tuple[Goal, ...]
    curve: np.ndarray
    total: int
    images: np.ndarray | None
    finished: tuple[Optimum, ...]


@dataclass(frozen=True)
class Ascent:
    """A way to climb: everything but the goals and the seed.

    Attributes:
        network: the network, in float32; finished images are measured on it.
        objective: layer -> what ascends there.
        parameterization: how free numbers become images.
        optimizer: how a gradient becomes a step.
        rate: how far of the ascent is done -> how far the next update goes.
        transforms: what the image must survive at each step.
        penalties: weights and what they are taken of; subtracted from the score.
        height: rows of the canvas.
        width: columns of the canvas.
        steps: updates of the image.
        views: draws of the transforms that an image is seen through at each step.
        group: consecutive samples that one objective looks at together, as diversity does.
        start: None for random numbers; else the image `(height, width, 3)` in [0, 1] to start
            from.
        reference: the image `(height, width, 3)` in [0, 1] that the objective compares with.
        chunk: updates in one call into the compiled graph.
        precision: number format of the network while ascending; parameters and scores are always
            float32.
    """

    network: Network
    objective: Callable[[str], Objective]
    parameterization: Parameterization
    optimizer: Optimizer
    rate: Rate
    transforms: tuple[Transform, ...]
    height: int
    width: int
    steps: int
    penalties: tuple[tuple[float, Penalty], ...] = ()
    views: int = 1
    group: int = 1
    start: np.ndarray | None = None
    reference: np.ndarray | None = None
    chunk: int = 16
    precision: str = "float32"

    @cached_property
    def _cut(self) -> Callable[[str], tuple[Objective, Reader]]:
        """What gives the objective of a layer and the network cut for it, each made once."""
        network, make = cast(self.network, self.precision), self.objective
        return cache(lambda layer: (made := make(layer), reader(network, made.readings)))

    @cached_property
    def _measuring(self) -> Callable[[Reading], Reader]:
        """What cuts the float32 network for a reading, once."""
        return cache(lambda asked: reader(self.network, [asked]))

    def _scores(
        self, images: tf.Tensor, samples: Samples, draws: tf.Tensor, progress: tf.Tensor, layer: str
    ) -> tf.Tensor:
        """Return the scores `(samples,)` of images of one layer, over all views of this step."""
        objective, read = self._cut(layer)
        count = images.shape[0]
        # Views in the outer order, so that samples of one group stay together in each of them.
        views = tf.repeat(tf.range(self.views), count)
        draws = tf.tile(draws * [1, self.views], [self.views, 1])
        draws += tf.stack([tf.zeros_like(views), views], axis=1)
        seen = [tf.tile(images, [self.views, 1, 1, 1])]
        again = Samples(*(tf.tile(part, [self.views]) for part in samples))
        if self.reference is not None:
            seen += [tf.repeat(tf.constant(self.reference[None], tf.float32), len(views), axis=0)]
        for index, transform in enumerate(self.transforms):
            seeds = draws + tf.constant([index, 0])
            seen = [transform(one, seeds, progress) for one in seen]
        scores = objective.score(read(seen, again.filters), again)
        if self.views > 1:
            scores = tf.reduce_mean(tf.reshape(scores, (self.views, count)), axis=0)
        for weight, penalty in self.penalties:
            scores -= weight * penalty(images)
        return scores

    @cached_property
    def _climb(self) -> Callable[..., tuple[tf.Tensor, ...]]:
        """The compiled chunk of updates. Traced once for each batch and its division by layer."""

        def update(
            groups: Groups, samples: Samples, seeds: tf.Tensor, number: tf.Tensor, state: State
        ) -> tuple[tf.Tensor, State]:
            numbers, good, memory = state
            progress = tf.cast(number, tf.float32) / self.steps
            with tf.GradientTape() as tape:
                tape.watch(numbers)
                images = self.parameterization.decode(numbers, self.height, self.width)
                parts, start = [], 0
                for layer, count in groups:
                    own = slice(start, start + count)
                    some = Samples(*(part[own] for part in samples))
                    draws = seeds[own] + tf.stack([0, number])
                    parts.append(self._scores(images[own], some, draws, progress, layer))
                    start += count
                scores = tf.concat(parts, axis=0)
                # The sum, not the mean: no sample's step depends on who shares the batch.
                total = tf.reduce_sum(scores)
            gradient = tape.gradient(total, numbers)
            direction, memory = self.optimizer(gradient, memory, number)
            # Behind a ReLU, what is no number may have become zero.
            scores = tf.where(_finite(numbers), scores, np.nan)
            good = _either(tf.math.is_finite(scores), numbers, good)
            return scores, (numbers + self.rate(progress) * direction, good, memory)

        @tf.function
        def climb(
            groups: Groups,
            samples: Samples,
            seeds: tf.Tensor,
            start: tf.Tensor,
            stop: tf.Tensor,
            state: State,
        ) -> tuple[tf.Tensor, State]:
            shape = samples.filters.shape
            curve = tf.TensorArray(tf.float32, stop - start, element_shape=shape)
            for number in tf.range(start, stop):
                scores, state = update(groups, samples, seeds, number, state)
                curve = curve.write(number - start, scores)
            return curve.stack(), state

        return climb

    def measure(self, images: np.ndarray, goals: Sequence[Goal]) -> tuple[np.ndarray, np.ndarray]:
        """Return the extreme and the mean preactivation `(goals,)` on each goal's 8-bit image.

        The extreme is the largest one, of negative goals the smallest; of a whole layer, over all
        of its filters.

        Args:
            images: uint8 `(goals, height, width, 3)`.
            goals: the goals, in order.
        """
        peaks, means = [], []
        readings = [Reading(goal.unit.layer, goal.unit.filter == WHOLE) for goal in goals]
        for asked, alike in itertools.groupby(range(len(goals)), key=readings.__getitem__):
            chosen = list(alike)
            filters = tf.constant([goals[index].unit.filter for index in chosen])
            pixels = tf.constant(images[chosen].astype(np.float32) / 255.0)
            values = self._measuring(asked)([pixels], filters)[asked].numpy()
            flat = values.reshape(len(chosen), -1)
            signs = np.array([goals[index].sign for index in chosen], np.float32)
            peaks.append(signs * (signs[:, None] * flat).max(axis=1))
            means.append(flat.mean(axis=1))
        return np.concatenate(peaks), np.concatenate(means)

    def pixels(self, numbers: tf.Tensor) -> np.ndarray:
        """Return the 8-bit images `(samples, height, width, 3)` that free numbers decode to."""
        images = self.parameterization.decode(numbers, self.height, self.width)
        return np.round(images.numpy() * 255.0).astype(np.uint8)

    def initial(self, seeds: tf.Tensor) -> tf.Tensor:
        """Return the free numbers that samples with these seeds `(samples, 2)` start from."""
        if self.start is None:
            return self.parameterization.initial(seeds, self.height, self.width)
        numbers = self.parameterization.encode(tf.constant(self.start[None], tf.float32))
        return tf.repeat(numbers, len(seeds), axis=0)


def _finite(numbers: tf.Tensor) -> tf.Tensor:
    """Return of each sample whether all of its free numbers are finite `(samples,)`."""
    return tf.reduce_all(tf.math.is_finite(numbers), list(range(1, numbers.shape.rank)))


def _either(first: tf.Tensor, numbers: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Return the numbers of the samples for which `first` `(samples,)` holds, of others those."""
    return tf.where(tf.reshape(first, [-1] + [1] * (numbers.shape.rank - 1)), numbers, others)


def sample_seed(seed: int, goal: Goal, attempt: int) -> tuple[int, int]:
    """Return the seed of one goal, its own whoever shares the batch."""
    unit = goal.unit
    text = f"{seed}/{unit.layer}/{unit.filter}/{goal.sample}/{goal.sign}/{attempt}"
    word = zlib.crc32(text.encode())
    # The second number has room for the step, many views of it, to be added.
    return word & 0x7FFFFFFF, (word >> 1) & 0x7FFFF


def ascend(
    ascent: Ascent, goals: Sequence[Goal], seed: int, attempts: int = 1, watch: bool = False
) -> Iterator[Step]:
    """Climb for all goals at once, and yield where it stands after each chunk of updates.

    A goal whose finished 8-bit image does not move its unit starts again from another seed, up to
    `attempts` times. The last step yielded holds an `Optimum` for every goal; those that stayed
    silent say so in `alive`.

    Args:
        ascent: how to climb.
        goals: the images to look for; those of one layer share one pass through the network, and
            each `ascent.group` of them that follow one another belong together.
        seed: the same seed gives the same images on the same machine.
        attempts: starts before a goal counts as not alive.
        watch: give each step its images.
    """
    finished: list[Optimum] = []
    pending = tuple(sorted(goals, key=lambda goal: goal.unit.layer))
    for attempt in range(1, attempts + 1):
        again: list[Goal] = []
        for step in _attempt(ascent, pending, seed, attempt, watch):
            for start in range(0, len(step.finished), ascent.group):
                together = step.finished[start : start + ascent.group]
                if attempt == attempts or all(optimum.alive for optimum in together):
                    finished += together
                else:
                    again += [optimum.goal for optimum in together]
            yield replace(step, finished=tuple(finished))
        if not (pending := tuple(again)):
            return


def _attempt(
    ascent: Ascent, goals: tuple[Goal, ...], seed: int, attempt: int, watch: bool
) -> Iterator[Step]:
    """Yield the steps of one start, each with no optima but the last, which has all."""
    by_layer = itertools.groupby(goals, key=lambda goal: goal.unit.layer)
    groups = tuple((layer, len(list(same))) for layer, same in by_layer)
    for layer, _ in groups:
        ascent._cut(layer)  # not while a graph is being traced
    filters = tf.constant([goal.unit.filter for goal in goals])
    samples = Samples(filters, tf.constant([float(goal.sign) for goal in goals]))
    seeds = tf.constant([sample_seed(seed, goal, attempt) for goal in goals], tf.int32)
    numbers = ascent.initial(seeds)
    _, start = ascent.measure(ascent.pixels(numbers), goals)
    state = numbers, numbers, tf.zeros_like(numbers)
    stopped = np.zeros(len(goals), int)
    for done in range(0, ascent.steps, ascent.chunk):
        stop = min(done + ascent.chunk, ascent.steps)
        curve, state = ascent._climb(
            groups, samples, seeds, tf.constant(done), tf.constant(stop), state
        )
        curve = curve.numpy()
        broken = ~np.isfinite(curve)
        first = np.where(broken.any(axis=0), done + 1 + broken.argmax(axis=0), 0)
        stopped = np.where(stopped > 0, stopped, first)
        last = stop == ascent.steps or bool(stopped.all())
        optima: list[Optimum] = []
        if last or watch:
            numbers, good, _ = state
            images = ascent.pixels(_either(_finite(numbers) & (stopped == 0), numbers, good))
        if last:
            values = np.stack([*ascent.measure(images, goals), start, curve[-1]], axis=1).tolist()
            found = zip(goals, images, values, stopped.tolist(), strict=True)
            optima = [
                Optimum(goal, image, peak, mean, begun, score, attempt, end or None)
                for goal, image, (peak, mean, begun, score), end in found
            ]
        total, shown = (attempt - 1) * ascent.steps + stop, images if watch else None
        yield Step(stop, attempt, goals, curve, total, shown, tuple(optima))
        if last:
            return
