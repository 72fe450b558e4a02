"""What all natural photographs share: the strength of each frequency, and of each colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

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
    total, count, columns = np.zeros(()), 0, 0
    for pixels in batches:
        total = total + magnitudes(pixels).sum(0)
        count, columns = count + len(pixels), pixels.shape[2]
    if not count:
        raise ValueError("There is no photograph to take the spectrum of. Give at least one.")
    mean = total / count
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
