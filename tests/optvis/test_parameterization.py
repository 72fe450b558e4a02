from functools import partial

import numpy as np
import pytest

from convscope.models.backend import tf
from convscope.optvis.parameterization import (
    BRIGHTEST,
    CIRCLE,
    COLOURS,
    DARKEST,
    DECORRELATION,
    MAGNITUDES,
    MEAN,
    RADII,
    RETURN,
    clip,
    fourier,
    frequencies,
    maco,
    magnitudes,
    natural,
    of_photographs,
    pixel,
    rings,
    squash,
    standardize,
    synthesis,
)

SEEDS = tf.constant([[3, 4], [5, 6], [7, 8]])
SIZES = [(7, 10), (6, 9), (5, 5), (8, 4)]
EACH = {"fourier": fourier(), "pixel": pixel(0.3), "maco": maco(natural)}
PHOTOGRAPHS = np.random.default_rng(0).random((3, 9, 14, 3), np.float32)


def with_gradient(function, values, upstream):
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = function(values)
    return result, tape.gradient(result, values, upstream)


def textbook(numbers, height, width, decay):
    """The Fourier image in TensorFlow's own operations, which know their gradients."""
    frequency = np.maximum(frequencies(height, width), 1 / max(height, width))
    scale = (np.sqrt(height * width) / frequency**decay).astype(np.complex64)
    spectrum = tf.complex(numbers[..., 0], numbers[..., 1]) * scale
    planes = tf.transpose(tf.signal.irfft2d(spectrum, [height, width]), (0, 2, 3, 1)) / 4
    return tf.einsum("...c,dc->...d", planes, COLOURS)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_spectrum_decodes_as_numpy_does_it_by_hand(height, width):
    numbers = fourier(decay=1.5).initial(SEEDS, height, width)
    rows, columns = np.fft.fftfreq(height)[:, None], np.abs(np.fft.fftfreq(width))[None]
    frequency = np.maximum(np.hypot(rows, columns[:, : width // 2 + 1]), 1 / max(height, width))
    spectrum = numbers.numpy()[..., 0] + 1j * numbers.numpy()[..., 1]
    plane = np.fft.irfft2(spectrum * np.sqrt(height * width) / frequency**1.5, (height, width)) / 4
    mixed = np.einsum("schw,dc->shwd", plane, COLOURS)
    expected = 1 / (1 + np.exp(-mixed))
    decoded = fourier(decay=1.5).decode(numbers, height, width)
    assert decoded.shape == (3, height, width, 3)
    np.testing.assert_allclose(decoded, expected, atol=2e-6)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_gradient_of_a_spectrum_is_that_of_the_textbook(height, width):
    numbers = 10 * fourier().initial(SEEDS, height, width)
    upstream = tf.random.stateless_normal((3, height, width, 3), (1, 2))
    image, gradient = with_gradient(
        lambda numbers: fourier(0.9).decode(numbers, height, width), numbers, upstream
    )
    logits, expected = with_gradient(
        lambda numbers: textbook(numbers, height, width, 0.9),
        numbers,
        with_gradient(squash, textbook(numbers, height, width, 0.9), upstream)[1],
    )
    np.testing.assert_allclose(image, tf.sigmoid(logits), atol=2e-6)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize(
    ("height", "width", "compiled"), [(7, 10, False), (7, 10, True), (16, 24, True)]
)
def test_a_sample_is_the_same_to_the_last_bit_whoever_shares_its_batch(
    assert_same, name, height, width, compiled
):
    seeds = tf.constant([[31 * number, 7 * number] for number in range(16)])
    upstream = tf.random.stateless_normal((16, height, width, 3), (1, 2))

    def climb(seeds, upstream):
        numbers = EACH[name].initial(seeds, height, width)
        return numbers, *with_gradient(
            lambda numbers: EACH[name].decode(numbers, height, width), numbers, upstream
        )

    run = tf.function(climb) if compiled else climb
    for count in (3, 16):
        together = run(seeds[-count:], upstream[-count:])
        for mine, alone in zip(together, run(seeds[-1:], upstream[-1:]), strict=True):
            assert_same(mine[-1], alone[0])


@pytest.mark.parametrize("name", EACH)
def test_a_start_depends_on_its_own_seed(name):
    first, second, _ = EACH[name].initial(SEEDS, 6, 9)
    assert np.abs(first - second).max() > 0.001


def test_the_start_is_mid_grey_with_little_contrast():
    image = fourier().decode(fourier().initial(SEEDS, 32, 48), 32, 48).numpy()
    assert abs(image.mean() - 0.5) < 0.02
    assert 0 < image.std() < 0.05


@pytest.mark.parametrize("name", EACH)
def test_pixels_stay_inside_zero_and_one_however_large_the_numbers(name):
    image = EACH[name].decode(1000 * EACH[name].initial(SEEDS, 6, 9), 6, 9).numpy()
    assert image.shape == (3, 6, 9, 3)
    assert image.min() >= 0
    assert image.max() <= 1
    assert np.isfinite(image).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_pixel_at_the_wrong_end_finds_its_way_back(compiled):
    logits = tf.constant([[-30.0, 30.0, -30.0, 30.0, 0.0, 1.0]])
    pull = tf.constant([[1.0, -1.0, -1.0, 1.0, 2.0, -1.0]])
    both = partial(with_gradient, squash)
    values, gradient = (tf.function(both) if compiled else both)(logits, pull)
    one = 1 / (1 + np.exp(-1))
    expected = [RETURN, -RETURN, 0, 0, 2 * 0.25, -max(one * (1 - one), RETURN)]
    np.testing.assert_allclose(gradient[0], expected, atol=1e-6)
    np.testing.assert_allclose(values, 1 / (1 + np.exp(-logits.numpy())), atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_clipped_pixel_goes_no_further_and_comes_back_from_wherever_it_is(compiled):
    offsets = tf.constant([-0.5, -0.5, 0.5, 0.5, 0.2, -0.2, 90.0, 90.0, -7.0, -7.0])
    pull = tf.constant([3.0, -3.0, 3.0, -3.0, 2.0, -2.0, 4.0, -4.0, 5.0, -5.0])
    both = partial(with_gradient, clip)
    values, gradient = (tf.function(both) if compiled else both)(offsets, pull)
    np.testing.assert_allclose(values, [0, 0, 1, 1, 0.7, 0.3, 1, 1, 0, 0], atol=1e-7)
    np.testing.assert_array_equal(gradient, [3, 0, 0, -3, 2, -2, 0, -4, 5, 0])


def test_pixels_start_from_noise_of_the_asked_deviation_or_from_grey():
    assert pixel(0.3).initial(SEEDS, 60, 70).numpy().std() == pytest.approx(0.3, rel=0.02)
    grey = pixel().decode(pixel().initial(SEEDS, 6, 9), 6, 9)
    np.testing.assert_array_equal(grey, np.full((3, 6, 9, 3), 0.5))


def test_a_given_image_comes_back_but_for_the_ends_of_its_range():
    inside = np.clip(PHOTOGRAPHS, DARKEST, BRIGHTEST)
    for parameterization, expected in ((fourier(1.2), inside), (pixel(), PHOTOGRAPHS)):
        numbers = parameterization.encode(tf.constant(PHOTOGRAPHS))
        assert numbers.shape == parameterization.initial(SEEDS, 9, 14).shape
        np.testing.assert_allclose(parameterization.decode(numbers, 9, 14), expected, atol=1e-5)


def test_an_encoded_image_of_ones_and_zeros_is_finite():
    for parameterization in EACH.values():
        numbers = parameterization.encode(tf.constant(np.round(PHOTOGRAPHS)))
        assert np.isfinite(numbers).all()


def of_wave(height, width):
    """One wave down and two across, in the first colour alone."""
    magnitudes = np.zeros((3, height, width // 2 + 1), np.float32)
    magnitudes[0, 1, 2] = 5.0
    return magnitudes


def test_maco_keeps_the_given_magnitudes_and_unit_contrast():
    numbers = maco(of_wave).initial(SEEDS, 12, 15)
    images = maco(of_wave).decode(numbers, 12, 15).numpy()
    logits = np.log(images / (1 - images))
    phases = CIRCLE * standardize(numbers).numpy()[:, 0, 1, 2]
    y, x = np.mgrid[:12, :15]
    angles = 2 * np.pi * (y / 12 + 2 * x / 15) + phases[:, None, None]
    # One of three planes holds all of the unit variance.
    expected = np.sqrt(3) * np.sqrt(2) * np.cos(angles)[..., None] * COLOURS[:, 0]
    np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_maco_starts_evenly_all_over_the_canvas():
    seeds = tf.constant([[number, 9] for number in range(60)])
    images = maco(natural).decode(maco(natural).initial(seeds, 32, 40), 32, 40).numpy()
    squares = np.square(images - images.mean((1, 2), keepdims=True)).mean((0, 3))
    corners = squares[np.ix_([0, 1, -2, -1], [0, 1, -2, -1])].mean()
    assert corners == pytest.approx(squares.mean(), rel=0.35)


def test_maco_recognizes_a_given_image_by_its_phases():
    y, x = np.mgrid[:24, :30]
    blob = 0.2 + 0.6 * np.exp(-((y - 8) ** 2 + (x - 20) ** 2) / 20)
    image = tf.constant(np.repeat(blob[None, ..., None], 3, axis=3), tf.float32)
    again = maco(natural).decode(maco(natural).encode(image), 24, 30).numpy()
    assert np.corrcoef(again[0].mean(-1).ravel(), blob.ravel())[0, 1] > 0.6


def test_standardized_samples_have_mean_zero_and_deviation_one_and_a_matching_gradient():
    values = tf.random.stateless_normal((2, 3, 4, 5), (1, 2), mean=3.0, stddev=7.0)
    upstream = tf.random.stateless_normal((2, 3, 4, 5), (3, 4))
    standard, gradient = with_gradient(standardize, values, upstream)
    np.testing.assert_allclose(np.mean(standard, (1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(np.std(standard, (1, 2, 3)), 1, rtol=1e-5)

    def plain(values):
        centred = values - tf.reduce_mean(values, (1, 2, 3), keepdims=True)
        return centred / tf.math.reduce_std(values, (1, 2, 3), keepdims=True)

    np.testing.assert_allclose(gradient, with_gradient(plain, values, upstream)[1], atol=1e-6)


@pytest.mark.parametrize("name", EACH)
def test_a_grey_image_and_numbers_of_zero_decode_without_a_hole(name):
    for numbers in (
        EACH[name].encode(tf.fill((2, 6, 9, 3), 0.5)),
        tf.zeros_like(EACH[name].initial(SEEDS, 6, 9)),
    ):
        upstream = tf.ones((len(numbers), 6, 9, 3))
        for found in with_gradient(lambda x: EACH[name].decode(x, 6, 9), numbers, upstream):
            assert np.isfinite(found).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_transform_from_pairs_is_numpys_and_its_gradient_tensorflows(height, width):
    pairs = tf.random.stateless_normal((2, 3, height, width // 2 + 1, 2), (5, 6))
    upstream = tf.random.stateless_normal((2, 3, height, width), (7, 8))
    planes, gradient = with_gradient(synthesis(height, width), pairs, upstream)
    spectrum = pairs.numpy()[..., 0] + 1j * pairs.numpy()[..., 1]
    np.testing.assert_allclose(planes, np.fft.irfft2(spectrum, (height, width)), atol=1e-6)

    def plain(pairs):
        return tf.signal.irfft2d(tf.complex(pairs[..., 0], pairs[..., 1]), [height, width])

    np.testing.assert_allclose(gradient, with_gradient(plain, pairs, upstream)[1], atol=1e-6)


def test_coefficients_of_one_frequency_and_colour_share_their_value():
    pairs = np.random.default_rng(1).random((2, 3, 6, 4, 2), np.float32)
    shared = rings(tf.constant(pairs)).numpy()
    # One cycle a canvas: straight down, up, across, and the two diagonals, nearer to 1 than to 2.
    ring = [(1, 0), (5, 0), (0, 1), (1, 1), (5, 1)]
    expected = np.mean([pairs[:, :, row, column] for row, column in ring], axis=(0, 3))
    for row, column in ring:
        for part in (0, 1):
            np.testing.assert_allclose(shared[:, :, row, column, part], expected, rtol=1e-5)
    np.testing.assert_allclose(shared[:, :, 0, 0, 0], pairs[:, :, 0, 0].mean(-1), rtol=1e-5)
    np.testing.assert_allclose(shared.sum((2, 3, 4)), pairs.sum((2, 3, 4)), rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [*SIZES, (9, 1), (1, 6)])
def test_sharing_keeps_the_shape_and_depends_on_no_other_sample(height, width):
    pairs = tf.random.stateless_uniform((5, 3, height, width // 2 + 1, 2), (1, 2))
    shared = fourier().share(pairs)
    assert shared.shape == pairs.shape
    assert np.isfinite(shared).all()
    np.testing.assert_array_equal(fourier().share(pairs[2:3])[0], shared[2])


@pytest.mark.parametrize("parameterization", [pixel(), maco(natural)])
def test_pixels_and_phases_share_nothing(parameterization):
    squares = tf.random.stateless_uniform((2, 3, 4, 5), (1, 2))
    np.testing.assert_array_equal(parameterization.share(squares), squares)


def test_steps_are_shared_over_a_frequency_in_spectra_and_over_nothing_elsewhere():
    squares = tf.random.stateless_uniform((2, 3, 8, 5, 2), (1, 2))
    shared = fourier().share(squares)
    np.testing.assert_array_equal(shared, rings(squares))
    assert np.abs(shared - squares).max() > 0.1
    for other in (pixel(), maco(natural)):
        np.testing.assert_array_equal(other.share(squares), squares)


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
