import numpy as np
import pytest

from convscope.models.backend import tf
from convscope.optvis.stateless_random import uniform
from convscope.optvis.transforms import affine, blur, crops, noise, resample

SEEDS = tf.constant([[1, 2], [3, 4], [5, 6]])
IMAGES = np.random.default_rng(0).random((3, 11, 14, 3), np.float32)
START, MIDDLE = tf.constant(0.0), tf.constant(0.5)
EVERY = {
    "affine": affine(2, 0.1, 20),
    "blur": blur(1.7),
    "noise": noise(0.1),
    "smaller crops": crops(5, 0.9, 0.6),
    "larger crops": crops(13, 0.4, 0.2),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_a_sample_is_the_same_to_the_last_bit_whoever_shares_its_batch(assert_same, name, compiled):
    seeds = tf.constant([[31 * number, 7 * number] for number in range(16)])
    images = tf.random.stateless_uniform((16, 33, 21, 3), (1, 2))
    shape = EVERY[name](images, seeds, MIDDLE).shape
    upstream = tf.random.stateless_normal(shape, (3, 4))

    def both(images, seeds, upstream):
        with tf.GradientTape() as tape:
            tape.watch(images)
            moved = EVERY[name](images, seeds, MIDDLE)
        return moved, tape.gradient(moved, images, upstream)

    run = tf.function(both) if compiled else both
    together = run(images, seeds, upstream)
    for count in (1, 3):
        some = run(images[-count:], seeds[-count:], upstream[-count:])
        for mine, theirs in zip(some, together, strict=True):
            assert_same(mine, theirs[-count:])


@pytest.mark.parametrize("name", EVERY)
def test_every_step_and_every_sample_is_moved_otherwise(name):
    images = tf.constant(np.repeat(IMAGES[:1], 3, axis=0))
    seeds = tf.constant([[7, 8], [7, 9], [8, 8]])
    first, second, third = EVERY[name](images, seeds, START).numpy()
    for one, other in ((first, second), (first, third), (second, third)):
        assert np.abs(one - other).max() > 0.01


@pytest.mark.parametrize("name", ["blur", "smaller crops", "larger crops"])
def test_the_gradient_is_the_adjoint_of_the_move(name):
    images, seeds = tf.constant(IMAGES), SEEDS
    with tf.GradientTape() as tape:
        tape.watch(images)
        moved = EVERY[name](images, seeds, START)
    upstream = tf.random.stateless_normal(moved.shape, (3, 4))
    gradient = tape.gradient(moved, images, upstream)
    np.testing.assert_allclose(
        np.sum(gradient * images, (1, 2, 3)), np.sum(moved * upstream, (1, 2, 3)), rtol=1e-3
    )


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
    moved = run(tf.constant(IMAGES), SEEDS, START)
    assert moved.shape == IMAGES.shape
    for image, draw, result in zip(IMAGES, uniform(SEEDS, 4).numpy(), moved.numpy(), strict=True):
        np.testing.assert_allclose(result, reference(image, draw, jitter, scale, rotate), atol=2e-4)


def test_with_everything_off_nothing_moves():
    unmoved = affine(0, 0, 0)(tf.constant(IMAGES), SEEDS, START)
    np.testing.assert_allclose(unmoved, IMAGES, atol=1e-6)
    np.testing.assert_array_equal(noise(0)(tf.constant(IMAGES), SEEDS, START), IMAGES)
    np.testing.assert_allclose(blur(0)(tf.constant(IMAGES), SEEDS, START), IMAGES, atol=1e-6)


def test_what_comes_in_from_outside_is_grey_and_never_black():
    white = tf.ones((3, 11, 14, 3))
    moved = affine(jitter=9, scale=0, rotate=45)(white, SEEDS, START).numpy()
    assert moved.min() == pytest.approx(0.5)
    assert moved.max() == pytest.approx(1)


def test_the_gradient_passes_through_the_warp_to_the_pixels_it_read():
    images = tf.Variable(IMAGES)
    with tf.GradientTape() as tape:
        moved = affine(2, 0, 0)(images, SEEDS, START)
        score = tf.reduce_sum(moved[:, 5, 7])
    gradient = tape.gradient(score, images).numpy()
    draws = 2 * uniform(SEEDS, 4).numpy()
    for sample in range(3):
        # A pure shift is read from four pixels whose weights sum to one, for each colour.
        assert gradient[sample].sum() == pytest.approx(3, abs=1e-3)
        row, column = np.unravel_index(gradient[sample].sum(-1).argmax(), (11, 14))
        assert abs(row - 5 - draws[sample, 0]) <= 1
        assert abs(column - 7 - draws[sample, 1]) <= 1


def bump(row, column):
    y, x = np.mgrid[:31, :36]
    hill = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 18)
    return tf.constant(np.repeat(hill[None, ..., None], 3, axis=3), tf.float32)


