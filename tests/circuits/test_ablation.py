"""A network with few of its paths left, against the algebra and by hand."""

import keras
import numpy as np
import pytest

from convscope.circuits.ablation import InputMeans, Reduction, reduced
from convscope.circuits.paths import upstream
from convscope.models.network import build
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
    given = np.array(values["0/third/0"])
    given[..., [0, 2]] = given[..., [0, 2]].mean((0, 1, 2))
    alone = np.asarray(L.MaxPooling2D()(np.maximum(made.find("third")(given), 0)))
    read = np.zeros_like(np.array(values["read"]))
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
