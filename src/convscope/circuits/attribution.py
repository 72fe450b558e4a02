"""Exact contributions one layer back: the preactivation is the bias plus one term per input.

For input channel c with activations a_c, the contribution at a position p is
u_c(p) = sum_k W[k, c] a_c(p + k), and z(p) = b + sum_c u_c(p) holds without a remainder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.activations.recorder import LayerBatch, Recording, fill
from convscope.models.linear import Linear, linear
from convscope.models.network import Network, inputs_of
from convscope.models.receptive_field import Inside
from convscope.settings import ImageSettings
from convscope.unit import IMAGE, Unit


def contributions(
    inputs: np.ndarray, linear: Linear, which: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return u, what each of the C channels that a filter reads adds at some positions.

    z = bias + sum of u over its last axis, without a remainder.

    Args:
        inputs: activations `(photographs, rows, columns, channels)` that go into the layer.
        linear: how the filter follows from them.
        which: the photograph of each position `(n,)`.
        rows: its row in the layer's map.
        columns: its column.

    Returns:
        float32 `(n, C)`.
    """
    padded = _padded(inputs, linear)
    (down, across), rates = linear.window.strides, linear.window.rates
    total = np.zeros((len(which), len(linear.channels)), np.float32)
    for tap in np.ndindex(linear.window.taps):
        row, column = rows * down + tap[0] * rates[0], columns * across + tap[1] * rates[1]
        total += padded[which, row, column] * linear.kernel[tap]
    return total


def means(inputs: np.ndarray, linear: Linear, inside: Inside) -> np.ndarray:
    """Return each photograph's mean contributions, float64 `(photographs, C)`.

    Args:
        inputs: activations `(photographs, rows, columns, channels)` that go into the layer.
        linear: how the filter follows from them.
        inside: the positions of the layer's map that count.
    """
    padded = _padded(inputs, linear)
    window, total = linear.window, np.zeros((len(inputs), len(linear.channels)))
    for tap in np.ndindex(window.taps):
        rows, columns = (
            slice(
                places[0] * stride + at * rate,
                places[-1] * stride + at * rate + 1,
                places.step * stride,
            )
            for places, stride, at, rate in zip(
                (inside.rows, inside.columns), window.strides, tap, window.rates, strict=True
            )
        )
        seen = padded[:, rows, columns]
        total += seen.mean(axis=(1, 2), dtype=np.float64) * linear.kernel[tap]
    return total


def _padded(inputs: np.ndarray, linear: Linear) -> np.ndarray:
    """Return the channels that the filter reads, with the zeros that the layer puts around."""
    (_, *above), (_, *left) = linear.window.spans(inputs.shape[1:3])
    if len(linear.channels) < inputs.shape[-1]:
        inputs = inputs[..., linear.channels]
    return np.pad(inputs, ((0, 0), above, left, (0, 0)))


TOP = 0.01
"""The share of positions that count as strong responses."""
LEAST = 8
"""Photographs that either half needs."""
POSITIONS = 2**24
"""Positions at which a preactivation is kept at most: 64 MiB."""
BYTES = 400 * 2**20
"""Memory that the sampled contributions may take."""
WIDE = 5
"""Candidates that are kept on the way, in units of `TOP`: the threshold is known at the end."""
RECENT = 64
"""Batches that say on the way what a strong response is."""


@dataclass(frozen=True)
class Part:
    """What a filter gets from its C inputs on some photographs, numbered from 0.

    Attributes:
        bias: what the filter adds at every position.
        threshold: the preactivation from which a response is strong.
        mean: each photograph's mean contributions over all its positions `(photographs, C)`.
        z: preactivation at all positions `(photographs, positions)`.
        u: contributions at the sampled positions `(n, C)`, float32.
        of: the photograph of each of these `(n,)`.
        top: contributions at all positions of strong responses `(t, C)`, float32.
        top_of: the photograph of each of these `(t,)`.
    """

    bias: float
    threshold: float
    mean: np.ndarray
    z: np.ndarray
    u: np.ndarray
    of: np.ndarray
    top: np.ndarray
    top_of: np.ndarray

    @property
    def photographs(self) -> int:
        """How many there are."""
        return len(self.mean)

    @property
    def center(self) -> np.ndarray:
        """The mean contribution of each input `(C,)`, float64."""
        return self.mean.mean(axis=0)

    @property
    def sampled(self) -> np.ndarray:
        """The preactivation at the sampled positions `(n,)`, float64."""
        return self.bias + self.u.sum(axis=1, dtype=np.float64)

    @property
    def strong(self) -> np.ndarray:
        """The preactivation at the strong positions `(t,)`, float64."""
        return self.bias + self.top.sum(axis=1, dtype=np.float64)


