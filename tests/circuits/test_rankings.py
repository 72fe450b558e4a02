"""Orders of inputs: the greedy one against trying all sets, and agreement against SciPy."""

from itertools import combinations

import numpy as np
import pytest
from parts import part, random_part
from scipy import stats

from convscope.circuits import effects
from convscope.circuits.effects import measure
from convscope.stats import bootstrap


def cost(gram: np.ndarray, kept: tuple[int, ...]) -> float:
    """Return the mean squared difference that is left with some inputs kept."""
    left = np.delete(np.arange(len(gram)), kept)
    return float(gram[np.ix_(left, left)].sum())


def orders_of(given, count=3):
    """All orders, with the norm of an input its number backwards."""
    found = measure(given, 0.2, bootstrap.draws(given.photographs, 0, 20))
    inputs = given.u.shape[1]
    return effects.orders(np.arange(inputs)[::-1], found, given, count)


def test_the_cost_of_a_set_is_the_mean_squared_difference_it_leaves():
    given = random_part(inputs=9)
    gram = effects.gram(given, np.ones(len(given.u)))
    apart = given.u - given.center
    left = apart[:, [0, 2, 3, 4, 6, 7, 8]].sum(axis=1)
    assert cost(gram, (1, 5)) == pytest.approx(np.mean(left**2), rel=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_no_exchange_improves_the_greedy_set_and_it_is_near_the_best_of_all(seed):
    given = random_part(inputs=12, seed=seed)
    gram = effects.gram(given, np.ones(len(given.u)))
    order = effects.greedy(gram, 4)
    assert sorted(order.tolist()) == list(range(12))
    own = cost(gram, tuple(order[:4]))
    for member in order[:4]:
        for other in order[4:]:
            changed = (*(one for one in order[:4] if one != member), other)
            assert cost(gram, changed) >= own - 1e-6 * gram.trace()
    best = min(cost(gram, kept) for kept in combinations(range(12), 4))
    assert own <= best + 0.1 * gram.trace()


def test_a_pair_that_cancels_is_not_chosen():
    wave = np.random.default_rng(0).normal(size=400)
    small = np.random.default_rng(1).normal(size=400)
    given = part(np.stack([5 * wave, -5 * wave, small], axis=1))
    gram = effects.gram(given, np.ones(400))
    assert effects.greedy(gram, 1)[0] == 2


def test_each_order_is_that_of_its_measure_and_the_best_is_signed():
    given = part([[0, 0, 0], [0, 0, 0], [0, 0, 9], [1, -5, 14]], of=[0, 0, 1, 1])
    found = orders_of(given, 1)
    assert found["l2"].tolist() == [0, 1, 2]
    # At the strongest, the last position, they shift by 0.75, -3.75 and 8.25.
    assert found["top_shift"].tolist() == [2, 1, 0]
    assert found["best"].tolist() == [2, 0, 1]
    assert found["greedy"].tolist()[0] == 2
    assert effects.ranks(found["l2"]).tolist() == [1, 2, 3]


def test_agreement_is_that_of_the_two_orders():
    given = random_part()
    found = orders_of(given, 5)
    pairs = effects.agreements(found, 5)
    assert len(pairs) == 21
    for one in pairs:
        first, second = found[one.one], found[one.other]
        tau = stats.kendalltau(np.argsort(first), np.argsort(second)).statistic
        assert one.kendall == pytest.approx(tau)
        common = len(set(first[:5]) & set(second[:5]))
        assert one.jaccard == pytest.approx(common / (10 - common))


def test_thousands_of_inputs_are_ordered_in_seconds():
    values = np.random.default_rng(0).normal(size=(600, 2048)).astype(np.float32)
    gram = (values.T @ values).astype(np.float64)
    assert sorted(effects.greedy(gram, 10).tolist()) == list(range(2048))
