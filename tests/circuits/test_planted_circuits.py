"""Circuits in the real network: the algebra against running it, and circuits planted there."""

import keras
import numpy as np
import pytest

from convscope.activations.recorder import LayerBatch, fill
from convscope.circuits import effects, weights
from convscope.circuits.attribution import Sampler, contributions
from convscope.models.graph import Window
from convscope.models.linear import Linear, linear
from convscope.models.network import preactivation
from convscope.models.receptive_field import Inside
from convscope.stats import bootstrap

pytestmark = pytest.mark.slow

LAYER, SIZE = "block4_conv3", 160
KEPT = 10  # inputs of a planted circuit


@pytest.fixture(scope="module")
def seen(vgg16, photographs):
    """What goes into the layer on 68 photographs, and comes out."""
    seen, halves = [], []
    for recording in fill(vgg16, [LAYER], photographs[::3][:68], SIZE, 8):
        seen.append(recording.latest)
        halves = recording.halves
    inputs, maps = (np.concatenate([getattr(one, part) for one in seen])
                    for part in ("inputs", "maps"))  # fmt: skip
    return inputs, maps, halves, recording.fields[LAYER]


@pytest.mark.parametrize("layer", ["block2_conv1", "block4_conv1", "block4_conv3"])
def test_bias_and_contributions_are_the_preactivation_on_real_photographs(
    vgg16, photographs, layer
):
    *_, recording = fill(vgg16, [layer], photographs[:3], SIZE, 3)
    for filter in (0, 17, 101):
        found = linear(vgg16.find(layer), filter)
        z = recording.latest.maps[..., filter]
        error = found.bias + contributions(recording.latest.inputs, found).sum(-1) - z
        assert np.abs(error).max() < 1e-4 * np.abs(z).max()


@pytest.mark.parametrize("how", ["mean", "zero"])
def test_masking_weights_in_the_network_is_the_algebra(vgg16, seen, how):
    inputs, maps, _, _ = seen
    layer, filter = vgg16.find(LAYER), 17
    found = linear(layer, filter)
    u = contributions(inputs[:6], found).astype(np.float64)
    mean = u.mean(axis=(0, 1, 2))
    kept = np.argsort(-np.sqrt((found.kernel**2).sum((0, 1))))[:KEPT]
    left = np.setdiff1d(np.arange(512), kept)
    held = mean[left].sum() if how == "mean" else 0.0
    algebra = found.bias + u[..., kept].sum(-1) + held

    copy = keras.models.clone_model(keras.Model(layer.input, preactivation(layer)))
    copy.set_weights(keras.Model(layer.input, preactivation(layer)).get_weights())
    kernel, bias = (np.array(weight) for weight in copy.get_weights())
    kernel[:, :, left, filter] = 0
    bias[filter] += held
    copy.set_weights([kernel, bias])
    masked = np.asarray(copy(inputs[:6]))[..., filter]
    assert np.abs(masked - algebra).max() < 1e-4 * np.abs(maps[:6, ..., filter]).max()


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


def test_planted_circuits_are_found_by_what_inputs_do_and_not_by_their_weights(vgg16, seen):
    found = recalls(np.asarray(vgg16.find(LAYER).kernel), seen, 0.2, 50)
    assert found["top_shift"] >= 0.95, found
    assert found["greedy"] >= 0.95, found
    assert found["greedy_variance"] >= 0.95, found
    assert found["l2"] == 0, found


def test_a_large_pair_that_cancels_misleads_the_top_shift_and_not_the_greedy_rankings(vgg16, seen):
    found = recalls(np.asarray(vgg16.find(LAYER).kernel), seen, 3, 8)
    assert found["greedy"] >= 0.95, found
    assert found["top_shift"] < 0.9, found


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
