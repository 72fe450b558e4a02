"""Exact contributions one layer back, against convolutions written out with SciPy."""

import numpy as np
import pytest
from parts import contributions
from scipy.signal import correlate2d

from convscope.activations.recorder import LayerBatch, fill
from convscope.circuits import attribution
from convscope.circuits.attribution import Sampler, means
from convscope.data import dataset, photograph
from convscope.models.backend import keras
from convscope.models.graph import Window, window
from convscope.models.linear import Linear, linear
from convscope.models.network import activation, tap
from convscope.models.receptive_field import Axis, Inside, ReceptiveField

L = keras.layers
INPUTS = np.random.default_rng(0).normal(size=(3, 11, 14, 5)).astype(np.float32)

CONVOLUTIONS = [
    {"kernel_size": (3, 3), "padding": "same"},
    {"kernel_size": (3, 2), "padding": "valid"},
    {"kernel_size": (2, 5), "padding": "same"},
    {"kernel_size": (3, 2), "padding": "same", "strides": (2, 3)},
    {"kernel_size": (4, 3), "padding": "valid", "strides": (3, 2)},
    {"kernel_size": (2, 3), "padding": "same", "dilation_rate": (3, 2)},
    {"kernel_size": (3, 2), "padding": "valid", "dilation_rate": (2, 4)},
    {"kernel_size": (1, 1), "padding": "same", "strides": (2, 2)},
    {"kernel_size": (11, 14), "padding": "valid"},
]


def of(layer: keras.layers.Conv2D, filter: int) -> Linear:
    """How a filter follows from its inputs, also where the layer is in no network."""
    kernel, *bias = layer.get_weights()
    number = float(bias[0][filter]) if bias else 0.0
    return Linear(kernel[..., filter], number, np.arange(kernel.shape[2]), window(layer))


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_contributions_sum_to_the_preactivation_for_every_kind_of_convolution(options):
    layer = L.Conv2D(7, **options, bias_initializer="random_normal")
    output = np.asarray(layer(INPUTS), np.float64)
    for filter in range(7):
        found = of(layer, filter)
        u = contributions(INPUTS, found)
        assert u.shape == (*output.shape[:3], 5) and u.dtype == np.float32
        np.testing.assert_allclose(u.sum(-1) + found.bias, output[..., filter], atol=1e-5)


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_contributions_at_some_positions_and_their_means_are_those_of_all_positions(options):
    layer = L.Conv2D(2, **options)
    layer.build(INPUTS.shape)
    found = of(layer, 1)
    u = contributions(INPUTS, found)
    which, rows, columns = np.argwhere(np.random.default_rng(0).random(u.shape[:3]) < 0.5).T
    some = attribution.contributions(INPUTS, found, which, rows, columns)
    np.testing.assert_allclose(some, u[which, rows, columns], atol=1e-6)
    inside = Inside(range(0, u.shape[1], 2), range(u.shape[2] - 1, u.shape[2]))
    expected = u[:, ::2, -1:].astype(np.float64).mean(axis=(1, 2))
    np.testing.assert_allclose(means(INPUTS, found, inside), expected, atol=1e-6)


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_each_contribution_is_that_of_its_channel_alone(options):
    layer = L.Conv2D(2, use_bias=False, **options)
    layer.build(INPUTS.shape)
    u = contributions(INPUTS, of(layer, 1))
    for channel in range(5):
        alone = np.zeros_like(INPUTS)
        alone[..., channel] = INPUTS[..., channel]
        np.testing.assert_allclose(u[..., channel], np.asarray(layer(alone))[..., 1], atol=1e-5)


def test_contributions_are_exact_on_a_hand_set_map():
    inputs = np.float32([[1, 2, 3], [10, 20, 30]])[None, ..., None]
    found = Linear(np.float32([[[2], [-1]]]), 0.0, np.array([0]), Window((1, 2)))
    np.testing.assert_array_equal(contributions(inputs, found)[0, ..., 0], [[0, 1], [0, 10]])
    every = Inside(range(2), range(2))
    np.testing.assert_array_equal(means(inputs, found, every), [[2.75]])


