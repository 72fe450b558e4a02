"""Paths of two hops: exact on hand-set networks, and complete on real ones."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convscope.circuits.paths import Contributions, upstream
from convscope.models.backend import keras, tf
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance
from convscope.unit import IMAGE, Unit

L = keras.layers
RNG = np.random.default_rng(0)
PIXELS = RNG.random((2, 9, 11, 3)).astype(np.float32)


def network(start, end, seed=0):
    model = keras.Model(start, end)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([rng.normal(size=part.shape) for part in layer.get_weights()])
        if isinstance(layer, L.BatchNormalization):
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))
    return build("tiny", model, "none", Provenance("", ""))


def image(size=(None, None)):
    return keras.Input((*size, 3))


def put(made, name, kernel, bias=0.0):
    layer = made.find(name)
    layer.kernel.assign(kernel)
    layer.bias.assign(np.broadcast_to(bias, layer.bias.shape))


def at(shape, photograph, row, column):
    weights = np.zeros(shape, np.float32)
    weights[photograph, row, column] = 1
    return weights


def flows(made, unit, pixels, weights, depth=2):
    behind = upstream(made, unit, depth)
    found = Contributions(behind)
    found.add(behind.body(pixels), weights)
    return found


def test_a_path_counts_while_its_gate_is_open_and_a_dead_path_adds_nothing():
    start = image()
    value = L.ReLU()(L.Conv2D(2, 1, name="middle")(start))
    made = network(start, L.Conv2D(1, 1, name="end")(value))
    # Filter 0 is 2 r - g + 1 and open, filter 1 is -r - b and shut.
    put(made, "middle", np.array([[2, -1], [-1, 0], [0, -1]])[None, None], [1, 0])
    put(made, "end", np.array([[3], [5]])[None, None], 7)
    pixels = np.float32([0.5, 0.25, 0.75]).reshape(1, 1, 1, 3)
    found = flows(made, Unit("end", 0), pixels, at((1, 1, 1), 0, 0, 0))
    np.testing.assert_allclose(found.edges[0]["middle"], [[3, 0], [-0.75, 0], [0, 0]])
    assert found.total == pytest.approx(3 - 0.75 + 3 + 7)
    assert (found.own, found.biases[0]) == (7, 3)
    assert found.remainder(0) == pytest.approx(0, abs=1e-6)


def test_a_max_pool_lets_only_the_largest_through():
    start = image()
    value = L.MaxPooling2D(2)(L.Conv2D(1, 1, name="middle")(start))
    made = network(start, L.Conv2D(1, 1, name="end")(value))
    put(made, "middle", np.array([[1], [-1], [0]])[None, None])
    put(made, "end", np.float32([[[[2]]]]))
    pixels = np.zeros((1, 2, 2, 3), np.float32)
    pixels[0, :, :, 0] = [[0.1, 0.9], [0.8, 0.2]]
    pixels[0, :, :, 1] = [[0.0, 0.7], [0.1, 0.0]]  # the largest difference is 0.8 - 0.1
    found = flows(made, Unit("end", 0), pixels, at((1, 1, 1), 0, 0, 0))
    np.testing.assert_allclose(found.edges[0]["middle"], [[1.6], [-0.2], [0]], rtol=1e-6)


def test_a_sum_passes_each_branch_on_channel_by_channel():
    start = image()
    one, other = (L.Conv2D(2, 1, name=name)(start) for name in ("one", "other"))
    value = L.ReLU()(L.Add(name="added")([one, other]))
    made = network(start, L.Conv2D(1, 1, name="end")(value))
    put(made, "one", np.array([[1, 0], [0, 1], [0, 0]])[None, None])
    put(made, "other", np.array([[0, 0], [1, 0], [0, -1]])[None, None])
    put(made, "end", np.array([[2], [4]])[None, None])
    pixels = np.float32([0.5, 0.25, 0.125]).reshape(1, 1, 1, 3)
    found = flows(made, Unit("end", 0), pixels, at((1, 1, 1), 0, 0, 0))
    expected = [[1, 0], [0, 1], [0.5, 0], [0, -0.5]]  # one:0, one:1, other:0, other:1
    np.testing.assert_allclose(found.edges[0]["added"], expected)
    sources = upstream(made, Unit("end", 0), 2).sources[0]["added"]
    assert sources == (Unit("one", 0), Unit("one", 1), Unit("other", 0), Unit("other", 1))


def test_a_concatenation_leads_each_channel_back_into_its_branch():
    start = image()
    one, other = (L.ReLU()(L.Conv2D(1, 1, name=name)(start)) for name in ("one", "other"))
    made = network(start, L.Conv2D(1, 1, name="end")(L.Concatenate()([one, other])))
    put(made, "one", np.array([[1], [2], [0]])[None, None])
    put(made, "other", np.array([[0], [0], [4]])[None, None])
    put(made, "end", np.array([[1], [-1]])[None, None])
    pixels = np.float32([0.5, 0.25, 0.125]).reshape(1, 1, 1, 3)
    found = flows(made, Unit("end", 0), pixels, at((1, 1, 1), 0, 0, 0))
    np.testing.assert_allclose(found.edges[0]["one"], [[0.5], [0.5], [0]])
    np.testing.assert_allclose(found.edges[0]["other"], [[0], [0], [-0.5]])
    units = upstream(made, Unit("end", 0), 2).sources[0]["one"]
    assert units == tuple(Unit(IMAGE, colour) for colour in range(3))


DOWN = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_paths import L, Unit, flows, image, network
start = image()
first = L.Conv2D(6, 3, padding="same", activation="relu", name="first")(start)
one = L.Conv2D(5, 1, strides=2, name="down")(first)
made = network(start, L.Conv2D(5, 1, strides=2, name="unit")(L.ReLU()(one)))
pixels = np.random.default_rng(0).random((2, 56, 56, 3), np.float32)
weights = np.ones((2, 14, 14), np.float32)
for _ in range(30):
    found = flows(made, Unit("unit", 2), pixels, weights, 3)
assert abs(found.remainder(1)) < 1e-3 * abs(found.total)
"""


