import numpy as np
import pytest

from convscope.optvis.parameterization import (
    COLOURS,
    DECORRELATION,
    MAGNITUDES,
    MEAN,
    RADII,
    frequencies,
    magnitudes,
    natural,
    of_photographs,
)

RANDOM = np.random.default_rng(0)


def wave(height, width, down, across, colour=0, strength=0.2):
    """Return a photograph of one wave, so many cycles down and across, in one decorrelated colour.

    Its middle is grey.
    """
    y, x = np.mgrid[:height, :width]
    plane = strength * np.cos(2 * np.pi * (down * y / height + across * x / width))
    return (0.5 + plane[..., None] * COLOURS[:, colour])[None]


def test_frequencies_are_cycles_a_pixel_of_the_half_spectrum():
    assert frequencies(4, 5).shape == (4, 3)
    assert frequencies(4, 5)[0].tolist() == pytest.approx([0, 0.2, 0.4])
    assert frequencies(4, 5)[2, 0] == pytest.approx(0.5)


def test_the_colours_are_the_published_matrix_over_its_largest_column_norm():
    # The three rows as printed in the field's descriptions of the matrix, to five digits.
    expected = [[0.56283, 0.19483, 0.04329], [0.58448, 0, -0.10824], [0.58448, -0.19483, 0.06494]]
    np.testing.assert_allclose(COLOURS, expected, atol=2e-5)
    np.testing.assert_allclose(DECORRELATION @ COLOURS, np.eye(3), atol=1e-6)


def test_the_natural_spectrum_goes_through_every_point_of_the_table():
    # 1024 columns put every radius of the table, halves included, on a coefficient.
    found = natural(1, 1024)[:, 0, (2 * RADII).astype(int)]
    np.testing.assert_allclose(found, MAGNITUDES, rtol=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "slope"), [(1, 8, -1.2), (4, 32, -1.33), (16, 64, -1.5), (64, 128, -2.0)]
)
def test_the_natural_spectrum_falls_ever_more_steeply(low, high, slope):
    line = natural(1, 1024)[:, 0]
    found = np.log(line[:, 2 * high] / line[:, 2 * low]) / np.log(high / low)
    assert found.mean() == pytest.approx(slope, abs=0.1)


def test_between_two_points_lies_their_geometric_mean():
    # 2 is not the middle of 1 and 3.5, but the root of 2 is that of 1 and 2.
    found = natural(1, 16384)[:, 0, 45]
    np.testing.assert_allclose(found, np.sqrt(MAGNITUDES[:, 0] * MAGNITUDES[:, 1]), rtol=0.01)


def test_beyond_the_table_the_last_slope_goes_on_and_below_it_the_spectrum_is_level():
    last = np.log(MAGNITUDES[:, -1] / MAGNITUDES[:, -2]) / np.log(RADII[-1] / RADII[-2])
    corner = natural(512, 512)[:, 256, 256]
    expected = MAGNITUDES[:, -1] * (256 * np.sqrt(2) / RADII[-1]) ** last
    np.testing.assert_allclose(corner, expected, rtol=1e-4)
    np.testing.assert_allclose(natural(1, 2048)[:, 0, 1], MAGNITUDES[:, 0], rtol=1e-5)


def test_the_natural_spectrum_is_alike_in_all_directions_and_goes_by_the_pixel():
    square = natural(60, 60)
    np.testing.assert_allclose(square[:, 3, 4], square[:, 0, 5], rtol=1e-5)
    np.testing.assert_allclose(square[:, -3, 4], square[:, 4, 3], rtol=1e-5)
    other = natural(30, 45)
    assert other.shape == (3, 30, 23)
    assert other.dtype == np.float32
    np.testing.assert_allclose(other[:, 2, 3], square[:, 4, 4], rtol=1e-5)


def test_the_mean_is_the_tables_at_its_size_and_shrinks_with_the_canvas():
    np.testing.assert_allclose(natural(512, 512)[:, 0, 0], MEAN)
    np.testing.assert_allclose(natural(64, 256)[:, 0, 0], MEAN / 4)


def test_the_spectrum_of_white_noise_is_flat():
    noise = RANDOM.random((200, 17, 20, 3))
    found = of_photographs([noise[:120], noise[120:]])(17, 20)
    level = found.mean((1, 2), keepdims=True)
    # The lowest frequencies share their strength with the mean, which is taken out.
    np.testing.assert_allclose((found / level)[:, 3:-2, 2:], 1, atol=0.2)
    assert (found > 0.4 * level).all()


@pytest.mark.parametrize("down", [4, -4])
@pytest.mark.parametrize("size", [(18, 21), (36, 42), (54, 63)])
def test_a_wave_peaks_at_its_own_frequency_on_every_canvas(down, size):
    found = of_photographs([wave(18, 21, down, 5)])(*size)[0]
    row, column = np.unravel_index(found.argmax(), found.shape)
    times = size[0] // 18
    assert (row, column) == (down * times % size[0], 5 * times)


def test_each_colour_is_measured_apart_from_the_others():
    found = of_photographs([wave(12, 15, 2, 3, colour=1)])(12, 15)
    assert found[1].max() > 1e4 * max(found[0].max(), found[2].max())


def test_batches_change_nothing_and_photographs_count_alike():
    photographs = RANDOM.random((3, 9, 12, 3))
    expected = np.mean([magnitudes(one[None])[0] for one in photographs], axis=0)
    found = of_photographs([photographs[:2], photographs[:0], photographs[2:]])(9, 12)
    np.testing.assert_allclose(found[:, 1:, 1:], expected[:, 1:, 1:], rtol=1e-5)


def test_the_edges_of_a_photograph_leave_no_cross_behind():
    ramp = np.broadcast_to(np.linspace(0, 1, 32)[:, None, None], (1, 32, 24, 3))
    windowed = magnitudes(ramp)[0, 0, :, 0]
    plain = np.abs(np.fft.fft(ramp[0, :, 0, 0]))
    assert plain[16] / plain[1] > 0.09
    assert windowed[16] / windowed[1] < 0.002


def test_frequencies_that_no_photograph_holds_stay_above_zero():
    found = of_photographs([np.full((2, 8, 10, 3), 0.3), wave(8, 10, 2, 2)])(13, 9)
    assert found.shape == (3, 13, 5)
    assert (found > 0).all()


def test_photographs_of_nothing_give_a_level_spectrum():
    np.testing.assert_allclose(np.ptp(np.log(of_photographs([np.zeros((1, 8, 8, 3))])(8, 8))), 0)


def test_no_photograph_is_refused():
    with pytest.raises(ValueError, match=r"no photograph to take the spectrum of\. Give at least"):
        of_photographs([np.empty((0, 8, 8, 3))])
    with pytest.raises(ValueError, match="no photograph"):
        of_photographs([])
