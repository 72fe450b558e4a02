"""Gradient ascent to the image that excites a unit most, for many units in one batch."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from convscope.backend import keras, tf
from convscope.network import Network, cast, tap
from convscope.objectives import OBJECTIVES, Objective, own
from convscope.parameterization import Parameterization, fourier
from convscope.precision import resolve
from convscope.settings import AscentSettings
from convscope.transforms import Transform, affine
from convscope.unit import Unit

Groups = tuple[tuple[str, int], ...]
"""Layers in the order of the batch, and how many samples of it each has."""

State = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""Free numbers, and Adam's running means of their gradient and of its square."""

# Adam's memories. Kingma and Ba, "Adam", 2015. Much shorter than usual: an ascent has some fifty
# steps, and every step meets another draw of the transforms. With .9 and .999, at their own best
# rate, 48 steps reach two thirds of the preactivation that these do on block4_conv3.
MOMENTUM = 0.2
SPREAD = 0.9
EPSILON = 1e-8


@dataclass(frozen=True)
class Optimum:
    """The best image found for a unit, and what it truly does.

    Attributes:
        unit: whose optimum it is.
        image: the 8-bit image `(height, width, 3)`, as it is saved.
        activation: the largest preactivation anywhere on that very image, in float32.
        activation_mean: the mean preactivation over the map of that image.
        activation_start: the mean preactivation of the image the ascent began with.
        attempt: how many starts it took.
    """

    unit: Unit
    image: np.ndarray
    activation: float
    activation_mean: float
    activation_start: float
    attempt: int

    @property
    def alive(self) -> bool:
        """Whether the unit fires at all: a preactivation above zero somewhere on the image."""
        return self.activation > 0


@dataclass(frozen=True)
class Step:
    """Where an ascent stands.

    Attributes:
        number: updates done in this attempt.
        attempt: which start this is, from 1.
        units: the units still ascending.
        curve: their scores `(updates, units)` under the transforms, at each update since the last
            step.
        total: updates done in all attempts together.
        finished: the optima found so far.
    """

    number: int
    attempt: int
    units: tuple[Unit, ...]
    curve: np.ndarray
    total: int
    finished: tuple[Optimum, ...]


@dataclass(frozen=True)
class Ascent:
    """A way to climb: everything but the units and the seed.

    Attributes:
        network: the network, in float32; finished images are measured on it.
        objective: layer -> what ascends there.
        parameterization: how free numbers become images.
        transforms: what the image must survive at each step.
        height: rows of the canvas.
        width: columns of the canvas.
        steps: updates of the image.
        learning_rate: Adam's step at the start; it falls to zero along a half cosine.
        chunk: updates in one call into the compiled graph.
        precision: number format of the network while ascending; parameters and scores are always
            float32.
    """

    network: Network
    objective: Callable[[str], Objective]
    parameterization: Parameterization
    transforms: tuple[Transform, ...]
    height: int
    width: int
    steps: int
    learning_rate: float
    chunk: int = 16
    precision: str = "float32"

    @cached_property
    def _ascending(self) -> dict[str, tuple[Objective, keras.Model]]:
        """The objective of each layer and the network cut for it, as far as they were asked for."""
        return {}

    @cached_property
    def _measuring(self) -> dict[str, keras.Model]:
        """The float32 network cut at each layer that was asked for."""
        return {}

    @cached_property
    def _network(self) -> Network:
        return cast(self.network, self.precision)

    def prepare(self, layers: Iterable[str]) -> None:
        """Cut the network at these layers; nothing is cut while a graph is being traced."""
        for layer in layers:
            if layer not in self._measuring:
                objective = self.objective(layer)
                model = tap(self._network, objective.layers, pre=True)
                self._ascending[layer] = objective, model
                self._measuring[layer] = tap(self.network, [layer], pre=True)

    def _scores(self, images: tf.Tensor, filters: tf.Tensor, groups: Groups) -> tf.Tensor:
        """Return the scores of images that stand sorted by layer, each cut at its own layer."""
        parts, start = [], 0
        for layer, count in groups:
            objective, model = self._ascending[layer]
            stop = start + count
            parts.append(objective.score(model(images[start:stop]), filters[start:stop]))
            start = stop
        return tf.concat(parts, axis=0)

    @cached_property
    def _climb(self) -> Callable[..., tuple[tf.Tensor, ...]]:
        """The compiled chunk of updates. Traced once for each batch and its division by layer."""

        def update(
            groups: Groups, filters: tf.Tensor, seeds: tf.Tensor, number: tf.Tensor, state: State
        ) -> tuple[tf.Tensor, State]:
            numbers, first, second = state
            draws = seeds + tf.stack([0, number])
            with tf.GradientTape() as tape:
                tape.watch(numbers)
                images = self.parameterization.decode(numbers, self.height, self.width)
                for index, transform in enumerate(self.transforms):
                    images = transform(images, draws + tf.constant([index, 0]))
                scores = self._scores(images, filters, groups)
                # The sum, not the mean: no sample's step depends on who shares the batch.
                total = tf.reduce_sum(scores)
            gradient = tape.gradient(total, numbers)
            count = tf.cast(number, tf.float32)
            rate = self.learning_rate * 0.5 * (1 + tf.cos(np.pi * count / self.steps))
            first = MOMENTUM * first + (1 - MOMENTUM) * gradient
            second = SPREAD * second + (1 - SPREAD) * tf.square(gradient)
            ahead = first / (1 - MOMENTUM ** (count + 1))
            spread = second / (1 - SPREAD ** (count + 1))
            return scores, (numbers + rate * ahead / (tf.sqrt(spread) + EPSILON), first, second)

        @tf.function
        def climb(
            groups: Groups,
            filters: tf.Tensor,
            seeds: tf.Tensor,
            start: tf.Tensor,
            stop: tf.Tensor,
            state: State,
        ) -> tuple[tf.Tensor, State]:
            curve = tf.TensorArray(tf.float32, stop - start, element_shape=filters.shape)
            for number in tf.range(start, stop):
                scores, state = update(groups, filters, seeds, number, state)
                curve = curve.write(number - start, scores)
            return curve.stack(), state

        return climb

    def measure(self, images: np.ndarray, units: Sequence[Unit]) -> tuple[np.ndarray, np.ndarray]:
        """Return each unit's largest and mean preactivation `(units,)` on its own 8-bit image.

        Args:
            images: uint8 `(units, height, width, 3)`.
            units: the units, in order.
        """
        peaks, means = np.empty(len(units), np.float32), np.empty(len(units), np.float32)
        layers = dict.fromkeys(unit.layer for unit in units)
        self.prepare(layers)
        for layer in layers:
            chosen = [index for index, unit in enumerate(units) if unit.layer == layer]
            filters = tf.constant([units[index].filter for index in chosen])
            pixels = tf.constant(images[chosen].astype(np.float32) / 255.0)
            maps = own(self._measuring[layer](pixels)[layer], filters)
            peaks[chosen] = tf.reduce_max(maps, axis=(1, 2))
            means[chosen] = tf.reduce_mean(maps, axis=(1, 2))
        return peaks, means

    def pixels(self, numbers: tf.Tensor) -> np.ndarray:
        """Return the 8-bit images `(samples, height, width, 3)` that free numbers decode to."""
        images = self.parameterization.decode(numbers, self.height, self.width)
        return np.round(images.numpy() * 255.0).astype(np.uint8)


