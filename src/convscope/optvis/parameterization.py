"""Free numbers that decode to an image in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from convscope.models.backend import tf
from convscope.optvis.stateless_random import normal, steady, uniform

# Chosen by the first layer, whose optima are known in closed form: at .05 all 64 filters of VGG16
# reach them, with the plain sigmoid 46 do; deeper units lose 3 % of their score in as many steps.
RETURN = 0.05

# Where the logarithm of a given image ends: black and white would lie at infinity.
DARKEST, BRIGHTEST = 0.02, 0.98

# As published by Olah et al.: it sets the contrast at the start and the reach of a step.
QUARTER = 0.25

# The standard deviation of an angle that is uniform on the circle.
CIRCLE = math.pi / math.sqrt(3)

# Deviations below it count as none: what is flat stays flat, the phases of a grey image for one.
FLAT = 1e-12


@dataclass(frozen=True)
class Parameterization:
    """How free numbers become images, and images free numbers.

    Nothing that happens to a sample depends on the others, to the last bit.

    Attributes:
        initial: seeds `(samples, 2)`, height, width -> free numbers `(samples, ...)`. A sample's
            start depends on its own seed alone.
        decode: free numbers, height, width -> images `(samples, height, width, 3)` in [0, 1].
        encode: images `(samples, height, width, 3)` in [0, 1] -> free numbers that decode to these
            images, as nearly as the parameterization can.
        share: a value for each free number, as its squared gradient -> the same with those averaged
            that an optimizer gives steps of one size; same shape.
    """

    initial: Callable[[tf.Tensor, int, int], tf.Tensor]
    decode: Callable[[tf.Tensor, int, int], tf.Tensor]
    encode: Callable[[tf.Tensor], tf.Tensor]
    share: Callable[[tf.Tensor], tf.Tensor]


def recorrelate(planes: tf.Tensor) -> tf.Tensor:
    """Return `(samples, height, width, 3)` of three decorrelated colours.

    The colour correlations of natural photographs are put back in.

    Args:
        planes: `(samples, 3, height, width)`.
    """
    height, width = planes.shape[2:]
    flat = tf.reshape(planes, (-1, 3, height * width))
    mixed = tf.matmul(flat, tf.constant(COLOURS), transpose_a=True, transpose_b=True)
    return tf.reshape(mixed, (-1, height, width, 3))


def decorrelate(images: tf.Tensor) -> tf.Tensor:
    """Return the planes `(samples, 3, height, width)` that decode to images, colours apart.

    Args:
        images: `(samples, height, width, 3)` in [0, 1].
    """
    height, width = images.shape[1:3]
    inside = tf.clip_by_value(images, DARKEST, BRIGHTEST)
    logits = steady(tf.math.log, inside / (1 - inside))
    flat = tf.reshape(logits, (-1, height * width, 3))
    mixed = tf.matmul(tf.constant(DECORRELATION), flat, transpose_b=True)
    return tf.reshape(mixed, (-1, 3, height, width))


@tf.custom_gradient
def squash(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return the sigmoid, with a gradient that never dies on the way back from an end.

    A pixel that an early step has driven to the wrong end of [0, 1] has no gradient in float32 and
    would stay there for good. Upstream pulls towards the middle therefore pass with a slope of at
    least `RETURN`; pulls outwards keep the true one. Every pixel's gradient keeps its sign.
    """
    values = steady(tf.sigmoid, logits)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        inwards = tf.cast(upstream * logits < 0, tf.float32)
        return upstream * tf.maximum(values * (1 - values), RETURN * inwards)

    return values, gradient