def test_means_over_many_positions_keep_their_digits():
    inputs = np.full((1, 2000, 1500, 1), 0.1, np.float32)
    found = Linear(np.ones((1, 1, 1), np.float32), 0.0, np.array([0]), Window())
    mean = means(inputs, found, Inside(range(2000), range(1500)))
    np.testing.assert_allclose(mean, np.float64(np.float32(0.1)), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "before", "filters"),
    [
        ("block1_conv1", None, (0, 41)),
        ("block4_conv1", "block3_pool", (17, 300)),
        ("block4_conv3", "block4_conv2", (17, 5)),
    ],
)
def test_the_contributions_are_those_of_the_real_network(vgg16, layer, before, filters):
    paths, size = dataset.samples()[1:6], 83
    *_, recording = fill(vgg16, [layer], paths, size, 5)
    pixels = np.stack([dataset.shown(photograph.load(path), size)[0] for path in paths])
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    inputs = (pixels - mean) / deviation
    if before:
        front = keras.Model(vgg16.model.input, activation(vgg16, before))
        inputs = front.predict_on_batch(inputs)
    kernels, biases = vgg16.model.get_layer(layer).get_weights()
    whole = tap(vgg16, [layer], pre=True)(pixels)[layer].numpy().astype(np.float64)
    peaks = recording.observation.peaks[layer]
    assert peaks.count == np.prod(whole.shape[:3])
    for filter in filters:
        kernel = kernels[..., filter]
        brute = np.array(
            [
                [correlate2d(image[..., c], kernel[..., c], mode="same") for image in inputs]
                for c in range(kernel.shape[-1])
            ]
        )
        found = contributions(recording.latest.inputs, linear(vgg16.find(layer), filter))
        np.testing.assert_allclose(np.moveaxis(found, -1, 0), brute, rtol=1e-3, atol=1e-3)
        size = np.abs(whole[..., filter]).max()
        error = found.sum(-1, dtype=np.float64) + biases[filter] - whole[..., filter]
        assert np.abs(error).max() < 1e-4 * size
        np.testing.assert_allclose(
            recording.latest.maps[..., filter], whole[..., filter], atol=1e-3
        )
        fired = np.mean(whole[..., filter] > 0)
        np.testing.assert_allclose(peaks.firing_rate[filter], fired, rtol=1e-3)


PHOTOGRAPHS, ROWS, COLUMNS = 24, 9, 13
GENERATOR = np.random.default_rng(0)
SEEN = GENERATOR.gamma(0.5, 1, (PHOTOGRAPHS, ROWS, COLUMNS, 6)).astype(np.float32)
KERNEL = GENERATOR.normal(size=(3, 2, 4)).astype(np.float32)
LINEAR = Linear(KERNEL, 0.25, np.array([0, 2, 3, 5]), Window((3, 2), padding="same"))
EVERY = contributions(SEEN, LINEAR)
MAPS = (0.25 + EVERY.sum(-1))[..., None]
INSIDE = Inside(range(1, 8), range(0, 12))
FIRST = np.arange(PHOTOGRAPHS) % 2 == 0


def sampler(order=None, batch=5, most=16, first=FIRST, inside=INSIDE):
    """A sampler that has seen the photographs in this order."""
    order = np.arange(PHOTOGRAPHS) if order is None else order
    made = Sampler(LINEAR, 0, most, len(order), 3, inside, (ROWS, COLUMNS))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        made.add(LayerBatch(SEEN[part], MAPS[part]), first[part].tolist())
    return made


