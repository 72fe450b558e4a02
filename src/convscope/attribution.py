"""Exact contributions one layer back: the preactivation is the bias plus one term per input.

For input channel c with activations a_c, the contribution at a position p is
u_c(p) = sum_k W[k, c] a_c(p + k), and z(p) = b + sum_c u_c(p) holds without a remainder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.backend import keras
from convscope.readings import spans


def patch_sum(inputs: np.ndarray, layer: keras.layers.Conv2D) -> np.ndarray:
    """Return what each kernel tap sees of each channel, summed over photographs and positions.

    Args:
        inputs: activations `(photographs, rows, columns, C)` that go into the convolution.
        layer: the convolution; its kernel size, strides, dilation and padding are followed.

    Returns:
        `(height, width, C)` float64; zero padding counts as zeros.
    """
    (height, width), strides, rates = layer.kernel_size, layer.strides, layer.dilation_rate
    (rows, *above), (columns, *left) = spans(inputs.shape[1:3], layer)
    padded = np.pad(inputs, ((0, 0), above, left, (0, 0)))
    sums = np.empty((height, width, inputs.shape[-1]))
    for row in range(height):
        for column in range(width):
            down, right = row * rates[0], column * rates[1]
            seen = padded[
                :,
                down : down + (rows - 1) * strides[0] + 1 : strides[0],
                right : right + (columns - 1) * strides[1] + 1 : strides[1],
            ]
            sums[row, column] = seen.sum(axis=(0, 1, 2), dtype=np.float64)
    return sums


def positions(size: Sequence[int], layer: keras.layers.Conv2D) -> tuple[int, int]:
    """Return how many (rows, columns) a convolution computes on an input of (rows, columns)."""
    (rows, *_), (columns, *_) = spans(size, layer)
    return rows, columns


def expected_contributions(kernel: np.ndarray, patch_mean: np.ndarray) -> np.ndarray:
    """Return each input's mean contribution `(C,)` to one filter's preactivation.

    Args:
        kernel: the filter's weights `(height, width, C)`.
        patch_mean: the mean of what each tap sees `(height, width, C)`, borders included.
    """
    return np.sum(kernel.astype(np.float64) * patch_mean, axis=(0, 1))
