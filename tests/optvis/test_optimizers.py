import numpy as np
import pytest

from convscope.models.backend import tf
from convscope.optvis.optimizers import SPREAD, constant, cosine, normalized, rmsprop


def test_the_first_step_has_size_one_and_the_sign_of_the_gradient():
    gradient = tf.constant([[3.0, -0.01], [1e-5, 0.0]])
    direction, _ = rmsprop(lambda squares: squares)(
        gradient, tf.zeros_like(gradient), tf.constant(0)
    )
    np.testing.assert_allclose(direction, [[1, -1], [0.999, 0]], atol=2e-3)


def test_the_running_mean_of_squares_is_corrected_for_its_start():
    optimizer, memory = rmsprop(lambda squares: squares), tf.zeros((1, 1))
    gradients = [2.0, -1.0, 4.0]
    for count, gradient in enumerate(gradients):
        direction, memory = optimizer(tf.constant([[gradient]]), memory, tf.constant(count))
    weights = (1 - SPREAD) * SPREAD ** np.arange(2, -1, -1)
    mean = (weights * np.square(gradients)).sum() / (1 - SPREAD**3)
    assert float(direction[0, 0]) == pytest.approx(4 / np.sqrt(mean), rel=1e-5)


def test_numbers_that_share_their_spread_keep_their_proportions():
    share = lambda squares: tf.reduce_mean(squares, 1, keepdims=True) * [[1.0, 1.0]]  # noqa: E731
    gradient = tf.constant([[3.0, 4.0]])
    direction, _ = rmsprop(share)(gradient, tf.zeros_like(gradient), tf.constant(0))
    np.testing.assert_allclose(direction, [[3 / np.sqrt(12.5), 4 / np.sqrt(12.5)]], rtol=1e-5)


def test_a_normalized_step_has_unit_root_mean_square_in_every_sample():
    gradient = tf.constant([[[3.0, 4.0], [0.0, 0.0]], [[1e3, 0], [0, -1e3]], [[0, 0], [0, 0.0]]])
    direction, _ = normalized(gradient, tf.zeros_like(gradient), tf.constant(5))
    np.testing.assert_allclose(direction[0], [[1.2, 1.6], [0, 0]], rtol=1e-5)
    np.testing.assert_allclose(direction[1], [[2**0.5, 0], [0, -(2**0.5)]], rtol=1e-5)
    np.testing.assert_array_equal(direction[2], np.zeros((2, 2)))


def test_the_rate_falls_along_half_a_cosine_or_stays():
    falling = [float(cosine(0.6)(tf.constant(share))) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_allclose(falling, [0.6, 0.512132, 0.3, 0.087868, 0], atol=1e-6)
    assert [float(constant(0.5)(tf.constant(share))) for share in (0.0, 0.9)] == [0.5, 0.5]
