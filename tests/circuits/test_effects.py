"""What inputs do to a filter, on positions written out by hand and against plain NumPy."""

from itertools import combinations

import numpy as np
import pytest
from parts import contributions, part, random_part
from scipy import stats

from convscope.activations.recorder import LayerBatch, fill
from convscope.circuits import effects, weights
from convscope.circuits.attribution import Sampler
from convscope.circuits.effects import measure, silencing
from convscope.models.graph import Window
from convscope.models.linear import Linear, linear
from convscope.models.receptive_field import Inside
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


def test_silencing_is_counted_where_the_filter_would_fire_without_the_input():
    # z = -2, 1, -1, 0 over two photographs; without the second input 1, 1, -1, 2.
    given = part([[1, -3], [1, 0], [-1, 0], [2, -2]], of=[0, 0, 1, 1])
    (found,) = silencing(given, [1])
    assert (found.channel, found.share) == (1, 0.5)
    assert found.active == 1.0  # the one position at which it inhibits most
    assert found.photographs == (0, 1) and found.positions == (1, 1)


def test_an_input_that_prevents_nothing_has_no_photographs():
    (found,) = silencing(part([[1, -0.5], [1, 0]]), [1])
    assert found.share == found.active == pytest.approx(0) and found.photographs == ()


LAYER, SIZE = "block4_conv3", 160
KEPT = 10  # inputs of a planted circuit


@pytest.fixture(scope="module")
def seen(vgg16, photographs):
    """What goes into the layer on 68 photographs, and comes out."""
    sights, halves = [], []
    for recording in fill(vgg16, [LAYER], photographs[::3][:68], SIZE, 8):
        sights.append(recording.latest)
        halves = recording.halves
    inputs, maps = (np.concatenate([getattr(one, part) for one in sights])
                    for part in ("inputs", "maps"))  # fmt: skip
    return inputs, maps, halves, recording.fields[LAYER]


def sampled(inputs, found, halves, inside, most=32):
    """The sample of one filter that follows from these inputs."""
    maps = contributions(inputs, found).sum(-1, keepdims=True) + found.bias
    made = Sampler(found, 0, most, len(inputs), 0, inside, maps.shape[1:3])
    made.add(LayerBatch(inputs, maps), halves.tolist())
    assert made.missing() == []
    return made.sample()


def planted(kernel, activity, number, size):
    """A real kernel with a circuit in it and decoys beside it.

    Eight of the ten inputs of the circuit are of middling activity, and two, the most active ones
    of all, have small kernels. Decoys are kernels 30 times as large on the inputs that hardly ever
    fire, and a pair of equal inputs whose kernels, `size` times the circuit's largest, cancel.

    Returns:
        The kernel, the inputs of the circuit, and the two that must be made equal.
    """
    generator = np.random.default_rng(number)
    order = np.argsort(activity)
    dead, quiet, living, strong = np.split(order, [KEPT, 100, 510])
    eight = generator.choice(living, KEPT - len(strong), replace=False)
    pair = generator.choice(quiet, 2, replace=False)
    kernel = 0.1 * kernel
    kernel[..., eight] = np.abs(generator.normal(size=(3, 3, len(eight)))) / activity[eight] * 0.6
    kernel[..., strong] = 0.6 / activity[strong]
    members = np.concatenate([eight, strong])
    largest = np.sqrt((kernel[..., members] ** 2).sum((0, 1))).max()
    kernel[..., dead] = 10 * largest * np.sign(generator.normal(size=KEPT))
    kernel[..., pair] = size * largest / 3 * np.array([1, -1])
    return kernel.astype(np.float32), members, pair


def recalls(kernels_of, seen, size, count):
    """The share of a planted circuit among the first ten of each ranking, over plantings."""
    inputs, _, halves, _ = seen
    inputs, inside = inputs.copy(), Inside(range(2, 18), range(2, 18))
    activity = inputs.std(axis=(0, 1, 2))
    dead = np.argsort(activity)[:KEPT]
    inputs[..., dead] *= 1e-4
    activity[dead] *= 1e-4
    found = {}
    for number in range(count):
        kernel, members, (one, other) = planted(kernels_of[..., number], activity, number, size)
        before = inputs[..., other].copy()
        inputs[..., other] = inputs[..., one]
        whole = Linear(kernel, 0.0, np.arange(512), Window((3, 3), padding="same"))
        part = sampled(inputs, whole, halves, inside).discovery
        inputs[..., other] = before
        known = effects.measure(part, 0.2, bootstrap.draws(part.photographs, 0, 1))
        orders = effects.orders(weights.measure(kernel, 0.2, 0.05).l2, known, part, KEPT)
        for name, order in orders.items():
            right = np.isin(order[:KEPT], members).mean()
            found.setdefault(name, []).append(right)
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.mark.exhaustive
def test_planted_circuits_are_found_by_what_inputs_do_and_not_by_their_weights(vgg16, seen):
    found = recalls(np.asarray(vgg16.find(LAYER).kernel), seen, 0.2, 50)
    assert found["top_shift"] >= 0.95, found
    assert found["greedy"] >= 0.95, found
    assert found["greedy_variance"] >= 0.95, found
    assert found["l2"] == 0, found


@pytest.mark.exhaustive
def test_a_large_pair_that_cancels_misleads_the_top_shift_and_not_the_greedy_rankings(vgg16, seen):
    found = recalls(np.asarray(vgg16.find(LAYER).kernel), seen, 3, 8)
    assert found["greedy"] >= 0.95, found
    assert found["top_shift"] < 0.9, found


@pytest.mark.exhaustive
def test_the_sign_of_the_weights_is_that_of_the_effect_outside_mixed_kernels(vgg16, seen):
    inputs, _, halves, field = seen
    inside = field.inside((20, 20), (SIZE, SIZE))
    agree = []
    for filter in range(0, 512, 64):
        found = linear(vgg16.find(LAYER), filter)
        sample = sampled(inputs, found, halves, inside)
        part = sample.confirmation
        known = effects.measure(part, 0.2, bootstrap.draws(part.photographs, 0, 1))
        table = weights.measure(found.kernel, 0.2, 0.05)
        clear = np.isin(table.label, ["excitatory", "inhibitory"]) & (known.mean != 0)
        agree.extend(np.sign(table.sign_index[clear]) == np.sign(known.mean[clear]))
    assert len(agree) > 2500
    assert np.mean(agree) >= 0.98
