"""The table of a filter's kernel slices, on hand-set weights."""

import numpy as np
import pytest

from convscope.circuits.weights import EXCITATORY, INHIBITORY, MIXED, NEGLIGIBLE, measure

# Six inputs of a 1 x 4 kernel: each row is what one input's four taps weigh.
SLICES = np.float32(
    [
        [3, 4, 0, 0],  # excitatory, L2 5
        [-1, -1, -1, -1],  # inhibitory, L2 2
        [2, -2, 2, -2],  # mixed, L2 4
        [0, 0, 0, 0],  # nothing
        [0.1, 0, 0, 0],  # excitatory, but weak
        [0, 6, -2, -2],  # L2 sqrt(44), sign index 0.2
    ]
)
KERNEL = SLICES.T.reshape(1, 4, 6)
TABLE = measure(KERNEL, mixed=0.2, negligible=0.05)


def test_every_measure_is_exact_on_hand_set_weights():
    np.testing.assert_allclose(TABLE.l2, [5, 2, 4, 0, 0.1, 44**0.5], rtol=1e-7)
    np.testing.assert_allclose(TABLE.l1, [7, 4, 8, 0, 0.1, 10], rtol=1e-7)
    np.testing.assert_allclose(TABLE.sum, [7, -4, 0, 0, 0.1, 2], rtol=1e-7)
    np.testing.assert_allclose(TABLE.positive, [7, 0, 4, 0, 0.1, 6], rtol=1e-7)
    np.testing.assert_allclose(TABLE.negative, [0, 4, 4, 0, 0, 4], rtol=1e-7)
    np.testing.assert_allclose(TABLE.sign_index, [1, -1, 0, 0, 1, 0.2], rtol=1e-7)
    np.testing.assert_allclose(TABLE.majority, [0.5, 0, 0.5, 0, 0.25, 0.25])
    total = 25 + 4 + 16 + 0 + 0.01 + 44
    np.testing.assert_allclose(TABLE.share, np.array([25, 4, 16, 0, 0.01, 44]) / total, rtol=1e-7)
    assert TABLE.rank_l2.tolist() == [2, 4, 3, 6, 5, 1]


def test_labels_follow_the_sign_index_and_the_strength():
    assert TABLE.label.tolist() == [
        EXCITATORY,
        INHIBITORY,
        MIXED,
        NEGLIGIBLE,
        NEGLIGIBLE,
        EXCITATORY,  # at the threshold itself
    ]


def test_the_plain_words_follow_the_sign_alone():
    assert TABLE.mostly.tolist() == [
        "mostly excitatory",
        "mostly inhibitory",
        "neither",
        "neither",
        "mostly excitatory",
        "mostly excitatory",
    ]


@pytest.mark.parametrize(
    ("mixed", "label"), [(0.0, EXCITATORY), (0.19, EXCITATORY), (0.21, MIXED), (1.0, MIXED)]
)
def test_the_threshold_of_mixed_is_the_given_one(mixed, label):
    assert measure(KERNEL, mixed, 0.05).label[5] == label


@pytest.mark.parametrize(
    ("negligible", "label"),
    [(0.0, EXCITATORY), (0.0150, EXCITATORY), (0.0151, NEGLIGIBLE), (1.0, NEGLIGIBLE)],
)
def test_negligible_is_a_share_of_the_largest_norm(negligible, label):
    # 0.1 / sqrt(44) is 0.01508.
    assert measure(KERNEL, 0.2, negligible).label[4] == label


def test_without_a_threshold_only_zeros_are_negligible():
    tiny = KERNEL.copy()
    tiny[0, 0, 4] = 1e-20
    assert (measure(tiny, 0, 0).label == NEGLIGIBLE).tolist() == [False] * 3 + [True] + [False] * 2


def test_the_sign_of_all_weights_swaps_excitatory_and_inhibitory_and_nothing_else():
    kernel = np.random.default_rng(0).normal(size=(3, 2, 17)).astype(np.float32)
    kernel[..., 4] *= 0.001
    one, other = measure(kernel, 0.3, 0.05), measure(-kernel, 0.3, 0.05)
    swap = {EXCITATORY: INHIBITORY, INHIBITORY: EXCITATORY, MIXED: MIXED, NEGLIGIBLE: NEGLIGIBLE}
    assert set(one.label) == set(swap)
    assert other.label.tolist() == [swap[label] for label in one.label]
    for name in ("l2", "l1", "share", "rank_l2"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.positive, other.negative)
    np.testing.assert_array_equal(one.sign_index, -other.sign_index)
    np.testing.assert_array_equal(one.sum, -other.sum)
    np.testing.assert_allclose(one.majority, 1 - other.majority)
    assert all(
        {first, second} == {"mostly excitatory", "mostly inhibitory"}
        for first, second in zip(one.mostly, other.mostly, strict=True)
    )


def test_ties_go_to_the_lower_channel():
    kernel = np.float32([1, -2, 1, 2, -1, 2, 1]).reshape(1, 1, 7)
    table = measure(kernel, 0.2, 0.05)
    assert table.rank_l2.tolist() == [4, 1, 5, 2, 6, 3, 7]


def test_ties_stay_in_order_among_many_equal_inputs():
    sizes = np.random.default_rng(0).integers(1, 4, 300)
    table = measure(np.broadcast_to(sizes, (3, 2, 300)).astype(np.float32), 0.2, 0.05)
    expected = sorted(range(300), key=lambda channel: (-sizes[channel], channel))
    assert [table.rank_l2[channel] for channel in expected] == list(range(1, 301))


def test_a_kernel_of_zeros_is_negligible_throughout_and_divides_nothing_by_zero():
    table = measure(np.zeros((3, 2, 5), np.float32), 0.2, 0.05)
    assert table.label.tolist() == [NEGLIGIBLE] * 5
    assert table.mostly.tolist() == ["neither"] * 5
    for name in vars(table):
        if name not in ("label", "rank_l2"):
            np.testing.assert_array_equal(getattr(table, name), np.zeros(5))
    assert table.rank_l2.tolist() == [1, 2, 3, 4, 5]


def test_squares_are_summed_in_double_precision():
    kernel = np.full((100, 100, 2), 1e-25, np.float32)  # its square is zero in float32
    table = measure(kernel, 0.2, 0.05)
    np.testing.assert_allclose(table.l2, [1e-23, 1e-23], rtol=1e-6)
    np.testing.assert_allclose(table.share, [0.5, 0.5])