@pytest.mark.parametrize("seed", [(1, 2), (3, 4), (5, 6), (7, 8)])
def test_the_gradient_of_a_warp_weighs_what_the_warp_reads(seed):
    """Not to the last digit: both ways are interpolated, on smooth images nearly alike."""
    image, upstream = bump(13, 20), bump(16, 17)
    move = affine(3, 0.4, 30)
    with tf.GradientTape() as tape:
        tape.watch(image)
        moved = move(image, tf.constant([seed]), START)
    gradient = tape.gradient(moved, image, upstream)
    grey = move(tf.zeros_like(image), tf.constant([seed]), START)
    expected = np.sum((moved - grey) * upstream)
    assert np.sum(gradient * image) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("compiled", [False, True])
def test_each_sample_is_blurred_by_its_own_draw(compiled):
    transform = blur(2.5)
    run = tf.function(transform) if compiled else transform
    found = run(tf.constant(IMAGES), SEEDS, START).numpy()
    assert found.shape == IMAGES.shape
    sigmas = 2.5 * (uniform(SEEDS, 1).numpy()[:, 0] + 1) / 2
    for image, sigma, result in zip(IMAGES, sigmas, found, strict=True):
        rows, columns = (
            np.exp(-0.5 * (np.subtract.outer(np.arange(n), np.arange(n)) / sigma) ** 2)
            for n in (11, 14)
        )
        rows, columns = (part / part.sum(1, keepdims=True) for part in (rows, columns))
        expected = np.einsum("ay,bx,yxc->abc", rows, columns, image)
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_blur_leaves_a_constant_as_it_is_up_to_the_edges():
    blurred = blur(3)(tf.fill((3, 11, 14, 3), 0.7), SEEDS, START)
    np.testing.assert_allclose(blurred, np.full((3, 11, 14, 3), 0.7), atol=1e-6)


def test_noise_has_its_deviation_no_mean_and_leaves_the_gradient_alone():
    images = tf.fill((3, 60, 71, 3), 0.99)
    with tf.GradientTape() as tape:
        tape.watch(images)
        noisy = noise(0.2)(images, SEEDS, START)
    assert np.mean(noisy - images) == pytest.approx(0, abs=0.005)
    assert np.std(noisy - images) == pytest.approx(0.2, rel=0.02)
    assert np.max(noisy) > 1.3
    np.testing.assert_array_equal(tape.gradient(noisy, images), np.ones(images.shape))


@pytest.mark.parametrize(
    ("size", "compiled"), [(5, False), (9, False), (13, False), (24, False), (9, True)]
)
def test_a_crop_of_everything_is_the_central_square_resized(size, compiled):
    # Three times the canvas, whatever the draw: as much as there is.
    transform = crops(size, 3.0, 3.0, spread=0)
    run = tf.function(transform) if compiled else transform
    for height, width in ((11, 11), (12, 12), (11, 15), (18, 12)):
        images = tf.random.stateless_uniform((3, height, width, 3), (1, 2))
        side, top, left = (
            min(height, width),
            max(height - width, 0) // 2,
            max(width - height, 0) // 2,
        )
        square = images[:, top : top + side, left : left + side]
        found = run(images, SEEDS, START)
        expected = tf.image.resize(square, (size, size), antialias=True)
        assert found.shape == (3, size, size, 3)
        # Where the image goes on, the outermost pixels read a little of it.
        inside = slice(None) if height == width else slice(1, -1)
        np.testing.assert_allclose(found[:, inside, inside], expected[:, inside, inside], atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(24, 36), (24, 30), (30, 36)])
