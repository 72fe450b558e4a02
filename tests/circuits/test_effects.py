"""What inputs do to a filter, on positions written out by hand and against plain NumPy."""

import numpy as np
import pytest
from parts import part, random_part

from convscope.circuits.effects import measure
from convscope.stats import bootstrap

# Four positions of four photographs; the last is strong. z = -1 + u0 + u1 = 2, -1, -2, 5.
HAND = part([[4, -1, 0], [0, 0, 0], [0, -1, 0], [6, 0, 0]], bias=-1.0)
FOUND = measure(HAND, 0.2, bootstrap.draws(4, 0))


def test_means_shifts_and_their_parts_are_exact():
    np.testing.assert_allclose(FOUND.mean, [2.5, -0.5, 0])
    np.testing.assert_allclose(FOUND.top_shift, [3.5, 0.5, 0])
    np.testing.assert_allclose(FOUND.drive, [3.5, 0, 0])
    np.testing.assert_allclose(FOUND.release, [0, 0.5, 0])
    np.testing.assert_allclose(FOUND.deviation, [np.sqrt(6.75), 0.5, 0])


def test_an_ablation_is_what_the_output_loses():
    # Outputs 2, 0, 0, 5; with the first input at 2.5: 0.5, 1.5, 0.5, 1.5; the second at -0.5:
    # 2.5, 0, 0, 4.5.
    np.testing.assert_allclose(FOUND.ablation, [(7 - 4) / 4, (7 - 7) / 4, 0], atol=1e-12)
    np.testing.assert_allclose(FOUND.ablation_top, [5 - 1.5, 5 - 4.5, 0])


def test_labels_follow_the_effect_and_a_dead_input_is_negligible():
    assert FOUND.effect.tolist() == ["excitatory", "inhibitory", "negligible"]
    np.testing.assert_allclose(FOUND.functional_sign, [1, -1, 0])


def test_an_input_that_raises_and_lowers_alike_is_mixed():
    u = np.array([[3, 1], [-3, 1], [3, 0], [-3.5, 0]] * 3)
    found = measure(part(u), 0.2, bootstrap.draws(12, 0))
    assert found.effect.tolist() == ["mixed", "excitatory"]
    assert found.sign_low[0] < found.functional_sign[0] < found.sign_high[0]
    assert found.confidence[1] == 1


@pytest.mark.parametrize("seed", range(3))
def test_shares_sum_to_one_and_shifts_to_the_whole_shift(seed):
    given = random_part(seed=seed, inputs=300)
    found = measure(given, 0.2, bootstrap.draws(20, 0, 50))
    assert found.covariance_share.sum() == pytest.approx(1, abs=1e-5)
    whole = given.strong.mean() - given.z.mean()
    assert found.top_shift.sum() == pytest.approx(whole, rel=1e-5)
    np.testing.assert_allclose(found.drive + found.release, found.top_shift, atol=1e-12)
    u, z = given.u.astype(np.float64), given.sampled
    for channel in (0, 17, 299):
        covariance = np.cov(u[:, channel], z, bias=True)
        share = covariance[0, 1] / covariance[1, 1]
        assert found.covariance_share[channel] == pytest.approx(share, rel=1e-6, abs=1e-9)
        without = z - u[:, channel] + u[:, channel].mean()
        lost = np.maximum(z, 0).mean() - np.maximum(without, 0).mean()
        assert found.ablation[channel] == pytest.approx(lost, rel=1e-4, abs=1e-6)


def test_a_filter_that_never_varies_divides_nothing_by_zero():
    found = measure(part(np.ones((9, 2))), 0.2, bootstrap.draws(9, 0))
    np.testing.assert_array_equal(found.covariance_share, [0, 0])
    assert found.effect.tolist() == ["negligible", "negligible"]
