"""Expanded weights: a composition of kernels, and where they mislead."""

import numpy as np
import pytest
from scipy.signal import convolve2d

from convscope.circuits.expanded_weights import Expander, Expansion, jacobian
from convscope.circuits.paths import upstream
from convscope.models.backend import keras
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance
from convscope.unit import Unit

L = keras.layers
RNG = np.random.default_rng(0)


def network(*parts):
    start = value = keras.Input((None, None, 3))
    for part in parts:
        value = part(value)
    model = keras.Model(start, value)
    for layer in model.layers:
        layer.set_weights([RNG.normal(size=part.shape) for part in layer.get_weights()])
    return build("tiny", model, "none", Provenance("", ""))


def expanded(made, unit, places, side=14, pixels=None):
    pixels = RNG.random((2, side, side, 3)).astype(np.float32) if pixels is None else pixels
    found = upstream(made, unit, 2)
    values = found.body(pixels)
    expander = Expander(found, (side, side))
    expander.add(values, np.array(places))
    return expander.found()


def test_the_static_kernel_of_a_linear_network_is_the_composition_of_its_kernels():
    made = network(L.Conv2D(4, (3, 2), name="first"), L.Conv2D(2, (2, 3), name="end"))
    one, two = (np.asarray(made.find(name).kernel) for name in ("first", "end"))
    found = expanded(made, Unit("end", 1), [[0, 3, 4], [1, 0, 0], [1, 9, 10]])["first"]
    for colour in range(3):
        expected = sum(convolve2d(one[:, :, colour, at], two[:, :, at, 1]) for at in range(4))
        np.testing.assert_allclose(found.static[..., colour], expected, rtol=1e-4, atol=1e-5)
    # There is no gate, so each photograph has the same kernel and nothing cancels.
    np.testing.assert_allclose(found.data, found.static, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.cancellation, 0, atol=1e-5)
    np.testing.assert_allclose(found.correlation, 1, rtol=1e-5)


def test_a_pool_and_a_stride_put_the_kernel_where_the_unit_looks():
    made = network(
        L.Conv2D(2, 3, padding="same", name="first"),
        L.MaxPooling2D(2),
        L.Conv2D(2, 3, strides=2, padding="same", name="end"),
    )
    side = 16
    found = expanded(made, Unit("end", 0), [[0, 1, 2]], side)["first"]
    # Three positions of the pool, two of the map before it each, and one more on either side.
    assert found.static.shape == (8, 8, 3)
    one, two = (np.asarray(made.find(name).kernel) for name in ("first", "end"))
    wide = np.kron(two[:, :, 0, 0], np.full((2, 2), 0.25))
    other = np.kron(two[:, :, 1, 0], np.full((2, 2), 0.25))
    expected = convolve2d(one[:, :, 1, 0], wide) + convolve2d(one[:, :, 1, 1], other)
    np.testing.assert_allclose(found.static[..., 1], expected, rtol=1e-4, atol=1e-5)


def test_a_gate_that_shuts_makes_the_weights_mislead():
    made = network(L.Conv2D(2, 1, name="first"), L.ReLU(), L.Conv2D(1, 1, name="end"))
    # |x| over red: the gradient is +1 or -1, and the static kernel 0.
    made.find("first").kernel.assign(np.array([[1, -1], [0, 0], [0, 0]])[None, None])
    made.find("first").bias.assign([0, 0])
    made.find("end").kernel.assign(np.array([[1], [1]])[None, None])
    pixels = np.full((2, 4, 4, 3), 0.5, np.float32)
    pixels[1] *= -1
    found = expanded(made, Unit("end", 0), [[0, 1, 1], [1, 2, 2]], 4, pixels)["first"]
    assert found.static[0, 0, 0] == 0
    assert found.cancellation[0] == pytest.approx(1)
    same = expanded(made, Unit("end", 0), [[0, 1, 1], [0, 2, 2]], 4, pixels)["first"]
    assert same.cancellation[0] == pytest.approx(0) and same.data[0, 0, 0] == 1


def test_kappa_is_what_is_lost_in_the_mean():
    found = Expansion(np.zeros((1, 2, 3)), np.array([[[1, 0.5, 0], [1, -0.5, 0]]]),
                      np.array([2, 4, 0]))  # fmt: skip
    np.testing.assert_allclose(found.cancellation, [0, 0.75, 0])


@pytest.mark.parametrize("joint", [L.Add, L.Concatenate])
def test_the_patch_holds_all_that_the_unit_sees_through_branches(joint):
    start = keras.Input((None, None, 3))
    stem = L.ReLU()(L.Conv2D(4, 3, strides=2, padding="same", name="stem")(start))
    wide = L.Conv2D(4, 5, padding="same", name="wide")(stem)
    both = L.MaxPooling2D(3, 2, "same")(L.ReLU()(joint(name="both")([stem, wide])))
    model = keras.Model(start, L.Conv2D(2, 3, padding="same", name="end")(both))
    for layer in model.layers:
        layer.set_weights([RNG.normal(size=part.shape) for part in layer.get_weights()])
    found = upstream(build("tiny", model, "none", Provenance("", "")), Unit("end", 1), 2)
    values = found.body(RNG.random((1, 41, 54, 3)).astype(np.float32))
    expander = Expander(found, (41, 41))
    expander.add(values, np.array([[0, 5, 6]]))
    weights = np.zeros(found.answer(values[found.read]).shape, np.float32)
    weights[0, 5, 6] = 1
    for name, slopes in jacobian(found, values, weights).items():
        whole = np.concatenate([np.abs(it).sum((0, 1, 2)) for it in slopes])
        np.testing.assert_allclose(expander.found()[name].size, whole, rtol=1e-4, atol=1e-5)
