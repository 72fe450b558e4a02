from dataclasses import replace

import keras
import numpy as np
import pytest

from convscope import weights
from convscope.ascent import Ascent, ascend, sample_seed
from convscope.backend import tf
from convscope.network import IMAGENET_DEVIATION, IMAGENET_MEAN, Network, cast, tap
from convscope.objectives import channel, neuron
from convscope.parameterization import fourier
from convscope.transforms import affine
from convscope.unit import Unit


def tiny(kernel, bias=0.0):
    """A network of one convolution `a` behind the identity, then another, `b`, that doubles it."""
    image = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(
        kernel.shape[-1], kernel.shape[:2], padding="same", activation="relu", name="a"
    )
    second = keras.layers.Conv2D(kernel.shape[-1], 1, name="b")
    model = keras.Model(image, second(first(image)))
    first.set_weights([kernel, np.full(kernel.shape[-1], bias, np.float32)])
    second.set_weights(
        [2 * np.eye(kernel.shape[-1], dtype=np.float32)[None, None], np.zeros(kernel.shape[-1])]
    )
    return Network("tiny", model, lambda pixels: pixels, weights.Provenance("by hand", "0"))


KERNEL = np.random.default_rng(3).normal(size=(3, 3, 3, 5)).astype(np.float32)
CLIMB = Ascent(tiny(KERNEL), channel, fourier(), (affine(1, 0.05, 5),), 12, 17, 20, 0.5, chunk=8)
UNITS = [Unit("b", 3), Unit("a", 1), Unit("a", 4)]


def last(climb, units, seed=0, attempts=1):
    *_, step = ascend(climb, units, seed, attempts)
    return {optimum.unit: optimum for optimum in step.finished}


def test_the_score_rises_for_every_unit():
    for optimum in last(CLIMB, UNITS).values():
        assert optimum.activation_mean > optimum.activation_start + 0.1
        assert optimum.alive
        assert optimum.attempt == 1
        assert optimum.image.shape == (12, 17, 3)
        assert optimum.image.dtype == np.uint8


def test_steps_come_in_chunks_and_the_last_one_is_shorter():
    assert [step.number for step in ascend(CLIMB, UNITS, 0)] == [8, 16, 20]


def test_every_update_leaves_a_score_of_every_unit():
    curves = [step.curve for step in ascend(CLIMB, UNITS, 0)]
    assert [curve.shape for curve in curves] == [(8, 3), (8, 3), (4, 3)]
    whole = next(ascend(replace(CLIMB, chunk=20), UNITS, 0)).curve
    np.testing.assert_array_equal(np.concatenate(curves), whole)
    assert (whole[-1] > whole[0]).all()


def test_every_step_and_every_sample_meets_a_draw_of_its_own():
    seen = []

    def watch(images, seeds):
        tf.numpy_function(lambda values: seen.append(values.copy()), [seeds], [])
        return images

    list(ascend(replace(CLIMB, transforms=(watch, watch)), UNITS, 0))
    assert len(seen) == 2 * 20
    assert len(np.unique(np.concatenate(seen), axis=0)) == 2 * 20 * len(UNITS)


def test_units_of_several_layers_share_a_batch_and_keep_their_own_scores():
    together = last(CLIMB, UNITS)
    for unit in UNITS:
        alone = last(CLIMB, [unit])[unit]
        # The arithmetic may round otherwise in another batch; no neighbour has any influence.
        assert np.abs(alone.image.astype(int) - together[unit].image).max() <= 1


def test_the_same_seed_gives_the_same_image_bit_for_bit_and_another_seed_another():
    first, again = last(CLIMB, UNITS), last(CLIMB, UNITS)
    other = last(CLIMB, UNITS, seed=1)
    for unit in UNITS:
        np.testing.assert_array_equal(first[unit].image, again[unit].image)
        assert np.abs(first[unit].image.astype(int) - other[unit].image).mean() > 1


def test_the_chunk_changes_nothing_but_how_often_it_reports():
    whole = last(replace(CLIMB, chunk=20), UNITS)
    for unit, optimum in last(CLIMB, UNITS).items():
        np.testing.assert_array_equal(optimum.image, whole[unit].image)


def test_the_step_is_traced_once_for_a_batch_and_not_for_other_filters():
    climb = replace(CLIMB, steps=8)
    for filters in ((0, 1), (2, 3), (4, 0)):
        list(ascend(climb, [Unit("a", number) for number in filters], 0))
    assert climb._climb.experimental_get_tracing_count() == 1


