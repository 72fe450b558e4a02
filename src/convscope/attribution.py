"""Exact contributions one layer back: the preactivation is the bias plus one term per input.

For input channel c with activations a_c, the contribution at a position p is
u_c(p) = sum_k W[k, c] a_c(p + k), and z(p) = b + sum_c u_c(p) holds without a remainder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from convscope.flow import Window
from convscope.linear import Linear


def patch_sum(inputs: np.ndarray, window: Window) -> np.ndarray:
    """Return what each kernel tap sees of each channel, summed over photographs and positions.

    Args:
        inputs: activations `(photographs, rows, columns, C)` that go into a layer.
        window: where the layer's taps lie.

    Returns:
        `(height, width, C)` float64; zero padding counts as zeros.
    """
    sums = np.empty((*window.taps, inputs.shape[-1]))
    for tap, seen in _taps(inputs, window):
        sums[tap] = seen.sum(axis=(0, 1, 2), dtype=np.float64)
    return sums


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
    for tap, seen in _taps(inputs[..., linear.channels], linear.window):
        total += seen * linear.kernel[tap]
    return total


def positions(size: Sequence[int], window: Window) -> tuple[int, int]:
    """Return how many (rows, columns) a layer computes on an input of (rows, columns)."""
    (rows, *_), (columns, *_) = window.spans(size)
    return rows, columns


def expected_contributions(kernel: np.ndarray, patch_mean: np.ndarray) -> np.ndarray:
    """Return each input's mean contribution `(C,)` to one filter's preactivation.

    Args:
        kernel: the filter's weights `(height, width, C)`.
        patch_mean: the mean of what each tap sees `(height, width, C)`, borders included.
    """
    return np.sum(kernel.astype(np.float64) * patch_mean, axis=(0, 1))


def _taps(inputs: np.ndarray, window: Window) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield each tap's (row, column), and what it sees at each position of the output."""
    (rows, *above), (columns, *left) = window.spans(inputs.shape[1:3])
    padded = np.pad(inputs, ((0, 0), above, left, (0, 0)))
    strides, rates = window.strides, window.rates
    for row, column in np.ndindex(window.taps):
        down, right = row * rates[0], column * rates[1]
        yield (
            (row, column),
            padded[
                :,
                down : down + (rows - 1) * strides[0] + 1 : strides[0],
                right : right + (columns - 1) * strides[1] + 1 : strides[1],
            ],
        )
