"""What an optimized image must survive: a move by its own draw, inside the gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.models.backend import tf
from convscope.optvis.stateless_random import normal, steady, uniform
from convscope.settings import sides

Transform = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""images `(samples, height, width, 3)`, seeds `(samples, 2)`, how much of the ascent is done, from
0 to below 1 -> images of a static shape. What a sample becomes depends on itself and its seed
alone, to the last bit."""

GREY = 0.5

# How far the side of a crop strays from its mean, and the least there is of it, in shares of the
# canvas. Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude
# Constrained Optimization", 2023.
SIDE_DEVIATION = 0.05
SMALLEST_SIDE = 0.05


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

    def apply(images: tf.Tensor, seeds: tf.Tensor, progress: tf.Tensor) -> tf.Tensor:
        down, right, zoom, turn = tf.unstack(uniform(seeds, 4), axis=1)
        angle = turn * np.float32(np.deg2rad(rotate))
        # Divided as it stands: in a compiled graph, the last bit of 1 / x depends on the batch.
        grown = 1.0 + scale * zoom
        cosine, sine = steady(tf.cos, angle) / grown, steady(tf.sin, angle) / grown
        return _warp(images, cosine, sine, jitter * right, jitter * down)

    return apply


@tf.custom_gradient
def _warp(
    images: tf.Tensor, *move: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
    """Return images turned, zoomed and shifted about their centre, by numbers `(samples,)`.

    The numbers are cosine, sine, right and down. An output pixel at x, y from the centre reads the
    input at cosine * x - sine * y + right, sine * x + cosine * y + down. The gradient is the way
    back of the upstream one, by the inverse move; where the image is spread over more pixels, each
    of its own gathers as many more pulls.
    """
    cosine, sine, right, down = move

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        area = cosine * cosine + sine * sine
        back, turn = cosine / area, -sine / area
        across, up = turn * down - back * right, -turn * right - back * down
        pulls = _read(upstream, (back, turn, across, up), fill=0.0)
        return pulls / area[:, None, None, None], None, None, None, None

    return _read(images, move, fill=GREY), gradient


def _read(images: tf.Tensor, move: tuple[tf.Tensor, ...], fill: float) -> tf.Tensor:
    """Return images read bilinearly at moved places, `fill` where those lie outside."""
    (height, width), (cosine, sine, right, down) = images.shape[1:3], move
    row, column = (height - 1) / 2.0, (width - 1) / 2.0
    c = column + right - cosine * column + sine * row
    f = row + down - sine * column - cosine * row
    zero = tf.zeros_like(c)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([cosine, -sine, c, sine, cosine, f, zero, zero], axis=1),
        output_shape=tf.constant([height, width]),
        fill_value=fill,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def blur(sigma: float) -> Transform:
    """Return a Gaussian blur whose deviation is drawn anew, evenly from none to `sigma`.

    At an edge, the weights of the pixels that are there sum to one: nothing turns darker.

    Args:
        sigma: largest standard deviation, in pixels.
    """

    def apply(images: tf.Tensor, seeds: tf.Tensor, progress: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1], images.shape[2]
        drawn = sigma * 0.5 * (uniform(seeds, 1) + 1.0)
        # At a hundredth of a pixel every neighbour's weight is exactly zero already.
        distances = tf.range(max(height, width), dtype=tf.float32) / tf.maximum(drawn, 0.01)
        bell = steady(tf.exp, -0.5 * tf.square(distances))
        return resample(images, _banded(bell, height), _banded(bell, width))

    return apply


def _banded(bell: tf.Tensor, size: int) -> tf.Tensor:
    """Return weights `(samples, size, size)` of pixels by their distance, summing to one."""
    places = np.arange(size)
    weights = tf.gather(bell, np.abs(places[:, None] - places), axis=1)
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def noise(deviation: float) -> Transform:
    """Return normal noise on every pixel and colour.

    Values beyond [0, 1] stay: clipping would stop the gradient of just those pixels that have
    reached an end, and pull the mean inwards.

    Args:
        deviation: standard deviation, where black to white is 1.
    """

    def apply(images: tf.Tensor, seeds: tf.Tensor, progress: tf.Tensor) -> tf.Tensor:
        return images + normal(seeds, tuple(images.shape[1:]), deviation)

    return apply


def crops(
    size: int | tuple[int, int], largest: float, smallest: float, spread: float = 0.15
) -> Transform:
    """Return a random rectangle of the image, of the shape of `size` and brought to it.

    Its mean sides fall evenly with the progress of the ascent. It stays inside the image, so that
    nothing from outside is ever seen. When it shrinks, each new pixel is a mean over all
    the old ones that it covers, weighted by a triangle.

    Args:
        size: one side, or rows and columns, that come out.
        largest: its mean sides at the start, as a share of the largest that the canvas holds.
        smallest: the same at the end.
        spread: standard deviation of its centre, as a share of the canvas's sides.

    Source: Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude
    Constrained Optimization", 2023.
    """

    def apply(images: tf.Tensor, seeds: tf.Tensor, progress: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1], images.shape[2]
        stray, down, right = tf.unstack(normal(seeds, (3,), 1.0), axis=1)
        share = largest + (smallest - largest) * progress + SIDE_DEVIATION * stray
        share = tf.clip_by_value(share, SMALLEST_SIDE, 1.0)
        tall, wide = sides(size)
        rows = _window(height, tall, min(height, width * tall / wide) * share, 0.5 + spread * down)
        most = min(width, height * wide / tall)
        columns = _window(width, wide, most * share, 0.5 + spread * right)
        return resample(images, rows, columns)

    return apply


def _window(length: int, size: int, side: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
    """Return weights `(samples, size, length)` that read a stretch of one axis at `size` places.

    Args:
        length: pixels of the axis.
        size: how many come out.
        side: pixels of the stretch `(samples,)`.
        centre: where its middle lies `(samples,)`, as a share of the axis.
    """
    start = tf.clip_by_value(centre * length - side / 2.0, 0.0, length - side)
    step = side / size
    places = start[:, None] + step[:, None] * (np.arange(size, dtype=np.float32) + 0.5) - 0.5
    distances = tf.abs(places[:, :, None] - np.arange(length, dtype=np.float32))
    weights = tf.nn.relu(1.0 - distances / tf.maximum(step, 1.0)[:, None, None])
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def resample(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Return weighted means of the pixels `(samples, new rows, new columns, 3)`.

    Args:
        images: `(samples, height, width, 3)`.
        rows: weights of the old rows in the new ones `(samples, new rows, height)`.
        columns: weights of the old columns `(samples, new columns, width)`.
    """
    return _resample_first(_resample_first(images, rows), columns)


def _resample_first(images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return images whose rows are resampled, with the two axes exchanged for the next turn."""
    height, width = images.shape[1], images.shape[2]
    means = tf.matmul(weights, tf.reshape(images, (-1, height, width * 3)))
    return tf.transpose(tf.reshape(means, (-1, weights.shape[1], width, 3)), (0, 2, 1, 3))
