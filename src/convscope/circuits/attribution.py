"""Exact contributions one layer back: the preactivation is the bias plus one term per input.

For input channel c with activations a_c, the contribution at a position p is
u_c(p) = sum_k W[k, c] a_c(p + k), and z(p) = b + sum_c u_c(p) holds without a remainder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from convscope.activations.recorder import LayerBatch
from convscope.models.graph import Window
from convscope.models.linear import Linear
from convscope.models.receptive_field import Inside


def contributions(inputs: np.ndarray, linear: Linear) -> np.ndarray:
    """Return u, what each input channel adds to a filter's preactivation at each position.

    z = bias + sum of u over its last axis, without a remainder.

    Args:
        inputs: activations `(photographs, rows, columns, channels)` that go into the layer.
        linear: how the filter follows from them.

    Returns:
        float32 `(photographs, rows, columns, C)` for the C channels that the filter reads.
    """
    rows, columns = positions(inputs.shape[1:3], linear.window)
    total = np.zeros((len(inputs), rows, columns, len(linear.channels)), np.float32)
    every = Inside(range(rows), range(columns))
    for tap, seen in _taps(inputs, linear, every):
        total += seen * linear.kernel[tap]
    return total


def contributions_at(
    inputs: np.ndarray, linear: Linear, which: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return `contributions` at some positions only, float32 `(n, C)`.

    Args:
        inputs: activations `(photographs, rows, columns, channels)` that go into the layer.
        linear: how the filter follows from them.
        which: the photograph of each position `(n,)`.
        rows: its row in the layer's map.
        columns: its column.
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
    total = np.zeros((len(inputs), len(linear.channels)))
    for tap, seen in _taps(inputs, linear, inside):
        total += seen.mean(axis=(1, 2), dtype=np.float64) * linear.kernel[tap]
    return total


def positions(size: Sequence[int], window: Window) -> tuple[int, int]:
    """Return how many (rows, columns) a layer computes on an input of (rows, columns)."""
    (rows, *_), (columns, *_) = window.spans(size)
    return rows, columns


def _padded(inputs: np.ndarray, linear: Linear) -> np.ndarray:
    """Return the channels that the filter reads, with the zeros that the layer puts around."""
    (_, *above), (_, *left) = linear.window.spans(inputs.shape[1:3])
    if len(linear.channels) < inputs.shape[-1]:
        inputs = inputs[..., linear.channels]
    return np.pad(inputs, ((0, 0), above, left, (0, 0)))


def _taps(
    inputs: np.ndarray, linear: Linear, inside: Inside
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield each tap's (row, column), and what it sees at each of the positions `inside`."""
    padded = _padded(inputs, linear)
    (down, across), rates = linear.window.strides, linear.window.rates
    for row, column in np.ndindex(linear.window.taps):
        rows = _every(inside.rows, down, row * rates[0])
        columns = _every(inside.columns, across, column * rates[1])
        yield (row, column), padded[:, rows, columns]


def _every(places: range, stride: int, start: int) -> slice:
    """Return where a tap looks from positions of the output."""
    first, last = places[0] * stride + start, places[-1] * stride + start
    return slice(first, last + 1, places.step * stride)


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
    _z: list[np.ndarray] = field(default_factory=list)
    _mean: list[np.ndarray] = field(default_factory=list)
    _u: list[np.ndarray] = field(default_factory=list)
    _places: list[np.ndarray] = field(default_factory=list)
    _first: list[bool] = field(default_factory=list)
    _bounds: list[float] = field(default_factory=list)
    _top: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

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
        inside, start, count = self.inside, len(self._first), len(first)
        z = inside.of(batch.maps[..., self.filter])
        self._first.extend(first)
        self._z.append(z)
        self._mean.append(means(batch.inputs, self.linear, inside))
        places = np.stack([
            np.random.default_rng((self.seed, number)).permutation(inside.count)[: self.each]
            for number in range(start, start + count)
        ])  # fmt: skip
        which = np.repeat(np.arange(count), self.each)
        self._places.append(places)
        self._u.append(self._at(batch, which, places.ravel()))
        recent = np.concatenate(self._z[-RECENT:])
        chosen = np.array(self._first[-len(recent) :], bool)
        bound = _top(recent[chosen] if chosen.any() else recent, WIDE * TOP)
        self._bounds.extend([bound] * count)
        which, strong = np.nonzero(z >= bound)
        self._top.append((start + which, strong, self._at(batch, which, strong)))

    def missing(self) -> list[int]:
        """Return the photographs whose strong responses were not all kept on the way."""
        threshold = self._quantile(TOP)
        z, bounds = np.concatenate(self._z), np.array(self._bounds)[:, None]
        return np.flatnonzero(((z >= threshold) & (z < bounds)).any(axis=1)).tolist()

    def again(self, batch: LayerBatch, numbers: Sequence[int]) -> None:
        """Take the strong responses of photographs that were `missing`."""
        threshold, every = self._quantile(TOP), np.concatenate(self._z)
        which, strong = np.nonzero(every[list(numbers)] >= threshold)
        number = np.asarray(numbers)[which]
        rest = np.flatnonzero(every[number, strong] < np.array(self._bounds)[number])
        found = self._at(batch, which[rest], strong[rest])
        self._top.append((number[rest], strong[rest], found))
        for one in numbers:
            self._bounds[one] = min(self._bounds[one], threshold)

    def sample(self) -> Sample:
        """Return what was found."""
        first, z = self._halves(), np.concatenate(self._z)
        threshold = self._quantile(TOP)
        of, strong, top = (np.concatenate([part[at] for part in self._top]) for at in range(3))
        keep = z[of, strong] >= threshold
        order = np.lexsort((strong[keep], of[keep]))
        of, top = of[keep][order], top[keep][order]
        u, mean = np.concatenate(self._u), np.concatenate(self._mean)
        known = np.take_along_axis(z, np.concatenate(self._places), axis=1).ravel()
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
        halves = part(first), part(rest)
        return Sample(
            *halves,
            places=np.flatnonzero(rest),
            apart=apart,
            inside=self.inside,
            whole=self.found is None,
            thinned=self.inside.count < self.all.count,
            error=float(error) / size,
        )

    def _halves(self) -> np.ndarray:
        """Return the discovery half, bool; all photographs where a half would be too small."""
        first = np.array(self._first, bool)
        z = np.concatenate(self._z)
        enough = min(first.sum(), (~first).sum()) >= LEAST
        if enough and (z[~first] >= _top(z[first], TOP)).any():
            return first
        return np.ones_like(first)

    def _quantile(self, share: float) -> float:
        """Return the preactivation above which a share of the discovery half's positions lie."""
        return _top(np.concatenate(self._z)[self._halves()], share)

    def _at(self, batch: LayerBatch, which: np.ndarray, places: np.ndarray) -> np.ndarray:
        rows, columns = self.inside.at(places)
        return contributions_at(batch.inputs, self.linear, which, rows, columns)


def _top(z: np.ndarray, share: float) -> float:
    """Return the smallest of the largest `share` of the values."""
    flat = z.ravel()
    at = min(int((1 - share) * len(flat)), len(flat) - 1)
    return float(np.partition(flat, at)[at])
