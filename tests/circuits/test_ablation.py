"""A network with few of its paths left, against the algebra and by hand."""

import numpy as np
import pytest
from parts import contributions

from convscope.activations.recorder import fill
from convscope.circuits.ablation import InputMeans, Reduction, masked, reduced
from convscope.circuits.paths import upstream
from convscope.data import dataset
from convscope.models.backend import keras
from convscope.models.linear import linear
from convscope.models.network import Network, build, preactivation, tap
from convscope.models.zoo.checkpoints import Provenance
from convscope.stats import bootstrap
from convscope.unit import Unit

L = keras.layers
RNG = np.random.default_rng(0)
PIXELS = RNG.random((3, 9, 11, 3)).astype(np.float32)


def network():
    start = keras.Input((None, None, 3))
    value = L.ReLU()(L.Conv2D(4, 3, padding="same", name="first")(start))
    more = L.Conv2D(4, 3, padding="same", name="second")(value)
    value = L.ReLU()(L.Add(name="added")([value, more]))
    value = L.MaxPooling2D()(L.ReLU()(L.Conv2D(5, 3, padding="same", name="third")(value)))
    model = keras.Model(start, L.Conv2D(2, 3, padding="same", name="end")(value))
    for layer in model.layers:
        layer.set_weights([RNG.normal(size=part.shape) for part in layer.get_weights()])
    return build("tiny", model, "none", Provenance("", ""))


def prepared(depth):
    made = network()
    found = upstream(made, Unit("end", 1), depth)
    values = found.body(PIXELS)
    averager = InputMeans(found)
    averager.add({name: value[:1] for name, value in values.items()})
    averager.add({name: value[1:] for name, value in values.items()})
    return made, found, values, averager.means()


@pytest.mark.parametrize("depth", [2, 3])
def test_a_network_of_which_all_is_kept_is_the_whole_one(depth):
    made, found, values, means = prepared(depth)
    kept = {(0, Unit("third", filter)): np.arange(4) for filter in range(5)}
    kept |= {(1, Unit("added", filter)): np.arange(8) for filter in range(4) if depth == 3}
    z = reduced(found, values, means, range(5), kept)
    np.testing.assert_allclose(z, made.model(PIXELS)[..., 1], rtol=1e-4, atol=1e-4)


def test_a_network_of_which_nothing_is_kept_has_its_bias_alone():
    _, found, values, means = prepared(2)
    np.testing.assert_allclose(reduced(found, values, means, [], {}), found.linear.bias)


def test_a_kept_input_gets_its_own_kept_inputs_and_the_mean_of_the_others():
    made, found, values, means = prepared(2)
    z = reduced(found, values, means, [2], {(0, Unit("third", 2)): np.array([1, 3])})
    given = np.array(values[found.hops[0].reads["third"][0]])
    given[..., [0, 2]] = given[..., [0, 2]].mean((0, 1, 2))
    alone = np.asarray(L.MaxPooling2D()(np.maximum(made.find("third")(given), 0)))
    read = np.zeros_like(np.array(values[found.read]))
    read[..., 2] = alone[..., 2]
    np.testing.assert_allclose(z, made.find("end")(read)[..., 1], rtol=1e-4, atol=1e-4)


def test_recovery_rises_from_the_mean_of_the_whole_network():
    truth = Reduction(1.0)
    z = np.array([[3.0, -1, 1], [1, 5, -3]])
    truth.add(z, np.array([[2.0, 1, 1], [1, 2, -1]]), 3)
    share, low, high = truth.recovery(bootstrap.draws(2, 0))
    assert share == pytest.approx((1 + 1) / (2 + 4))
    assert (low, high) == pytest.approx((0.25, 0.5))
    assert truth.r2 == pytest.approx(1 - (1 + 4 + 9 + 4) / (4 + 4 + 16 + 16))
    assert truth.false_fire == 0.5


