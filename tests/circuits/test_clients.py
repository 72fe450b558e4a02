"""Who reads a filter: hand-set kernels behind pools, sums and concatenations."""

import keras
import numpy as np
import pytest

from convscope.circuits.weights import downstream
from convscope.models.linear import linear
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance
from convscope.unit import Unit

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