def recipe(settings: AscentSettings, network: Network, size: int) -> Ascent:
    """Return the ascent that the settings describe, on a square canvas of `size` pixels."""
    return Ascent(
        network=network,
        objective=OBJECTIVES[settings.objective],
        parameterization=fourier(settings.decay, settings.deviation),
        transforms=(affine(settings.jitter, settings.scale, settings.rotate),),
        height=size,
        width=size,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        chunk=settings.chunk,
        precision=resolve(settings.precision),
    )


def sample_seed(seed: int, unit: Unit, attempt: int) -> tuple[int, int]:
    """Return the seed of one sample: its unit's own, whoever shares the batch."""
    word = zlib.crc32(f"{seed}/{unit.layer}/{unit.filter}/{attempt}".encode())
    # The second number has room for the step to be added to it.
    return word & 0x7FFFFFFF, (word >> 1) & 0x3FFFFFFF


def ascend(ascent: Ascent, units: Sequence[Unit], seed: int, attempts: int = 1) -> Iterator[Step]:
    """Climb for all units at once, and yield where it stands after each chunk of updates.

    A unit whose finished 8-bit image does not make it fire starts again from another seed, up to
    `attempts` times. The last step yielded holds an `Optimum` for every unit; those that stayed
    silent say so in `alive`.

    Args:
        ascent: how to climb.
        units: whose images to look for; units of one layer share one pass through the network.
        seed: the same seed gives the same images on the same machine.
        attempts: starts before a unit counts as not alive.
    """
    finished: list[Optimum] = []
    pending = tuple(sorted(units, key=lambda unit: unit.layer))
    for attempt in range(1, attempts + 1):
        silent = []
        for step, images, start in _attempt(ascent, pending, seed, attempt):
            if images is None:
                yield replace(step, finished=tuple(finished))
                continue
            peaks, means = ascent.measure(images, pending)
            results = zip(pending, images, peaks, means, start, strict=True)
            for unit, image, peak, mean, first in results:
                optimum = Optimum(unit, image, float(peak), float(mean), float(first), attempt)
                if optimum.alive or attempt == attempts:
                    finished.append(optimum)
                else:
                    silent.append(unit)
            yield replace(step, finished=tuple(finished))
        pending = tuple(silent)
        if not pending:
            return


def _attempt(
    ascent: Ascent, units: tuple[Unit, ...], seed: int, attempt: int
) -> Iterator[tuple[Step, np.ndarray | None, np.ndarray]]:
    """Yield (step, None or at the end the 8-bit images, mean preactivations of the start)."""
    by_layer = itertools.groupby(units, key=lambda unit: unit.layer)
    groups = tuple((layer, len(list(same))) for layer, same in by_layer)
    filters = tf.constant([unit.filter for unit in units])
    seeds = tf.constant([sample_seed(seed, unit, attempt) for unit in units], tf.int32)
    numbers = ascent.parameterization.initial(seeds, ascent.height, ascent.width)
    _, start = ascent.measure(ascent.pixels(numbers), units)
    state = numbers, tf.zeros_like(numbers), tf.zeros_like(numbers)
    for done in range(0, ascent.steps, ascent.chunk):
        stop = min(done + ascent.chunk, ascent.steps)
        curve, state = ascent._climb(
            groups, filters, seeds, tf.constant(done), tf.constant(stop), state
        )
        images = ascent.pixels(state[0]) if stop == ascent.steps else None
        total = (attempt - 1) * ascent.steps + stop
        yield Step(stop, attempt, units, curve.numpy(), total, ()), images, start