def test_means_and_preactivations_are_those_of_all_positions_inside():
    found = sampler().sample()
    for part, which in ((found.discovery, FIRST), (found.confirmation, ~FIRST)):
        u = EVERY[which][:, 1:8, 0:12]
        np.testing.assert_allclose(part.mean, u.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(part.z, MAPS[which][:, 1:8, 0:12, 0].reshape(12, -1))
        assert part.center.sum() + 0.25 == pytest.approx(part.z.mean(), rel=1e-5)
    assert found.apart and not found.whole and not found.thinned
    assert found.places.tolist() == np.flatnonzero(~FIRST).tolist()


def test_the_sample_has_as_many_positions_of_each_photograph_and_what_they_add():
    found = sampler().sample().confirmation
    assert np.bincount(found.of).tolist() == [16] * 12
    assert found.u.shape == (12 * 16, 4)
    nearest = np.abs(found.sampled[:, None] - found.z[found.of]).min(axis=1)
    assert nearest.max() < 1e-4


def test_every_strong_position_is_kept_and_the_threshold_is_that_of_the_discovery_half():
    found = sampler().sample()
    z = np.sort(found.discovery.z.ravel())
    assert found.discovery.threshold == found.confirmation.threshold == z[int(0.99 * len(z))]
    for part in (found.discovery, found.confirmation):
        strong = np.argwhere(part.z >= part.threshold)
        assert part.top_of.tolist() == strong[:, 0].tolist()
        np.testing.assert_allclose(part.strong, part.z[part.z >= part.threshold], rtol=1e-5)
    assert found.error < 1e-5


def test_strong_positions_passed_over_at_first_are_asked_for_again():
    # All strong positions lie on the first photographs, where they are no rare thing yet.
    scale = np.where(np.arange(PHOTOGRAPHS) < 4, 6, 1)[:, None, None, None].astype(np.float32)
    inputs, maps = SEEN * scale, (EVERY * scale).sum(-1, keepdims=True) + 0.25
    made = Sampler(LINEAR, 0, 16, PHOTOGRAPHS, 3, INSIDE, (ROWS, COLUMNS))
    for start in range(0, PHOTOGRAPHS, 4):
        part = slice(start, start + 4)
        made.add(LayerBatch(inputs[part], maps[part]), FIRST[part].tolist())
    missing = made.missing()
    assert missing and set(missing) <= {0, 1, 2, 3}
    for number in missing:
        made.again(LayerBatch(inputs[[number]], maps[[number]]), [number])
    assert made.missing() == []
    found = made.sample()
    for part in (found.discovery, found.confirmation):
        assert part.top_of.tolist() == np.argwhere(part.z >= part.threshold)[:, 0].tolist()
        np.testing.assert_allclose(part.strong, part.z[part.z >= part.threshold], rtol=1e-4)


def test_the_same_photographs_in_other_batches_give_the_same_sample():
    one, other = sampler(batch=5).sample(), sampler(batch=24).sample()
    np.testing.assert_allclose(one.confirmation.u, other.confirmation.u, rtol=1e-6)
    np.testing.assert_allclose(one.confirmation.top, other.confirmation.top, rtol=1e-6)


@pytest.mark.parametrize("first", [np.arange(24) < 7, np.arange(24) < 17 + 0 * FIRST])
def test_a_half_of_fewer_than_eight_photographs_makes_all_of_them_both_halves(first):
    found = sampler(first=first).sample()
    assert not found.apart
    assert found.discovery.photographs == found.confirmation.photographs == 24


def test_without_a_position_inside_all_of_them_count():
    found = sampler(inside=None).sample()
    assert found.whole and found.inside.count == ROWS * COLUMNS


def test_memory_bounds_what_is_kept(monkeypatch):
    monkeypatch.setattr(attribution, "POSITIONS", 24 * 25)
    monkeypatch.setattr(attribution, "BYTES", 24 * 4 * 4 * 5)
    found = sampler().sample()
    assert found.thinned and found.inside == Inside(range(1, 8, 2), range(0, 12, 2))
    assert np.bincount(found.confirmation.of).tolist() == [5] * 12
    expected = EVERY[~FIRST][:, 1:8:2, 0:12:2].mean(axis=(1, 2))
    np.testing.assert_allclose(found.confirmation.mean, expected, rtol=1e-5, atol=1e-6)


def test_positions_inside_see_nothing_beyond_the_image():
    field = ReceptiveField(Axis(92, 8, 42), Axis(92, 8, 42))
    found = field.inside((28, 20), (224, 160))
    assert found == Inside(range(6, 22), range(6, 14))
    boxes = [field.box(row, column) for row in found.rows for column in found.columns]
    assert min(box.top for box in boxes) >= 0 and max(box.right for box in boxes) <= 160
    assert field.box(22, 6).bottom > 224 and field.box(5, 6).top < 0
    assert field.inside((8, 8), (64, 64)) is None


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["block2_conv1", "block4_conv1", "block4_conv3"])
def test_bias_and_contributions_are_the_preactivation_on_real_photographs(
    vgg16, photographs, layer
):
    *_, recording = fill(vgg16, [layer], photographs[:3], 160, 3)
    for filter in (0, 17, 101):
        found = linear(vgg16.find(layer), filter)
        z = recording.latest.maps[..., filter]
        error = found.bias + contributions(recording.latest.inputs, found).sum(-1) - z
        assert np.abs(error).max() < 1e-4 * np.abs(z).max()