def test_an_oblong_crop_of_everything_is_the_largest_of_its_shape(height, width):
    images = tf.random.stateless_uniform((3, height, width, 3), (1, 2))
    found = crops((12, 18), 3.0, 3.0, spread=0)(images, SEEDS, START)
    tall, wide = min(height, width * 2 // 3), min(width, height * 3 // 2)
    top, left = (height - tall) // 2, (width - wide) // 2
    cut = images[:, top : top + tall, left : left + wide]
    expected = tf.image.resize(cut, (12, 18), antialias=True)
    inside = slice(None) if (tall, wide) == (height, width) else slice(1, -1)
    np.testing.assert_allclose(found[:, inside, inside], expected[:, inside, inside], atol=1e-5)


def marks(height, width):
    """An image whose red is the place along its height, from 0 to 1, and its green across."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([(y + 0.5) / height, (x + 0.5) / width, np.full(y.shape, 0.5)], axis=-1)
    return tf.constant(image[None], tf.float32)


@pytest.mark.parametrize("progress", [0.0, 0.5, 0.9])
def test_crops_shrink_with_progress_and_stay_inside(progress):
    count, size = 400, 60
    seeds = tf.constant([[number, 3] for number in range(count)])
    images = tf.repeat(marks(40, 60), count, axis=0)
    found = crops(size, 0.7, 0.3)(images, seeds, tf.constant(progress)).numpy()
    # One pixel of 60 further is a sixtieth of the side.
    down = (found[:, 31, 30, 0] - found[:, 30, 30, 0]) * size
    across = (found[:, 30, 31, 1] - found[:, 30, 30, 1]) * size
    mean = 0.7 - 0.4 * progress
    assert down.mean() == pytest.approx(mean, abs=0.01)
    assert down.std() == pytest.approx(0.05, abs=0.01)
    # Squares: a share of the shorter side is two thirds as much of the longer.
    np.testing.assert_allclose(across, down * 40 / 60, atol=1e-4)
    assert found[..., :2].min() >= 0
    assert found[..., :2].max() <= 1
    middles = found[:, 29:31, 29:31, :2].mean((1, 2))
    np.testing.assert_allclose(middles.mean(0), 0.5, atol=0.03)
    assert (np.abs(middles[:, 1] - 0.5) + across / 2 <= 0.5 + 1e-3).all()
    assert middles[:, 1].std() == pytest.approx(0.15, abs=0.02)


def test_the_smallest_crop_is_a_twentieth_of_the_canvas():
    found = crops(20, 0.0, -3.0)(marks(40, 60), SEEDS[:1], tf.constant(0.9)).numpy()
    assert (found[0, 11, 10, 0] - found[0, 10, 10, 0]) * 20 == pytest.approx(0.05, abs=1e-4)


def test_a_shrunken_crop_averages_what_flickers_from_pixel_to_pixel():
    board = np.indices((32, 32)).sum(0) % 2
    images = tf.constant(np.repeat(board[None, ..., None], 3, axis=3), tf.float32)
    shrunk = crops(8, 3.0, 3.0)(images, SEEDS[:1], START).numpy()
    np.testing.assert_allclose(shrunk, 0.5, atol=0.02)


def test_resampling_takes_the_weighted_means_of_rows_and_columns():
    rows = np.random.default_rng(1).random((3, 4, 11), np.float32)
    columns = np.random.default_rng(2).random((3, 6, 14), np.float32)
    found = resample(tf.constant(IMAGES), tf.constant(rows), tf.constant(columns))
    expected = np.einsum("nay,nbx,nyxc->nabc", rows, columns, IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
