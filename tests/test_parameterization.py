import numpy as np
import pytest
import tensorflow as tf

from convscope.parameterization import COLOURS, RETURN, fourier, frequencies, normal, squash

SEEDS = tf.constant([[3, 4], [5, 6], [7, 8]])


@pytest.mark.parametrize(("height", "width"), [(7, 10), (6, 9), (5, 5), (8, 4)])
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


def test_frequencies_are_cycles_a_pixel_of_the_half_spectrum():
    assert frequencies(4, 5).shape == (4, 3)
    assert frequencies(4, 5)[0].tolist() == pytest.approx([0, 0.2, 0.4])
    assert frequencies(4, 5)[2, 0] == pytest.approx(0.5)


def test_the_colours_are_the_published_matrix_over_its_largest_column_norm():
    # The three rows as printed in the field's descriptions of the matrix, to five digits.
    expected = [[0.56283, 0.19483, 0.04329], [0.58448, 0, -0.10824], [0.58448, -0.19483, 0.06494]]
    np.testing.assert_allclose(COLOURS, expected, atol=2e-5)


def test_a_start_depends_on_its_own_seed_and_on_no_other_sample():
    alone = fourier().initial(SEEDS[1:2], 6, 9)
    together = fourier().initial(SEEDS, 6, 9)
    np.testing.assert_array_equal(alone[0], together[1])
    assert np.abs(together[0] - together[1]).max() > 0.001


def test_the_start_is_mid_grey_with_little_contrast():
    image = fourier().decode(fourier().initial(SEEDS, 32, 48), 32, 48).numpy()
    assert abs(image.mean() - 0.5) < 0.02
    assert 0 < image.std() < 0.05


def test_the_spread_of_the_start_is_the_deviation():
    assert normal(SEEDS, (100, 100), 0.3).numpy().std() == pytest.approx(0.3, rel=0.02)


def test_pixels_stay_inside_zero_and_one_however_large_the_numbers():
    image = fourier().decode(1000 * fourier().initial(SEEDS, 6, 9), 6, 9).numpy()
    assert image.min() >= 0
    assert image.max() <= 1
    assert np.isfinite(image).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_pixel_at_the_wrong_end_finds_its_way_back(compiled):
    logits = tf.constant([-30.0, 30.0, -30.0, 30.0, 0.0, 1.0])
    pull = tf.constant([1.0, -1.0, -1.0, 1.0, 2.0, -1.0])

    def slope(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            score = tf.reduce_sum(squash(values) * pull)
        return tape.gradient(score, values)

    gradient = (tf.function(slope) if compiled else slope)(logits).numpy()
    one = 1 / (1 + np.exp(-1))
    expected = [RETURN, -RETURN, 0, 0, 2 * 0.25, -max(one * (1 - one), RETURN)]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    np.testing.assert_allclose(squash(logits), 1 / (1 + np.exp(-logits.numpy())), atol=1e-6)
