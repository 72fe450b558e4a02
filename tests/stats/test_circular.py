"""Angles: closed forms, and the published angles of a family of curves."""

import numpy as np
import pytest

from convscope.stats import circular

CURVES = 239.9, 273.7, 303.0, 0.9, 31.9, 63.2, 84.8, 115.3, 146.7, 173.4
"""Circular means of mixed3b's 379, 406, 385, ... in the order in which the family is published.

Source: Cammarata et al., "Curve Detectors", Distill, 2020, computed from its radial responses.
"""


@pytest.mark.parametrize("turns", [1, 2])
def test_one_angle_alone_is_where_all_of_it_points(turns):
    angles = np.arange(0, 360 / turns, 7.5)
    for at in (0, 5, 23):
        vector = circular.resultant(np.eye(len(angles))[at], angles, turns)
        assert abs(vector) == pytest.approx(1)
        assert circular.direction(vector, turns) == pytest.approx(angles[at])


def test_an_even_curve_points_nowhere_and_no_response_has_no_direction():
    angles = np.arange(0, 360, 15.0)
    assert abs(circular.resultant(np.ones(24), angles)) == pytest.approx(0, abs=1e-12)
    assert np.isnan(circular.direction(circular.resultant(np.zeros((24, 2)), angles))).all()


def test_a_cosine_has_half_its_depth():
    angles = np.arange(0, 180, 7.5)
    curves = np.stack([1 + 0.6 * np.cos(2 * np.radians(angles - 40)), np.ones(24)], axis=1)
    vectors = circular.resultant(curves, angles, 2)
    assert abs(vectors[0]) == pytest.approx(0.3)
    assert circular.direction(vectors, 2)[0] == pytest.approx(40)


def test_angles_lie_apart_on_the_shorter_way():
    assert circular.apart(350, 20) == 30
    assert circular.apart(170, 5, 180) == 15


def test_the_published_curves_stand_in_the_order_of_their_angles_and_tile_the_circle():
    assert (np.diff(np.unwrap(np.radians(CURVES))) > 0).all()
    assert np.ptp(np.unwrap(np.radians(CURVES))) < 2 * np.pi
    assert circular.rayleigh(np.array(CURVES)) > 0.5
    assert circular.gap(np.array(CURVES)) < 2


@pytest.mark.parametrize("mean", CURVES)
def test_radial_responses_of_a_published_curve_recover_its_angle(mean):
    angles = np.arange(0, 360, 0.5)
    weights = np.exp(8 * (np.cos(np.radians(angles - mean)) - 1))
    vector = circular.resultant(weights, angles)
    assert circular.direction(vector) == pytest.approx(mean, abs=1e-6)
    assert 0.89 < abs(vector) < 0.96


def test_angles_that_agree_are_not_even():
    assert circular.rayleigh(np.array([10, 12, 14, 11, 9, 13.0])) < 0.01
    assert circular.rayleigh(np.array([5, 6, 185, 186, 4, 184.0])) > 0.9
    assert circular.rayleigh(np.array([5, 6, 185, 186, 4, 184.0]), turns=2) < 0.01
    assert circular.gap(np.arange(0, 360, 45)) == pytest.approx(1)
    assert circular.gap(np.array([0, 10, 20, 30])) == pytest.approx(330 / 90)


def test_rayleighs_p_is_even_on_even_angles():
    random = np.random.default_rng(0)
    found = np.array([circular.rayleigh(random.uniform(0, 360, 12)) for _ in range(2000)])
    assert np.mean(found < 0.05) == pytest.approx(0.05, abs=0.015)


def test_permuted_labels_know_a_peak_from_noise():
    random, angles = np.random.default_rng(1), np.arange(0, 180, 15.0)
    peak = np.exp(4 * np.cos(2 * np.radians(angles - 30)))
    assert circular.permuted(peak, angles, 2, 999, random) < 0.01
    noise = [circular.permuted(random.random(12), angles, 2, 199, random) for _ in range(300)]
    assert np.mean(np.array(noise) < 0.05) == pytest.approx(0.05, abs=0.04)


def test_one_angle_that_answers_at_every_repeat_is_no_chance_and_at_one_is_all_that_is_known():
    random, angles = np.random.default_rng(2), np.arange(0, 180, 15.0)
    always = np.zeros((12, 4))
    always[5] = 1, 2, 1, 2
    assert circular.permuted(always, angles, 2, 999, random) < 0.01
    assert circular.permuted(always[:, 0], angles, 2, 999, random) == 1