@tf.custom_gradient
def clip(offsets: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return mid-grey plus `offsets`, clipped to [0, 1], with a gradient that never dies inwards.

    At an end and beyond, pulls inwards pass in full, so that a pixel finds back from wherever it
    is; pulls outwards are stopped, so that it goes no further.
    """

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        outwards = (tf.abs(offsets) >= 0.5) & (upstream * offsets > 0)
        return upstream * tf.cast(~outwards, tf.float32)

    return tf.clip_by_value(offsets + 0.5, 0.0, 1.0), gradient


def synthesis(height: int, width: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the inverse Fourier transform from pairs of real numbers.

    It takes real and imaginary parts `(samples, 3, height, width // 2 + 1, 2)` to planes
    `(samples, 3, height, width)`. TensorFlow's own gradient of complex numbers costs twice as much
    as the transform; this one never leaves the pairs.
    """
    # The half spectrum stands for both halves, except for the columns that are their own mirror.
    twice = np.full((height, width // 2 + 1), 2.0)
    twice[:, [0, -1] if width % 2 == 0 else [0]] = 1.0

    @tf.custom_gradient
    def planes(pairs: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return _times(_pairs(upstream), twice / (height * width))

        return tf.signal.irfft2d(tf.bitcast(pairs, tf.complex64), [height, width]), gradient

    return planes


def _pairs(planes: tf.Tensor) -> tf.Tensor:
    """Return the spectrum `(samples, 3, height, width // 2 + 1, 2)` of planes as real numbers."""
    return tf.bitcast(tf.signal.rfft2d(planes), tf.float32)


def _times(pairs: tf.Tensor, factors: np.ndarray) -> tf.Tensor:
    """Return pairs `(..., height, width, 2)` times factors `(height, width)`."""
    # In one row for each plane: broadcast over five axes it takes three times as long.
    row = np.repeat(factors.ravel(), 2).astype(np.float32)
    return tf.reshape(tf.reshape(pairs, (-1, row.size)) * row, pairs.shape)


def rings(pairs: tf.Tensor) -> tf.Tensor:
    """Return pairs with each value replaced by the mean over its colour and frequency.

    Frequencies are told apart in steps of one cycle a canvas; the corners of the spectrum, beyond
    the highest that fits along a side, count as one.

    Args:
        pairs: `(samples, 3, height, width // 2 + 1, 2)`.
    """
    _, _, height, half, _ = pairs.shape
    # Whether the width was odd cannot be seen any more; its frequencies are then less than half a
    # step too high.
    width = max(2 * (half - 1), 1)
    size = max(height, width)
    steps = np.rint(frequencies(height, width) * size).astype(np.int32)
    ring = np.minimum(steps, size // 2).ravel()
    members = np.bincount(ring)[:, None].astype(np.float32)
    values = tf.transpose(tf.reshape(tf.reduce_mean(pairs, axis=4), (-1, ring.size)))
    means = tf.math.unsorted_segment_sum(values, ring, len(members)) / members
    spread = tf.reshape(tf.transpose(tf.gather(means, ring)), (-1, 3, height, half, 1))
    return tf.broadcast_to(spread, tf.shape(pairs))


def fourier(decay: float = 1.0, deviation: float = 0.01) -> Parameterization:
    """Return images as spectra whose amplitudes fall with frequency, in decorrelated colours.

    The free numbers are real and imaginary parts `(samples, 3, height, width // 2 + 1, 2)` of the
    half spectrum. Dividing by frequency makes equal steps of the optimizer move all scales alike;
    the sigmoid keeps every pixel inside [0, 1] with a gradient.

    Args:
        decay: exponent of 1 / frequency; 1 is the fall-off of natural images, 0 is white.
        deviation: standard deviation of the free numbers at the start.

    Source: Olah, Mordvintsev and Schubert, "Feature Visualization", 2017.
    """

    def gain(height: int, width: int) -> np.ndarray:
        floor = 1.0 / max(height, width)
        fall = np.maximum(frequencies(height, width), floor) ** decay
        return QUARTER * np.sqrt(height * width) / fall

    def decode(numbers: tf.Tensor, height: int, width: int) -> tf.Tensor:
        planes = synthesis(height, width)(_times(numbers, gain(height, width)))
        return squash(recorrelate(planes))

    return Parameterization(
        lambda seeds, height, width: normal(seeds, (3, height, width // 2 + 1, 2), deviation),
        decode,
        lambda images: _times(_pairs(decorrelate(images)), 1.0 / gain(*images.shape[1:3])),
        rings,
    )


def pixel(deviation: float = 0.0) -> Parameterization:
    """Return images as their pixels, each a free number: its offset from mid-grey.

    The free numbers have the image's own shape `(samples, height, width, 3)`. No scale and no
    colour is favoured, so that fine detail grows first.

    Args:
        deviation: standard deviation of the offsets at the start; 0 starts from mid-grey.
    """
    return Parameterization(
        lambda seeds, height, width: normal(seeds, (height, width, 3), deviation),
        lambda numbers, height, width: clip(numbers),
        lambda images: images - 0.5,
        tf.identity,
    )


def maco(spectrum: Spectrum) -> Parameterization:
    """Return images whose every frequency keeps the strength it has in natural photographs.

    The free numbers are phases `(samples, 3, height, width // 2 + 1)`: where structure lies is
    free, how much of it there is at each scale is not. Their spread and the image's contrast are
    set anew each time, per sample.

    A given image is encoded by its phases alone; its magnitudes are replaced, so that what comes
    back resembles it without being equal to it.

    Args:
        spectrum: height, width -> magnitudes `(3, height, width // 2 + 1)`; only ratios matter.

    Source: Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude
    Constrained Optimization", 2023.
    """

    def initial(seeds: tf.Tensor, height: int, width: int) -> tf.Tensor:
        shape = (3, height, width // 2 + 1)
        flat = uniform(seeds, math.prod(shape)) * math.pi
        return tf.reshape(flat, (-1, *shape))

    def decode(numbers: tf.Tensor, height: int, width: int) -> tf.Tensor:
        # Published: normal phases of unit spread. Those lie mostly on one side of the circle, where
        # waves agree: the start is a bright blob in the corner that all waves begin from. Uniform
        # ones start as texture everywhere, and leave the phases of a given image as they are.
        phases = CIRCLE * standardize(numbers)
        magnitudes = tf.constant(spectrum(height, width))
        real, imaginary = steady(tf.cos, phases), steady(tf.sin, phases)
        waves = tf.complex(magnitudes * real, magnitudes * imaginary)
        planes = tf.signal.irfft2d(waves, [height, width])
        return steady(tf.sigmoid, recorrelate(standardize(planes)))

    def encode(images: tf.Tensor) -> tf.Tensor:
        return tf.math.angle(tf.signal.rfft2d(decorrelate(images)))

    return Parameterization(initial, decode, encode, tf.identity)


@tf.custom_gradient
def standardize(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return `(samples, 3, rows, columns)` with zero mean and unit deviation for each sample."""
    centred = values - _mean(values)
    deviation = tf.maximum(tf.sqrt(_mean(tf.square(centred))), FLAT)
    standard = centred / deviation

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        along = standard * _mean(upstream * standard)
        return (upstream - _mean(upstream) - along) / deviation

    return standard, gradient


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Return the mean `(samples, 1, 1, 1)` of each sample."""
    # Row by row first: the sum over all of a lone sample would be divided among the processors.
    rows = tf.reduce_mean(values, axis=3, keepdims=True)
    return tf.reduce_mean(rows, axis=(1, 2), keepdims=True)


Spectrum = Callable[[int, int], np.ndarray]
"""height, width -> magnitudes `(3, height, width // 2 + 1)` of three decorrelated colours."""

# Square root of the colour covariance of ImageNet, columns divided by the largest column norm.
# Olah, Mordvintsev and Schubert, "Feature Visualization", 2017 (their published constants).
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)
COLOURS = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max()
DECORRELATION = np.linalg.inv(COLOURS.astype(np.float64)).astype(np.float32)

# Mean magnitudes of ImageNet's photographs at 512 pixels in those three colours, by radius in
# cycles per 512 pixels; measured on the spectrum that Fel et al. publish with "Unlocking Feature
# Visualization for Deeper Networks with MAgnitude Constrained Optimization", 2023. Only ratios
# matter.
MEAN = np.array([2.55e5, 2.70e5, 2.28e5])
RADII = np.array([1, 2, 3.5, 6.5, 12.5, 24.5, 40.5, 56.5, 80.5, 112.5, 144.5, 176.5, 208.5, 240.5])
MAGNITUDES = np.array(
    [
        [8.0e4, 3.7e4, 1.95e4, 9551, 4190, 1695, 807, 481, 267, 139, 75, 39, 18, 6.2],
        [8.7e4, 4.1e4, 1.97e4, 9685, 4062, 1643, 775, 451, 240, 117, 58, 27, 11.5, 3.5],
        [6.6e4, 3.1e4, 1.64e4, 7761, 3427, 1427, 690, 421, 236, 121, 63, 31, 13.5, 4.2],
    ]
)
TABLE_SIZE = 512


def frequencies(height: int, width: int) -> np.ndarray:
    """Return each coefficient's frequency `(height, width // 2 + 1)`, in cycles per pixel."""
    vertical = np.fft.fftfreq(height)[:, None]
    horizontal = np.fft.rfftfreq(width)[None, :]
    return np.hypot(vertical, horizontal).astype(np.float32)


def natural(height: int, width: int) -> np.ndarray:
    """Return ImageNet's mean magnitudes `(3, height, width // 2 + 1)`, alike in all directions.

    They lie on straight lines between the table's points, magnitude and frequency both in
    logarithms. Below its first radius they stay level; behind its last they keep the last slope,
    which reaches into the corners. The mean is the table's on a canvas of the table's size.
    """
    radii = np.append(RADII, 2 * RADII[-1])
    steepness = np.diff(np.log(MAGNITUDES[:, -2:])) / np.diff(np.log(RADII[-2:]))
    last = MAGNITUDES[:, -1:] * 2**steepness
    logarithms = np.log(np.append(MAGNITUDES, last, axis=1))
    asked = np.log(np.maximum(frequencies(height, width) * TABLE_SIZE, radii[0]))
    result = np.exp([np.interp(asked, np.log(radii), values) for values in logarithms])
    # With the size of the canvas waves grow like its side, their mean like its area: as it stands
    # in the table, the mean would leave a small canvas a flat tint and hardly any contrast.
    result[:, 0, 0] = MEAN * np.sqrt(height * width) / TABLE_SIZE
    return result.astype(np.float32)


def of_photographs(batches: Iterable[np.ndarray]) -> Spectrum:
    """Return the mean magnitudes of photographs, for a canvas of any size.

    The colours are decorrelated before the magnitudes are taken, since what the spectrum is for
    puts the correlations back in. The means keep their direction: the horizons and trunks of
    photographs stay in them. Between the frequencies measured, logarithms are interpolated.

    Args:
        batches: photographs `(samples, height, width, 3)` in [0, 1], all of one size.

    Raises:
        ValueError: there is no photograph.
    """
    total, count = np.zeros(()), 0
    for pixels in batches:
        total, count = total + magnitudes(pixels).sum(0), count + len(pixels)
    if not count:
        raise ValueError("There is no photograph to take the spectrum of. Give at least one.")
    mean, columns = total / count, pixels.shape[2]
    # The mean over the canvas says nothing about contrast; it was taken out, and would else draw
    # the lowest frequencies of a larger canvas down with it.
    mean[:, 0, 0] = np.max([mean[:, 1, 0], mean[:, 0, 1]], axis=0)
    # Far below what eight bits can show, for frequencies that no photograph holds.
    floor = max(1e-9 * mean.max(), np.finfo(np.float32).tiny)
    logarithms = np.log(np.maximum(mean, floor))

    def spectrum(height: int, width: int) -> np.ndarray:
        down = _weights(np.fft.fftfreq(mean.shape[1]), np.fft.fftfreq(height), period=1.0)
        across = _weights(np.fft.rfftfreq(columns), np.fft.rfftfreq(width))
        return np.exp(down @ logarithms @ across.T).astype(np.float32)

    return spectrum


def magnitudes(pixels: np.ndarray) -> np.ndarray:
    """Return the magnitudes `(samples, 3, height, width // 2 + 1)` of photographs, colours apart.

    The left and right edges of a photograph do not meet, nor do top and bottom; taken as they are,
    the two jumps would draw a cross over the spectrum that falls off as slowly as a photograph
    does. A Hann window fades them out, and costs a resolution of one frequency.

    Args:
        pixels: photographs `(samples, height, width, 3)` in [0, 1].
    """
    height, width = pixels.shape[1:3]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    window /= window.sum()
    planes = np.einsum("nhwd,cd->nchw", pixels, DECORRELATION.astype(np.float64))
    # By the window's own mean, so that no grey leaks into the lowest frequencies.
    planes = planes - (planes * window).sum((2, 3), keepdims=True)
    return np.abs(np.fft.rfft2(planes * window))


def _weights(known: np.ndarray, asked: np.ndarray, period: float | None = None) -> np.ndarray:
    """Return the weights `(asked, known)` that read a function at new places, linearly."""
    units = np.eye(len(known))
    return np.stack([np.interp(asked, known, unit, period=period) for unit in units], axis=1)