@pytest.mark.exhaustive
def test_a_kernel_of_one_tap_that_steps_over_the_last_row_harms_nothing():
    # TensorFlow's own gradient ends the process, most times.
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", DOWN, here], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def masked(made, pixels, weights, name, filter):
    """The gradient through one filter alone times the input."""
    found = upstream(made, Unit("end", 1), 2)
    values = found.body(pixels)
    given = values[found.hops[0].reads[name][0]]
    with tf.GradientTape() as tape:
        tape.watch(given)
        whole = made.find(name)(given)
        alone = np.arange(whole.shape[-1]) == filter
        whole = tf.where(alone, whole, tf.stop_gradient(whole))
        (read,) = found.hops[0].onward({name: whole})
        total = tf.reduce_sum(found.answer(read) * weights)
    return np.sum(tape.gradient(total, given) * given, axis=(0, 1, 2))


def test_an_edge_is_the_gradient_through_one_filter_alone_times_the_input():
    start = image()
    value = L.ReLU()(L.Conv2D(4, (3, 2), padding="same", name="first")(start))
    value = L.Conv2D(5, (2, 3), padding="same", use_bias=False)(value)
    value = L.MaxPooling2D((2, 3))(L.ReLU()(L.BatchNormalization()(value)))
    made = network(start, L.Conv2D(2, 3, strides=(1, 2), padding="same", name="end")(value))
    name = next(iter(upstream(made, Unit("end", 1), 2).hops[0].reads))
    weights = RNG.normal(size=(2, 4, 2)).astype(np.float32)
    found = flows(made, Unit("end", 1), PIXELS, weights)
    for filter in range(5):
        expected = masked(made, PIXELS, weights, name, filter)
        np.testing.assert_allclose(found.edges[0][name][:, filter], expected, rtol=1e-3, atol=1e-4)
    assert abs(found.remainder(0)) < 1e-4 * abs(found.edges[0][name]).sum()


