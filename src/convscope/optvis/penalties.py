"""What an optimized image is to have little of: differences, contrast, fine detail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.models.backend import tf

Penalty = Callable[[tf.Tensor], tf.Tensor]
"""images `(samples, height, width, 3)` in [0, 1] -> what each has too much of `(samples,)`. A
sample's number depends on itself alone, to the last bit."""

GREY = 0.5


def total_variation(images: tf.Tensor) -> tf.Tensor:
    """Return the mean absolute difference of two pixels side by side or one above the other.

    It leaves sharp edges and takes away what flickers from pixel to pixel.

    Source: Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms",
    1992; here with the two directions apart, whose gradient is defined in flat regions too.
    """
    height, width, colours = images.shape[1:]
    pairs = colours * (height * (width - 1) + (height - 1) * width)
    return _differences(images) / max(pairs, 1)


@tf.custom_gradient
def _differences(images: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return the summed absolute differences of neighbours `(samples,)`."""
    down = images[:, 1:] - images[:, :-1]
    across = images[:, :, 1:] - images[:, :, :-1]

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        # TensorFlow's own way back through the four cuts takes five times as long.
        slopes = tf.zeros_like(images)
        for axis, signs in ((1, tf.sign(down)), (2, tf.sign(across))):
            first, second = np.zeros((2, 4, 2), np.int32)
            first[axis, 1] = second[axis, 0] = 1
            slopes += tf.pad(signs, second) - tf.pad(signs, first)
        return upstream[:, None, None, None] * slopes

    return _sum(tf.abs(down)) + _sum(tf.abs(across)), gradient


def l1(images: tf.Tensor) -> tf.Tensor:
    """Return the mean distance from mid-grey; pixels that matter to no one turn grey."""
    return _mean(tf.abs(images - GREY))


def l2(images: tf.Tensor) -> tf.Tensor:
    """Return the mean squared distance from mid-grey; strong pixels are pulled most."""
    return _mean(tf.square(images - GREY))


def blur_decay(images: tf.Tensor) -> tf.Tensor:
    """Return the mean squared distance from the image's own blurred copy.

    The copy is the mean over 3 x 3 pixels, at the edges over those that are there. It stands still
    under the gradient, which therefore draws every pixel towards its surroundings.

    Source: Olah, Mordvintsev and Schubert, "Feature Visualization", 2017 (their published code).
    """
    blurred = tf.nn.avg_pool2d(images, ksize=3, strides=1, padding="SAME")
    return _mean(tf.square(images - tf.stop_gradient(blurred)))


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Return the mean `(samples,)` of values `(samples, height, width, 3)`."""
    height, width, colours = values.shape[1:]
    return _sum(values) / (height * width * colours)


def _sum(values: tf.Tensor) -> tf.Tensor:
    """Return the sum `(samples,)` of values `(samples, height, width, 3)`."""
    # Row by row first: the sum over all of a lone sample would be divided among the processors.
    return tf.reduce_sum(tf.reduce_sum(values, axis=(2, 3)), axis=1)
