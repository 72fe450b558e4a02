"""How a kernel slice is laid out."""

import numpy as np
import pytest

from convscope.circuits.weights import pattern

RISE = np.array([[-1, 0, 1]] * 3, float)


@pytest.mark.parametrize(
    ("kernel", "angle"),
    [(RISE, 0), (RISE.T[::-1], 90), (-RISE, 180), (RISE.T, 270), (RISE + RISE.T[::-1], 45)],
)
def test_the_angle_points_to_the_larger_weights(kernel, angle):
    kind, found = pattern(kernel)
    assert kind == "opponent"
    assert found == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize("side", [3, 5, 11])
def test_a_middle_of_another_sign_is_centre_and_surround(side):
    kernel = np.full((side, side), -1.0)
    kernel[side // 2, side // 2] = side**2 - 1
    assert pattern(kernel) == ("centre-surround", None)
    assert pattern(-kernel) == ("centre-surround", None)


def test_equal_weights_and_single_weights_are_uniform():
    assert pattern(np.full((3, 3), -0.5)) == ("uniform", None)
    assert pattern(np.full((2, 7), 0.5)) == ("uniform", None)
    assert pattern(np.ones((1, 1))) == ("uniform", None)


def test_zeros_and_checks_are_neither():
    assert pattern(np.zeros((3, 3))) == ("other", None)
    assert pattern(np.array([[1.0, -1, 1, -1], [-1, 1, -1, 1]])) == ("other", None)


def test_one_row_and_one_column_have_an_angle_along_them():
    assert pattern(np.array([[-1.0, 1.0]])) == ("opponent", 0.0)
    assert pattern(np.array([[-1.0], [1.0]])) == ("opponent", 270.0)
