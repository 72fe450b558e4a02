"""The table of a filter's kernel slices, on hand-set weights."""

import numpy as np
import pytest

from convscope.circuits.weights import (
    EXCITATORY,
    INHIBITORY,
    MIXED,
    NEGLIGIBLE,
    downstream,
    measure,
    pattern,
)
from convscope.models.backend import keras
from convscope.models.linear import linear
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance
from convscope.unit import Unit

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


L = keras.layers


def network(*ends):
    model = keras.Model(ends[0], ends[1])
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.normal(size=part.shape) for part in layer.get_weights()])
        if isinstance(layer, L.BatchNormalization):
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))
    return build("tiny", model, "none", Provenance("", ""))


def image():
    return keras.Input((None, None, 3))


def test_a_filter_behind_a_pool_has_its_kernel_slice_and_its_share():
    start = image()
    value = L.MaxPooling2D(name="pool")(L.ReLU()(L.Conv2D(4, 3, name="own")(start)))
    made = network(start, L.Conv2D(2, (1, 2), name="next")(value))
    kernel = np.zeros((1, 2, 4, 2), np.float32)
    kernel[0, :, 1, 0] = 3, 4
    kernel[0, :, 1, 1] = -1, 1
    kernel[0, 0, 2, 0] = 5
    made.find("next").kernel.assign(kernel)
    found = downstream(made, Unit("own", 1), 0.2, 0.05)
    strong, weak = found.filters
    assert (strong.unit, strong.l2, strong.sum, strong.sign_index) == (Unit("next", 0), 5, 7, 1)
    assert (strong.label, strong.share) == ("excitatory", 0.5)
    np.testing.assert_array_equal(strong.kernel, [[3, 4]])
    assert (weak.unit, weak.sum, weak.label, weak.share) == (Unit("next", 1), 0, "mixed", 1)
    assert found.layers == ("next",) and found.ends == ()
    first = found.records()[0]
    assert list(first)[2:7] == ["l2", "sum", "sign_index", "label", "share"]
    assert (first["rank"], first["via"]) == (1, "pool")
    # No filter reads channel 0.
    assert downstream(made, Unit("own", 0), 0.2, 0.05).filters == ()


def test_a_concatenation_gives_the_channel_its_new_number():
    start = image()
    one, other = L.Conv2D(4, 1, name="one")(start), L.Conv2D(5, 1, name="other")(start)
    joined = L.Concatenate(name="joined")([one, other])
    made = network(start, L.Conv2D(3, 3, name="next")(joined))
    found = downstream(made, Unit("other", 2), 0.2, 0.05).filters
    assert {(it.channel, it.via) for it in found} == {(6, ("joined",))}
    assert len(found) == 3
    for one in found:
        own = linear(made.find("next"), one.unit.filter).kernel
        np.testing.assert_array_equal(one.kernel, own[..., 6])
        assert one.share == pytest.approx((own[..., 6] ** 2).sum() / (own**2).sum())


def test_every_first_linear_layer_behind_a_residual_stream_reads_it_directly():
    start = image()
    stream = L.Conv2D(4, 1, name="stem")(start)
    for block in "ab":
        inner = L.Conv2D(4, 3, padding="same", name=f"{block}_in")(L.ReLU()(stream))
        inner = L.Conv2D(4, 3, padding="same", name=f"{block}_out")(L.ReLU()(inner))
        stream = L.Add(name=f"{block}_add")([stream, inner])
    made = network(start, L.Dense(2, name="top")(L.GlobalAveragePooling2D(name="mean")(stream)))
    found = downstream(made, Unit("stem", 3), 0.2, 0.05)
    assert {(it.unit.layer, it.channel, it.via) for it in found.filters} == {
        ("a_in", 3, ()), ("b_in", 3, ("a_add",)), ("top", 3, ("a_add", "b_add", "mean")),
    }  # fmt: skip
    assert downstream(made, Unit("a_in", 0), 0.2, 0.05).layers == ("a_out",)
    assert downstream(made, Unit("top", 0), 0.2, 0.05).layers == ()


def test_a_negative_scale_on_the_way_turns_the_weights_around():
    start = image()
    value = L.ReLU()(L.Conv2D(3, 1, name="own")(start))
    value = L.BatchNormalization(name="norm", epsilon=0)(value)
    made = network(start, L.Conv2D(2, 1, name="next")(value))
    norm = made.find("norm")
    norm.gamma.assign([1, -2, 1])
    norm.moving_variance.assign([1, 1, 1])
    made.find("next").kernel.assign(np.ones((1, 1, 3, 2)))
    assert [one.sum for one in downstream(made, Unit("own", 1), 0.2, 0).filters] == [-2, -2]
    assert downstream(made, Unit("own", 1), 0.2, 0).filters[0].label == "inhibitory"


def test_a_difference_reads_its_second_input_with_a_minus():
    start = image()
    one, other = (L.Conv2D(3, 1, name=name)(start) for name in ("one", "other"))
    made = network(start, L.Conv2D(2, 1, name="next")(L.Subtract()([one, other])))
    one, other = (downstream(made, Unit(name, 1), 0, 0).filters for name in ("one", "other"))
    assert [it.sum for it in one] == [-it.sum for it in other]


@pytest.mark.parametrize(
    ("layer", "filters"),
    [
        (L.Conv2D(8, (2, 3), groups=2, name="next"), [4, 5, 6, 7]),
        (L.DepthwiseConv2D((3, 2), depth_multiplier=2, name="next"), [4, 5]),
        (L.SeparableConv2D(3, (2, 3), depth_multiplier=2, name="next"), [0, 1, 2]),
    ],
    ids=["grouped", "depthwise", "separable"],
)
def test_every_kind_of_convolution_shows_the_kernel_that_it_computes_with(layer, filters):
    start = image()
    made = network(start, layer(L.Conv2D(4, 1, name="own")(start)))
    found = downstream(made, Unit("own", 2), 0.2, 0.05).filters
    assert sorted(one.unit.filter for one in found) == filters
    for one in found:
        own = linear(made.find("next"), one.unit.filter)
        (place,) = np.flatnonzero(own.channels == 2)
        np.testing.assert_allclose(one.kernel, own.kernel[..., place], rtol=1e-5)
        share = (own.kernel[..., place] ** 2).sum() / (own.kernel**2).sum()
        assert one.share == pytest.approx(share, rel=1e-5)


def test_where_the_way_is_not_linear_the_walk_ends_and_says_so():
    start = image()
    own = L.Conv2D(3, 1, name="own")(start)
    gate = L.Conv2D(3, 1, name="gate", activation="sigmoid")(own)
    made = network(start, L.Conv2D(2, 1, name="next")(L.Multiply(name="gated")([own, gate])))
    found = downstream(made, Unit("own", 1), 0.2, 0.05)
    assert (found.layers, found.ends) == (("gate",), ("gated",))


def test_the_filters_downstream_of_a_real_one_read_it_through_the_pool(vgg16):
    found = downstream(vgg16, Unit("block3_conv3", 100), 0.2, 0.05)
    assert found.layers == ("block4_conv1",) and len(found.filters) == 512
    norms = np.linalg.norm(np.asarray(vgg16.find("block4_conv1").kernel)[:, :, 100], axis=(0, 1))
    assert found.filters[0].unit.filter == norms.argmax()
    assert found.filters[0].via == ("block3_pool",)
