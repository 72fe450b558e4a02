"""Exact contributions one layer back: the preactivation is the bias plus one term per input.

For input channel c with activations a_c, the contribution at a position p is
u_c(p) = sum_k W[k, c] a_c(p + k), and z(p) = b + sum_c u_c(p) holds without a remainder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from convscope.models.flow import Window
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
