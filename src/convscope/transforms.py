"""What an optimized image must survive: a move by its own draw, inside the gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.backend import tf

Transform = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""images `(samples, height, width, 3)`, seeds `(samples, 2)` -> images of the same static shape."""

GREY = 0.5


def uniform(seeds: tf.Tensor, count: int) -> tf.Tensor:
    """Return `(samples, count)` numbers in [-1, 1), each row drawn from its own seed."""
    draws = [tf.random.stateless_uniform((count,), seed, -1.0, 1.0) for seed in tf.unstack(seeds)]
    return tf.stack(draws)


def affine(jitter: float = 6.0, scale: float = 0.1, rotate: float = 10.0) -> Transform:
    """Return a shift, zoom and rotation about the centre in one bilinear resampling.

    One warp of static shape takes the place of padding, two random crops, a resize and a rotation:
    a single interpolation, no change of size, no wrapped edges and no black borders, since what
    comes in from outside is mid-grey.

    Args:
        jitter: largest shift up, down, left and right, in pixels.
        scale: largest relative change of size: 0.1 means 0.9 to 1.1.
        rotate: largest angle either way, in degrees.
    """

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1], images.shape[2]
        down, right, zoom, turn = tf.unstack(uniform(seeds, 4), axis=1)
        angle = turn * np.float32(np.deg2rad(rotate))
        factor = 1.0 / (1.0 + scale * zoom)
        cosine, sine = factor * tf.cos(angle), factor * tf.sin(angle)
        row, column = (height - 1) / 2.0, (width - 1) / 2.0
        # Output (column, row) reads input (a x + b y + c, d x + e y + f), about the centre.
        c = column + jitter * right - cosine * column + sine * row
        f = row + jitter * down - sine * column - cosine * row
        zero = tf.zeros_like(c)
        matrix = tf.stack([cosine, -sine, c, sine, cosine, f, zero, zero], axis=1)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=matrix,
            output_shape=tf.constant([height, width]),
            fill_value=GREY,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )

    return apply