KINDS = {
    "grouped": lambda: L.Conv2D(6, 3, groups=2, padding="same"),
    "dilated": lambda: L.Conv2D(6, 2, dilation_rate=(2, 1), padding="same"),
    "depthwise": lambda: L.DepthwiseConv2D((3, 2), depth_multiplier=2, padding="same"),
    "separable": lambda: L.SeparableConv2D(6, 3, depth_multiplier=2, padding="same"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [2, 3])
def test_all_paths_and_the_biases_are_the_preactivation(kind, depth):
    start = image()
    value = L.ReLU()(L.Conv2D(4, 3, padding="same", name="first")(start))
    value = L.ReLU()(KINDS[kind]()(value))
    made = network(start, L.Conv2D(2, 3, name="end")(value))
    weights = RNG.random((2, 7, 9)).astype(np.float32)
    found = flows(made, Unit("end", 1), PIXELS, weights, depth)
    end = made.model(PIXELS).numpy()[..., 1]
    assert found.total == pytest.approx(float((end * weights).sum()), rel=1e-4)
    for hop in range(depth - 1):
        size = sum(abs(values).sum() for values in found.edges[hop].values())
        assert abs(found.remainder(hop)) < 1e-4 * size


def residual():
    start = image()
    value = L.ReLU()(L.Conv2D(6, 3, padding="same", name="stem")(start))
    for block in "ab":
        inner = L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False)(value))
        inner = L.Conv2D(6, 3, padding="same", name=f"{block}_out")(L.ReLU()(inner))
        value = L.ReLU()(L.Add(name=f"{block}_add")([value, inner]))
    return network(start, L.Conv2D(3, 3, padding="same", name="end")(value))


def test_all_paths_of_a_small_residual_network_add_up():
    made = residual()
    weights = RNG.random((2, 9, 11)).astype(np.float32)
    found = flows(made, Unit("end", 2), PIXELS, weights, 3)
    end = made.model(PIXELS).numpy()[..., 2]
    assert found.total == pytest.approx(float((end * weights).sum()), rel=1e-4)
    assert list(found.edges[0]) == ["b_add"] and sorted(found.edges[1]) == ["a_add", "b_out"]
    for hop in (0, 1):
        size = sum(abs(values).sum() for values in found.edges[hop].values())
        assert abs(found.remainder(hop)) < 1e-4 * size


def test_an_activation_that_bends_leaves_a_remainder():
    start = image()
    value = L.Activation("sigmoid")(L.Conv2D(4, 1, name="middle")(start))
    made = network(start, L.Conv2D(1, 1, name="end")(value))
    found = flows(made, Unit("end", 0), PIXELS, np.ones((2, 9, 11), np.float32))
    assert abs(found.remainder(0)) > 0.1 * abs(found.total)


@pytest.mark.slow
def test_all_paths_of_the_real_network_are_its_preactivation_on_real_photographs(vgg16):
    from convscope.data import dataset

    batch = next(iter(dataset.batches(dataset.samples()[:3], 128, 3)))
    found = upstream(vgg16, Unit("block3_conv2", 100), 2)
    values = found.body(batch.pixels)
    z = np.asarray(vgg16.find("block3_conv2")(values[found.read]))[..., 100]
    for photograph, row, column in ((0, 5, 7), (1, 16, 16), (2, 0, 31)):
        one = Contributions(found)
        one.add(values, at(z.shape, photograph, row, column))
        assert one.total == pytest.approx(z[photograph, row, column], rel=1e-4, abs=1e-4)
        size = np.abs(z).max()
        assert abs(one.remainder(0)) < 1e-4 * size