def test_what_is_measured_is_the_saved_image():
    network = tiny(KERNEL, bias=0.25)
    climb = replace(CLIMB, network=network)
    optimum = last(climb, [Unit("a", 2)])[Unit("a", 2)]
    pixels = np.pad(optimum.image / 255.0, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3), (0, 1))
    expected = np.einsum("hwcyx,yxc->hw", windows, KERNEL[..., 2]) + 0.25
    assert optimum.activation == pytest.approx(expected.max(), rel=1e-5)
    assert optimum.activation_mean == pytest.approx(expected.mean(), rel=1e-4)


def test_a_unit_that_can_never_fire_is_tried_again_and_then_said_to_be_not_alive():
    climb = replace(CLIMB, network=tiny(KERNEL, bias=-1000.0), steps=4, chunk=4)
    steps = list(ascend(climb, [Unit("a", 0), Unit("a", 1)], 0, attempts=3))
    assert [step.attempt for step in steps] == [1, 2, 3]
    assert [step.total for step in steps] == [4, 8, 12]
    assert [len(step.finished) for step in steps] == [0, 0, 2]
    assert not any(optimum.alive for optimum in steps[-1].finished)
    assert {optimum.attempt for optimum in steps[-1].finished} == {3}


def test_each_start_of_each_unit_has_a_seed_of_its_own_that_leaves_room_for_the_steps():
    seeds = {
        sample_seed(seed, Unit(layer, number), attempt)
        for seed in range(3)
        for layer in ("a", "b")
        for number in range(20)
        for attempt in (1, 2)
    }
    assert len(seeds) == 3 * 2 * 20 * 2
    assert all(0 <= first < 2**31 and 0 <= second < 2**30 for first, second in seeds)


def test_bfloat16_climbs_to_nearly_the_same_height():
    exact, rough = (last(replace(CLIMB, precision=name), UNITS) for name in ("float32", "bfloat16"))
    for unit in UNITS:
        assert rough[unit].activation_mean == pytest.approx(exact[unit].activation_mean, rel=0.05)


def test_only_the_network_runs_in_bfloat16():
    assert cast(CLIMB.network, "bfloat16").model.get_layer("a").compute_dtype == "bfloat16"
    climb = replace(CLIMB, precision="bfloat16")
    climb.prepare(["a"])
    objective, model = climb._ascending["a"]
    assert objective.name == "channel"
    assert model(np.zeros((1, 12, 17, 3), np.float32))["a"].dtype == "float32"


def test_every_filter_of_the_first_layer_reaches_its_closed_form(vgg16):
    """Every pixel in the field lies at the end of [0, 1] that its weight's sign prefers."""
    climb = Ascent(vgg16, neuron, fourier(), (), 9, 9, 128, 1.0, chunk=64)
    units = [Unit("block1_conv1", number) for number in range(64)]
    found = last(climb, units)
    kernel, bias = vgg16.model.get_layer("block1_conv1").get_weights()
    low, high = (
        ((end - np.array(IMAGENET_MEAN)) / IMAGENET_DEVIATION)[:, None] for end in (0.0, 1.0)
    )
    best = np.maximum(kernel * high, kernel * low).sum((0, 1, 2)) + bias
    images = np.stack([found[unit].image for unit in units]) / np.float32(255)
    maps = tap(vgg16, ["block1_conv1"], pre=True)(images)["block1_conv1"].numpy()
    reached = maps[np.arange(64), 4, 4, np.arange(64)]
    assert (best > 1).all()
    assert (reached <= best * 1.0001).all()
    assert (reached >= 0.99 * best).all()


@pytest.mark.slow
def test_filters_that_other_tools_leave_grey_come_alive(vgg16):
    """Twelve of block4_conv3, and the two of block5 that the field reports as stuck at zero."""
    numbers = (0, 1, 5, 7, 8, 17, 33, 100, 200, 300, 450, 500)
    units = [Unit("block4_conv3", number) for number in numbers]
    units += [Unit("block5_conv1", 11), Unit("block5_conv3", 1)]
    climb = Ascent(vgg16, channel, fourier(), (affine(),), 96, 96, 16, 0.6)
    for unit, optimum in last(climb, units).items():
        assert optimum.alive, unit
        assert optimum.activation_mean > max(10, optimum.activation_start + 10), unit
