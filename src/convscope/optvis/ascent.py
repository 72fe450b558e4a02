"""Gradient ascent to the images that excite units most, for many of them in one batch."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape

import numpy as np

from convscope import text
from convscope.data.photograph import data_uri
from convscope.models.backend import tf
from convscope.models.network import Network, cast
from convscope.optvis.objectives import Objective, Reader, Reading, Samples, reader
from convscope.optvis.optimizers import Optimizer, Rate, Slots
from convscope.optvis.parameterization import Parameterization
from convscope.optvis.penalties import Penalty
from convscope.optvis.transforms import Transform
from convscope.unit import WHOLE, Unit

Groups = tuple[tuple[str, int], ...]
"""Layers in the order of the batch, and how many samples of it each has."""


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
            from; zeros of the free numbers for the text `zero`.
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
    start: np.ndarray | str | None = None
    reference: np.ndarray | None = None
    chunk: int = 16
    precision: str = "float32"

    @cached_property
    def _ascending(self) -> dict[str, tuple[Objective, Reader]]:
        """The objective of each layer and the network cut for it, as far as they were asked for."""
        return {}

    @cached_property
    def _measuring(self) -> dict[tuple[str, bool], Reader]:
        """The float32 network cut at each layer that was asked for."""
        return {}

    @cached_property
    def _network(self) -> Network:
        return cast(self.network, self.precision)

    def prepare(self, layers: Iterable[str]) -> None:
        """Cut the network at these layers; nothing is cut while a graph is being traced."""
        for layer in layers:
            if layer not in self._ascending:
                objective = self.objective(layer)
                self._ascending[layer] = objective, reader(self._network, objective.readings)

    def _scores(
        self, images: tf.Tensor, samples: Samples, draws: tf.Tensor, progress: tf.Tensor, layer: str
    ) -> tf.Tensor:
        """Return the scores `(samples,)` of images of one layer, over all views of this step."""
        objective, read = self._ascending[layer]
        count = images.shape[0]
        # Views in the outer order, so that samples of one group stay together in each of them.
        views = tf.repeat(tf.range(self.views), count)
        draws = tf.tile(draws * [1, self.views], [self.views, 1])
        draws += tf.stack([tf.zeros_like(views), views], axis=1)
        seen = tf.tile(images, [self.views, 1, 1, 1])
        again = Samples(*(tf.tile(part, [self.views]) for part in samples))
        references = None
        if self.reference is not None:
            references = tf.repeat(tf.constant(self.reference[None], tf.float32), len(seen), axis=0)
        for index, transform in enumerate(self.transforms):
            seeds = draws + tf.constant([index, 0])
            seen = transform(seen, seeds, progress)
            if references is not None:
                references = transform(references, seeds, progress)
        scores = objective.score(read(seen, references, again.filters), again)
        if self.views > 1:
            scores = tf.reduce_mean(tf.reshape(scores, (self.views, count)), axis=0)
        for weight, penalty in self.penalties:
            scores -= weight * penalty(images)
        return scores

    @cached_property
    def _climb(self) -> Callable[..., tuple[tf.Tensor, ...]]:
        """The compiled chunk of updates. Traced once for each batch and its division by layer."""

        def update(
            groups: Groups, samples: Samples, seeds: tf.Tensor, number: tf.Tensor, state: Slots
        ) -> tuple[tf.Tensor, Slots]:
            numbers, good, *kept = state
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
            direction, slots = self.optimizer.step(gradient, tuple(kept), number)
            axes = list(range(1, numbers.shape.rank))
            whole = tf.reduce_all(tf.math.is_finite(numbers), axes)
            # Behind a ReLU, what is no number may have become zero.
            scores = tf.where(whole, scores, np.nan)
            alright = tf.reshape(tf.math.is_finite(scores), [-1] + [1] * len(axes))
            good = tf.where(alright, numbers, good)
            return scores, (numbers + self.rate(progress) * direction, good, *slots)

        @tf.function
        def climb(
            groups: Groups,
            samples: Samples,
            seeds: tf.Tensor,
            start: tf.Tensor,
            stop: tf.Tensor,
            state: Slots,
        ) -> tuple[tf.Tensor, Slots]:
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
        peaks, means = np.empty(len(goals), np.float32), np.empty(len(goals), np.float32)
        kinds = [(goal.unit.layer, goal.unit.filter == WHOLE) for goal in goals]
        for kind in dict.fromkeys(kinds):
            chosen = [index for index, other in enumerate(kinds) if other == kind]
            asked = Reading(*kind)
            if kind not in self._measuring:
                self._measuring[kind] = reader(self.network, [asked])
            filters = tf.constant([goals[index].unit.filter for index in chosen])
            pixels = tf.constant(images[chosen].astype(np.float32) / 255.0)
            values = self._measuring[kind](pixels, None, filters)[asked].numpy()
            flat = values.reshape(len(chosen), -1)
            signs = np.array([goals[index].sign for index in chosen])[:, None]
            peaks[chosen] = signs[:, 0] * (signs * flat).max(axis=1)
            means[chosen] = flat.mean(axis=1)
        return peaks, means

    def pixels(self, numbers: tf.Tensor) -> np.ndarray:
        """Return the 8-bit images `(samples, height, width, 3)` that free numbers decode to."""
        images = self.parameterization.decode(numbers, self.height, self.width)
        return np.round(images.numpy() * 255.0).astype(np.uint8)

    def initial(self, seeds: tf.Tensor) -> tf.Tensor:
        """Return the free numbers that samples with these seeds `(samples, 2)` start from."""
        if isinstance(self.start, np.ndarray):
            image = tf.constant(self.start[None], tf.float32)
            numbers = self.parameterization.encode(image, self.height, self.width)
            return tf.repeat(numbers, len(seeds), axis=0)
        numbers = self.parameterization.initial(seeds, self.height, self.width)
        return tf.zeros_like(numbers) if self.start == "zero" else numbers


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
        for step, optima in _attempt(ascent, pending, seed, attempt, watch):
            for start in range(0, len(optima), ascent.group):
                together = optima[start : start + ascent.group]
                if attempt == attempts or all(optimum.alive for optimum in together):
                    finished += together
                else:
                    again += [optimum.goal for optimum in together]
            yield replace(step, finished=tuple(finished))
        pending = tuple(again)
        if not pending:
            return


def _attempt(
    ascent: Ascent, goals: tuple[Goal, ...], seed: int, attempt: int, watch: bool
) -> Iterator[tuple[Step, list[Optimum]]]:
    """Yield steps, each with no optima but the last, which has all."""
    by_layer = itertools.groupby(goals, key=lambda goal: goal.unit.layer)
    groups = tuple((layer, len(list(same))) for layer, same in by_layer)
    ascent.prepare(layer for layer, _ in groups)
    filters = tf.constant([goal.unit.filter for goal in goals])
    samples = Samples(filters, tf.constant([float(goal.sign) for goal in goals]))
    seeds = tf.constant([sample_seed(seed, goal, attempt) for goal in goals], tf.int32)
    numbers = ascent.initial(seeds)
    _, start = ascent.measure(ascent.pixels(numbers), goals)
    state = numbers, numbers, *[tf.zeros_like(numbers)] * ascent.optimizer.slots
    stopped = np.zeros(len(goals), int)
    optima: list[Optimum] = []
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
        images = _good(ascent, state, stopped > 0) if last or watch else None
        if last and images is not None:
            peaks, means = ascent.measure(images, goals)
            optima = [
                Optimum(
                    goal=goal,
                    image=images[at],
                    activation=float(peaks[at]),
                    activation_mean=float(means[at]),
                    activation_start=float(start[at]),
                    score=float(curve[-1, at]),
                    attempt=attempt,
                    stopped=int(stopped[at]) or None,
                )
                for at, goal in enumerate(goals)
            ]
        total = (attempt - 1) * ascent.steps + stop
        yield Step(stop, attempt, goals, curve, total, images if watch else None, ()), optima
        if last:
            return


def _good(ascent: Ascent, state: Slots, stopped: np.ndarray) -> np.ndarray:
    """Return the 8-bit images of a state, of samples that went astray the last good ones."""
    numbers, good = state[:2]
    wide = [-1] + [1] * (numbers.shape.rank - 1)
    axes = list(range(1, numbers.shape.rank))
    whole = tf.reduce_all(tf.math.is_finite(numbers), axes) & ~tf.constant(stopped)
    return ascent.pixels(tf.where(tf.reshape(whole, wide), numbers, good))
