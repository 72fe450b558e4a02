"""How much a few inputs explain, against formulas written out for each measure."""

import numpy as np
import pytest
from parts import part, random_part
from scipy import stats

from convscope.circuits.faithfulness import minimality, sizes


def test_sizes_are_a_log_grid_with_all_inputs_and_those_shown():
    assert sizes(512, 10).tolist() == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 512]
    assert sizes(64, 7).tolist() == [0, 1, 2, 5, 7, 10, 20, 50, 64]
    assert sizes(3, 3).tolist() == [0, 1, 2, 3]
    assert sizes(1, 1).tolist() == [0, 1]


def test_every_measure_equals_its_formula(curves_of):
    given = random_part(inputs=23)
    ranked, found = curves_of(given)
    u, z, center = given.u.astype(np.float64), given.sampled, given.center
    top, strong = given.top.astype(np.float64), given.strong
    for name in ("l2", "greedy", "best"):
        for at, size in enumerate(found.sizes):
            kept = ranked[name][:size]
            left = np.delete(np.arange(23), kept)
            guess = z - (u[:, left] - center[left]).sum(axis=1)
            high = strong - (top[:, left] - center[left]).sum(axis=1)
            zero = given.bias + u[:, kept].sum(axis=1)
            without = strong - (top[:, kept] - center[kept]).sum(axis=1)
            below = z < given.threshold
            pairs = len(high) * below.sum()  # rounded, so that silent inputs tie
            wins = stats.mannwhitneyu(high.round(6), guess[below].round(6)).statistic / pairs
            curve = found.curves[name]
            expected = {
                "recovery": (high.mean() - z.mean()) / (strong.mean() - z.mean()),
                "r2": 1 - np.mean((z - guess) ** 2) / z.var(),
                "zero_r2": 1 - np.mean((z - zero) ** 2) / z.var(),
                "necessity": 1 - np.maximum(without, 0).mean() / np.maximum(strong, 0).mean(),
                "false_fire": np.mean(guess[z <= 0] > 0),
            }
            for key, value in expected.items():
                assert getattr(curve, key)[at] == pytest.approx(value, abs=2e-3), (name, size, key)
            if size:
                assert curve.auroc[at] == pytest.approx(wins, abs=1e-3)


def test_nothing_kept_recovers_nothing_and_everything_all(curves_of):
    _, found = curves_of(random_part())
    for curve in found.curves.values():
        for values in (curve.recovery, curve.r2, curve.necessity):
            assert values[0] == pytest.approx(0, abs=1e-4)
            assert values[-1] == pytest.approx(1, abs=1e-4)
    assert found.curves["best"].normalized.value == pytest.approx(1)
    assert found.curves["random"].normalized.value == 0


def test_no_set_recovers_more_than_the_best_of_its_size(curves_of):
    _, found = curves_of(random_part())
    best = found.curves["best"].recovery
    assert all((curve.recovery <= best + 1e-6).all() for curve in found.curves.values())


def test_half_of_a_strong_response_needs_as_many_inputs_as_it_says(curves_of):
    given = part([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 4, 5]])
    _, found = curves_of(given, 1)
    assert found.curves["l2"].half.value == 2  # 1 and 4 of 10
    assert found.curves["best"].half.value == 1
    assert found.at == 1 and found.curves["l2"].recovery[1] == pytest.approx(0.1)


def test_intervals_hold_the_value_and_shrink_with_more_photographs(curves_of):
    _, few = curves_of(random_part(10))
    _, many = curves_of(random_part(160))

    def width(found):
        curve = found.curves["l2"]
        low, high = curve.low["recovery"][found.at], curve.high["recovery"][found.at]
        assert low <= curve.recovery[found.at] <= high
        return high - low

    assert width(many) < width(few)


@pytest.mark.parametrize("runs", [20, pytest.param(60, marks=pytest.mark.exhaustive)])
def test_the_interval_covers_the_truth_in_about_95_of_100_draws(curves_of, runs):
    truth = curves_of(random_part(3000, positions=6, inputs=12), draws=2)[1]
    expected = truth.curves["l2"].recovery[truth.at]
    generator = np.random.default_rng(0)
    whole = random_part(3000, positions=6, inputs=12)
    u = whole.u.reshape(3000, 6, 12)
    inside = 0
    for _ in range(runs):
        chosen = u[generator.choice(3000, 80, replace=False)].reshape(-1, 12)
        of = np.repeat(np.arange(80), 6)
        _, found = curves_of(part(chosen, whole.bias, of, whole.threshold))
        curve = found.curves["l2"]
        low, high = curve.low["recovery"][found.at], curve.high["recovery"][found.at]
        inside += low <= expected <= high
    assert inside >= 0.85 * runs


def test_a_member_that_matters_more_than_all_others_has_the_smallest_p():
    loss = np.array([5.0, 1.0, 0.5, 0.2, 3.0, 0.1])
    np.testing.assert_allclose(minimality(np.array([0, 2]), loss), [1 / 5, 3 / 5])


def test_a_filter_that_never_varies_has_no_recovery_and_raises_nothing(curves_of):
    _, found = curves_of(part(np.ones((9, 2))), 1)
    assert np.isnan(found.curves["l2"].recovery).all()
