import numpy as np
import pytest

from convscope.models.backend import tf
from convscope.optvis.penalties import blur_decay, l1, l2, total_variation

EVERY = [total_variation, l1, l2, blur_decay]
IMAGES = np.random.default_rng(0).random((3, 5, 8, 3), np.float32)
# Two rows, three columns; the same in all colours.
STEPS = np.repeat(np.array([[[0.5, 0.7, 0.4], [0.5, 0.5, 1.0]]], np.float32)[..., None], 3, 3)


def slope(penalty, images):
    with tf.GradientTape() as tape:
        tape.watch(images)
        values = penalty(images)
    return tape.gradient(values, images)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        # Across .2 .3 0 .5, down 0 .2 .6: seven pairs of neighbours.
        (total_variation, 1.8 / 7),
        (l1, (0.2 + 0.1 + 0.5) / 6),
        (l2, (0.04 + 0.01 + 0.25) / 6),
        # Windows of four, six and four pixels, with means .55, .6 and .65.
        (blur_decay, (0.05**2 + 0.1**2 + 0.25**2 + 0.05**2 + 0.1**2 + 0.35**2) / 6),
    ],
)
def test_each_penalty_has_the_value_found_by_hand(penalty, expected):
    np.testing.assert_allclose(penalty(tf.constant(STEPS)), [expected], rtol=1e-5)


@pytest.mark.parametrize("penalty", EVERY)
def test_a_grey_image_costs_nothing_and_is_pulled_nowhere(penalty):
    grey = tf.fill((2, 5, 8, 3), 0.5)
    np.testing.assert_array_equal(penalty(grey), [0, 0])
    np.testing.assert_array_equal(slope(penalty, grey), np.zeros((2, 5, 8, 3)))


def test_the_slopes_are_those_found_by_hand():
    found = slope(total_variation, tf.constant(STEPS))[0, ..., 0] * 3 * 7
    # Each neighbour that is darker counts +1, each that is brighter -1.
    np.testing.assert_allclose(found, [[-1, 3, -2], [0, -2, 2]], atol=1e-6)
    found = slope(l1, tf.constant(STEPS))[0, ..., 0] * 3 * 6
    np.testing.assert_allclose(found, [[0, 1, -1], [0, 0, 1]], atol=1e-6)
    found = slope(l2, tf.constant(STEPS))[0, ..., 0] * 3 * 6 / 2
    np.testing.assert_allclose(found, [[0, 0.2, -0.1], [0, 0, 0.5]], atol=1e-6)


def test_a_pixel_is_drawn_towards_its_surroundings_which_stand_still():
    found = slope(blur_decay, tf.constant(STEPS))[0, ..., 1] * 3 * 6 / 2
    expected = [[-0.05, 0.1, -0.25], [-0.05, -0.1, 0.35]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("penalty", EVERY)
def test_a_sample_is_the_same_to_the_last_bit_whoever_shares_its_batch(penalty, compiled):
    def both(images):
        return penalty(images), slope(penalty, images)

    run = tf.function(both, autograph=False) if compiled else both
    images = tf.random.stateless_uniform((16, 33, 21, 3), (1, 2))
    values, gradient = run(images)
    assert values.shape == (16,)
    for count in (1, 2, 3, 8):
        some, pulls = run(images[-count:])
        np.testing.assert_array_equal(some, values[-count:])
        np.testing.assert_array_equal(pulls, gradient[-count:])


@pytest.mark.parametrize("penalty", EVERY)
def test_a_step_against_the_slope_costs_less(penalty):
    images = tf.constant(IMAGES)
    better = images - 0.01 * tf.sign(slope(penalty, images))
    assert (penalty(better).numpy() < penalty(images).numpy()).all()


@pytest.mark.parametrize("penalty", EVERY)
@pytest.mark.parametrize("shape", [(2, 1, 1, 3), (2, 1, 4, 3), (2, 4, 1, 3)])
def test_an_image_of_one_row_or_column_has_a_finite_cost(penalty, shape):
    images = tf.constant(IMAGES[:2, : shape[1], : shape[2]])
    assert np.isfinite(penalty(images)).all()
    assert np.isfinite(slope(penalty, images)).all()