@pytest.mark.slow
def test_masked_weights_of_a_real_network_give_what_was_predicted(vgg16: Network) -> None:
    layer, filter, channels = "block3_conv2", 17, [3, 40, 77, 200]
    (batch,) = dataset.batches(dataset.samples()[:3], 72, 8)
    network_layer = vgg16.find(layer)
    before = [weight.numpy() for weight in network_layer.weights]
    found = linear(network_layer, filter)
    seen = tap(vgg16, ["block3_conv1"])(batch.pixels)["block3_conv1"].numpy()
    u = contributions(seen, found)
    flat = u.reshape(-1, u.shape[-1])
    z = tap(vgg16, [layer], pre=True)(batch.pixels)[layer].numpy()[..., filter]
    mean = flat.mean(axis=0)
    held = np.sum(mean[channels] - flat[:, channels], axis=1)
    predicted = np.maximum(z.ravel() + held, 0) - np.maximum(z.ravel(), 0)
    really = masked(vgg16, layer, filter, mean, channels)(batch.pixels)
    measured = np.maximum(really, 0) - np.maximum(z, 0)
    assert np.ptp(measured) > 1
    scale = np.abs(z).max()
    assert np.abs(predicted - measured.ravel()).max() < 1e-4 * scale
    for weight, old in zip(network_layer.weights, before, strict=True):
        assert np.array_equal(weight.numpy(), old)


def test_a_layer_without_bias_and_one_behind_an_activation_of_its_own_are_masked() -> None:
    source = keras.Input((None, None, 3))
    values = L.Conv2D(5, 3, strides=2, use_bias=False, activation="relu", name="a")(source)
    network = build("tiny", keras.Model(source, values), "none", Provenance("random", ""))
    pixels = np.random.default_rng(0).random((2, 11, 15, 3), np.float32)
    mean = np.array([0.5, -1.0, 0.25])
    kernel = np.asarray(network.find("a").kernel).copy()
    kernel[:, :, [0, 2], 4] = 0
    reference = keras.ops.conv(pixels, kernel, 2)[..., 4] + 0.75
    assert np.allclose(masked(network, "a", 4, mean, [0, 2])(pixels), reference, atol=1e-6)


def test_a_layer_whose_filters_share_weights_is_refused() -> None:
    source = keras.Input((None, None, 3))
    values = L.SeparableConv2D(5, 3, name="a")(source)
    network = build("tiny", keras.Model(source, values), "none", Provenance("random", ""))
    with pytest.raises(ValueError, match=r"a \(SeparableConv2D\) shares its weights"):
        masked(network, "a", 0, np.zeros(3), [0])
    assert preactivation(network.find("a")) is not None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mean", "zero"])
def test_masking_weights_in_the_network_is_the_algebra(vgg16, photographs, how):
    *_, recording = fill(vgg16, ["block4_conv3"], photographs[:6], 160, 6)
    inputs, maps = recording.latest.inputs, recording.latest.maps
    layer, filter = vgg16.find("block4_conv3"), 17
    found = linear(layer, filter)
    u = contributions(inputs, found).astype(np.float64)
    mean = u.mean(axis=(0, 1, 2))
    kept = np.argsort(-np.sqrt((found.kernel**2).sum((0, 1))))[:10]
    left = np.setdiff1d(np.arange(512), kept)
    held = mean[left].sum() if how == "mean" else 0.0
    algebra = found.bias + u[..., kept].sum(-1) + held

    copy = keras.models.clone_model(keras.Model(layer.input, preactivation(layer)))
    copy.set_weights(keras.Model(layer.input, preactivation(layer)).get_weights())
    kernel, bias = (np.array(weight) for weight in copy.get_weights())
    kernel[:, :, left, filter] = 0
    bias[filter] += held
    copy.set_weights([kernel, bias])
    masked = np.asarray(copy(inputs))[..., filter]
    assert np.abs(masked - algebra).max() < 1e-4 * np.abs(maps[..., filter]).max()
