import numpy as np
import pytest
import tensorflow as tf

from convscope.transforms import affine, uniform

SEEDS = tf.constant([[1, 2], [3, 4], [5, 6]])
IMAGES = np.random.default_rng(0).random((3, 11, 14, 3), np.float32)


def bilinear(image, row, column):
    """The image at one fractional place; outside it is grey."""
    total = np.zeros(3)
    top, left = int(np.floor(row)), int(np.floor(column))
    for y in (top, top + 1):
        for x in (left, left + 1):
            inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
            weight = (1 - abs(row - y)) * (1 - abs(column - x))
            total += weight * (image[y, x] if inside else 0.5)
    return total


def reference(image, draw, jitter, scale, rotate):
    down, right, zoom, turn = draw
    angle, factor = np.deg2rad(rotate * turn), 1 / (1 + scale * zoom)
    middle = (np.array(image.shape[:2]) - 1) / 2
    result = np.empty_like(image)
    for row, column in np.ndindex(*image.shape[:2]):
        y, x = row - middle[0], column - middle[1]
        from_y = factor * (np.sin(angle) * x + np.cos(angle) * y) + middle[0] + jitter * down
        from_x = factor * (np.cos(angle) * x - np.sin(angle) * y) + middle[1] + jitter * right
        result[row, column] = bilinear(image, from_y, from_x)
    return result


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("jitter", "scale", "rotate"), [(0, 0, 25), (3, 0, 0), (0, 0.3, 0), (2, 0.1, 10)]
)
def test_each_sample_is_warped_by_its_own_draw(jitter, scale, rotate, compiled):
    transform = affine(jitter, scale, rotate)
    run = tf.function(transform) if compiled else transform
    moved = run(tf.constant(IMAGES), SEEDS)
    assert moved.shape == IMAGES.shape
    for image, draw, result in zip(IMAGES, uniform(SEEDS, 4).numpy(), moved.numpy(), strict=True):
        np.testing.assert_allclose(result, reference(image, draw, jitter, scale, rotate), atol=2e-4)


def test_with_everything_off_nothing_moves():
    np.testing.assert_allclose(affine(0, 0, 0)(tf.constant(IMAGES), SEEDS), IMAGES, atol=1e-6)


def test_a_draw_depends_on_its_own_seed_alone():
    transform = affine()
    alone = transform(tf.constant(IMAGES[1:2]), SEEDS[1:2])
    together = transform(tf.constant(IMAGES), SEEDS)
    np.testing.assert_array_equal(alone[0], together[1])


def test_draws_fill_the_range_from_minus_one_to_one():
    draws = uniform(tf.constant([[seed, 0] for seed in range(400)]), 4).numpy()
    assert draws.min() >= -1
    assert draws.max() < 1
    np.testing.assert_allclose(draws.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(draws.std(0), 1 / np.sqrt(3), atol=0.05)


def test_what_comes_in_from_outside_is_grey_and_never_black():
    white = tf.ones((3, 11, 14, 3))
    moved = affine(jitter=9, scale=0, rotate=45)(white, SEEDS).numpy()
    assert moved.min() == pytest.approx(0.5)
    assert moved.max() == pytest.approx(1)


def test_the_gradient_passes_through_the_warp_to_the_pixels_it_read():
    images = tf.Variable(IMAGES)
    with tf.GradientTape() as tape:
        moved = affine(2, 0, 0)(images, SEEDS)
        score = tf.reduce_sum(moved[:, 5, 7])
    gradient = tape.gradient(score, images).numpy()
    draws = 2 * uniform(SEEDS, 4).numpy()
    for sample in range(3):
        # A pure shift is read from four pixels whose weights sum to one, for each colour.
        assert gradient[sample].sum() == pytest.approx(3, abs=1e-3)
        row, column = np.unravel_index(gradient[sample].sum(-1).argmax(), (11, 14))
        assert abs(row - 5 - draws[sample, 0]) <= 1
        assert abs(column - 7 - draws[sample, 1]) <= 1