@dataclass(frozen=True)
class Sample:
    """A whole sample and its two halves.

    Attributes:
        discovery: what inputs are ranked and chosen on, and thresholds set.
        confirmation: what every reported figure is of.
        places: the photographs of the confirmation half, as they came, from 0 `(photographs,)`.
        apart: whether the halves share no photograph.
        inside: the positions that count.
        whole: whether no position sees nothing but image, so that all count.
        thinned: whether only some of these positions count, for memory.
        error: the largest difference between preactivation and bias plus contributions, in units
            of the largest preactivation.
    """

    discovery: Part
    confirmation: Part
    places: np.ndarray
    apart: bool
    inside: Inside
    whole: bool
    thinned: bool
    error: float


@dataclass
class Sampler:
    """A sample that grows with each batch of photographs.

    Attributes:
        linear: how the filter follows from its inputs.
        filter: its number in the layer.
        most: positions of a photograph at which contributions are kept.
        photographs: how many are expected, for the memory.
        seed: of the positions.
        found: the positions that see nothing but image; None: there is none.
        size: rows and columns of the layer's map.
    """

    linear: Linear
    filter: int
    most: int
    photographs: int
    seed: int
    found: Inside | None
    size: tuple[int, int]

    def __post_init__(self) -> None:
        """Begin with no photograph."""
        # One array for each batch, see `_known`.
        self._batches: dict[str, list[np.ndarray]] = {
            name: [] for name in ("first", "z", "mean", "places", "u", "bounds")
        }
        self._top: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    @property
    def all(self) -> Inside:
        """The positions that may count."""
        return self.found or Inside(range(self.size[0]), range(self.size[1]))

    @property
    def inside(self) -> Inside:
        """The positions that count, as many as memory allows."""
        return self.all.thinned(POSITIONS // max(self.photographs, 1))

    @property
    def each(self) -> int:
        """Positions of a photograph at which contributions are kept."""
        room = BYTES // (4 * len(self.linear.channels) * max(self.photographs, 1))
        return max(1, min(self.most, room, self.inside.count))

    def add(self, batch: LayerBatch, first: Sequence[bool]) -> None:
        """Take a batch into the sample.

        Args:
            batch: what went into the layer and came out.
            first: which of the photographs belong to the discovery half.
        """
        inside, count = self.inside, len(first)
        start = sum(map(len, self._batches["first"]))
        z = inside.of(batch.maps[..., self.filter])
        places = np.stack([
            np.random.default_rng((self.seed, number)).permutation(inside.count)[: self.each]
            for number in range(start, start + count)
        ])  # fmt: skip
        which = np.repeat(np.arange(count), self.each)
        found = {
            "first": np.array(first, bool),
            "z": z,
            "mean": means(batch.inputs, self.linear, inside),
            "places": places,
            "u": self._at(batch, which, places.ravel()),
        }
        for name, values in found.items():
            self._batches[name].append(values)
        recent, chosen = self._known("z", RECENT), self._known("first", RECENT)
        bound = _top(recent[chosen] if chosen.any() else recent, WIDE * TOP)
        self._batches["bounds"].append(np.full(count, bound))
        which, strong = np.nonzero(z >= bound)
        self._top.append((start + which, strong, self._at(batch, which, strong)))

    def missing(self) -> list[int]:
        """Return the photographs whose strong responses were not all kept on the way."""
        z, bounds = self._known("z"), self._known("bounds")[:, None]
        return np.flatnonzero(((z >= self._threshold()) & (z < bounds)).any(axis=1)).tolist()

    def again(self, batch: LayerBatch, numbers: Sequence[int]) -> None:
        """Take the strong responses of photographs that were `missing`."""
        threshold, every, bounds = self._threshold(), self._known("z"), self._known("bounds")
        which, strong = np.nonzero(every[list(numbers)] >= threshold)
        number = np.asarray(numbers)[which]
        rest = np.flatnonzero(every[number, strong] < bounds[number])
        found = self._at(batch, which[rest], strong[rest])
        self._top.append((number[rest], strong[rest], found))
        bounds[list(numbers)] = np.minimum(bounds[list(numbers)], threshold)
        self._batches["bounds"] = [bounds]

    def sample(self) -> Sample:
        """Return what was found."""
        first, z, threshold = self._halves(), self._known("z"), self._threshold()
        of, strong, top = (np.concatenate(parts) for parts in zip(*self._top, strict=True))
        order = np.lexsort((strong, of))
        order = order[z[of, strong][order] >= threshold]
        of, top = of[order], top[order]
        u, mean = self._known("u"), self._known("mean")
        known = np.take_along_axis(z, self._known("places"), axis=1).ravel()
        size = max(float(np.abs(known).max()), 1e-12)
        error = np.abs(known - self.linear.bias - u.sum(axis=1, dtype=np.float64)).max()

        def part(which: np.ndarray) -> Part:
            number = np.cumsum(which) - 1
            sampled, strong = np.repeat(which, self.each), which[of]
            return Part(
                float(self.linear.bias),
                threshold,
                mean[which],
                z[which],
                u[sampled],
                np.repeat(number, self.each)[sampled],
                top[strong],
                number[of[strong]],
            )

        apart = not first.all()
        rest = ~first if apart else first
        return Sample(
            discovery=part(first),
            confirmation=part(rest),
            places=np.flatnonzero(rest),
            apart=apart,
            inside=self.inside,
            whole=self.found is None,
            thinned=self.inside.count < self.all.count,
            error=float(error) / size,
        )

    def _known(self, name: str, last: int = 0) -> np.ndarray:
        """Return what all batches, or the last few of them, gave."""
        return np.concatenate(self._batches[name][-last:])

    def _halves(self) -> np.ndarray:
        """Return the discovery half, bool; all photographs where a half would be too small."""
        first, z = self._known("first"), self._known("z")
        enough = min(first.sum(), (~first).sum()) >= LEAST
        if enough and (z[~first] >= _top(z[first], TOP)).any():
            return first
        return np.ones_like(first)

    def _threshold(self) -> float:
        """Return the preactivation from which a response is strong, by the discovery half."""
        return _top(self._known("z")[self._halves()], TOP)

    def _at(self, batch: LayerBatch, which: np.ndarray, places: np.ndarray) -> np.ndarray:
        return contributions(batch.inputs, self.linear, which, *self.inside.at(places))


def _top(z: np.ndarray, share: float) -> float:
    """Return the smallest of the largest `share` of the values."""
    flat = z.ravel()
    at = min(int((1 - share) * len(flat)), len(flat) - 1)
    return float(np.partition(flat, at)[at])


@dataclass(frozen=True)
class Inputs:
    """What a unit is a weighted sum of.

    Attributes:
        unit: the unit.
        linear: its kernel over its C inputs, and its bias.
        sources: the unit behind each of them.
    """

    unit: Unit
    linear: Linear
    sources: tuple[Unit, ...]

    @property
    def layers(self) -> list[str]:
        """The layer of the unit, and those that its inputs come from."""
        every = [self.unit.layer, *(source.layer for source in self.sources)]
        return [layer for layer in dict.fromkeys(every) if layer != IMAGE]


def read_by(network: Network, unit: Unit) -> Inputs:
    """Return what a unit is a weighted sum of.

    Raises:
        ValueError: its layer is no weighted sum of what goes in.
    """
    found, every = linear(network.find(unit.layer), unit.filter), inputs_of(network, unit.layer)
    return Inputs(unit, found, tuple(every[channel] for channel in found.channels))


def observe(
    network: Network,
    inputs: Inputs,
    paths: Sequence[Path],
    shown: ImageSettings,
    positions: int,
    seed: int,
    update: Callable[[int], None] = lambda done: None,
) -> tuple[Recording, Sample]:
    """Return what photographs do to a unit, and what it gets from its inputs on them.

    Args:
        network: the network, in float32.
        inputs: the unit with its inputs.
        paths: the photographs' files.
        shown: how they are shown, and how many at a time.
        positions: of each photograph at which contributions are kept.
        seed: of the positions.
        update: is told after each batch how many photographs have been shown.

    Raises:
        ValueError: none of the photographs can be read.
    """
    layer, filter, sides, sampler = inputs.unit.layer, inputs.unit.filter, shown.sides, None
    for recording in fill(network, inputs.layers, paths, sides, shown.batch, shown.fit):
        update(len(recording.paths) + len(recording.skipped))
        if recording.latest is None:
            continue
        if sampler is None:
            size = (recording.latest.maps.shape[1], recording.latest.maps.shape[2])
            inside = recording.fields[layer].inside(size, sides)
            sampler = Sampler(inputs.linear, filter, positions, len(paths), seed, inside, size)
        sampler.add(recording.latest, recording.halves[-len(recording.latest.maps) :].tolist())
    if sampler is None:
        raise ValueError("None of the photographs could be read.")
    for start in range(0, len(missing := sampler.missing()), shown.batch):
        part = missing[start : start + shown.batch]
        files = [recording.paths[number] for number in part]
        *_, seen = fill(network, [layer], files, sides, len(files), shown.fit)
        if seen.latest is not None and len(seen.paths) == len(part):
            sampler.again(seen.latest, part)
    return recording, sampler.sample()
