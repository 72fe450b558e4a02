from dataclasses import replace

import numpy as np
import pytest

from convscope.models.backend import keras, tf
from convscope.models.network import MODES, Network, cast, tap
from convscope.models.zoo.checkpoints import Provenance
from convscope.optvis.ascent import Ascent, Goal, ascend, sample_seed
from convscope.optvis.objectives import Reading, Samples, channel, neuron
from convscope.optvis.optimizers import cosine, rmsprop
from convscope.optvis.parameterization import fourier
from convscope.optvis.recipe import aim
from convscope.optvis.transforms import affine
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
    return Network("tiny", model, lambda pixels: pixels, Provenance("by hand", "0"))


KERNEL = np.random.default_rng(3).normal(size=(3, 3, 3, 5)).astype(np.float32)


def climb(network, objective, transforms, height, width, steps, rate, **more):
    images = fourier()
    return Ascent(
        network, objective, images, rmsprop(images.share), cosine(rate), transforms,
        height, width, steps, **more,
    )  # fmt: skip


CLIMB = climb(tiny(KERNEL), channel, (affine(1, 0.05, 5),), 12, 17, 20, 0.5, chunk=8)
AT_ONCE = replace(CLIMB, chunk=20)
UNITS = [Unit("b", 3), Unit("a", 1), Unit("a", 4)]


def goals(units):
    return [Goal(unit) for unit in units]


def last(climb, units, seed=0, attempts=1):
    *_, step = ascend(climb, goals(units), seed, attempts)
    return {optimum.unit: optimum for optimum in step.finished}


def test_the_score_rises_for_every_unit():
    for optimum in last(CLIMB, UNITS).values():
        assert optimum.activation_mean > optimum.activation_start + 0.1
        assert optimum.alive
        assert optimum.attempt == 1
        assert optimum.image.shape == (12, 17, 3)
        assert optimum.image.dtype == np.uint8


def test_steps_come_in_chunks_and_the_last_one_is_shorter():
    assert [step.number for step in ascend(CLIMB, goals(UNITS), 0)] == [8, 16, 20]


def test_every_update_leaves_a_score_of_every_unit():
    curves = [step.curve for step in ascend(CLIMB, goals(UNITS), 0)]
    assert [curve.shape for curve in curves] == [(8, 3), (8, 3), (4, 3)]
    whole = next(ascend(AT_ONCE, goals(UNITS), 0)).curve
    np.testing.assert_array_equal(np.concatenate(curves), whole)
    assert (whole[-1] > whole[0]).all()


def test_every_step_and_every_sample_meets_a_draw_of_its_own():
    seen = []

    def watch(images, seeds, progress):
        tf.numpy_function(lambda values: seen.append(values.copy()), [seeds], [])
        return images

    list(ascend(replace(CLIMB, transforms=(watch, watch)), goals(UNITS), 0))
    assert len(seen) == 2 * 20 * 2  # layers
    assert len(np.unique(np.concatenate(seen), axis=0)) == 2 * 20 * len(UNITS)


def test_units_of_several_layers_share_a_batch_and_no_image_depends_on_its_neighbours():
    together = last(CLIMB, UNITS)
    for unit in UNITS:
        alone = last(CLIMB, [unit])[unit]
        # Equal to the last bit, unless a processor's convolution goes by the size of the batch.
        assert np.abs(alone.image.astype(int) - together[unit].image).max() <= 1
        assert alone.score == pytest.approx(together[unit].score, rel=1e-4)


@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.exhaustive)]
)
def test_an_image_of_the_real_network_does_not_depend_on_who_shares_its_batch(vgg16, precision):
    at_once = climb(vgg16, channel, (affine(),), 40, 40, 6, 0.6, precision=precision)
    units = [Unit("block3_conv3", number) for number in (17, 3, 200, 9, 77)]
    together, others = last(at_once, units), last(at_once, units[:1], seed=1)
    strangers = np.abs(others[units[0]].image.astype(int) - together[units[0]].image).mean()
    for unit in units[:2]:
        alone = last(at_once, [unit])[unit]
        difference = np.abs(alone.image.astype(int) - together[unit].image).mean()
        # Bit for bit with the convolutions of AMD's AVX-512 BF16; other processors may choose
        # their algorithm by the batch, and then round otherwise.
        assert difference < strangers / 5


def test_several_views_are_the_mean_of_single_ones():
    several = replace(CLIMB, views=3, steps=1)
    batch = goals(UNITS[1:])
    filters = tf.constant([goal.unit.filter for goal in batch])
    samples = Samples(filters, tf.ones(2))
    seeds = tf.constant([sample_seed(0, goal, 1) for goal in batch], tf.int32)
    images = CLIMB.parameterization.decode(several.initial(seeds), 12, 17)
    zero = tf.constant(0.0)
    found = several._scores(images, samples, seeds, zero, "a")
    single = replace(CLIMB, views=1)
    each = [
        single._scores(images, samples, seeds * [1, 3] + [0, view], zero, "a") for view in range(3)
    ]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)
    assert np.std(each, axis=0).min() > 0


def test_a_penalty_is_subtracted_with_its_weight_from_each_score():
    def bright(images):
        return tf.reduce_mean(images, axis=(1, 2, 3))

    free = replace(CLIMB, steps=1)
    taxed = replace(free, penalties=((2.0, bright), (0.5, bright)))
    plain, less = (next(ascend(way, goals(UNITS), 0)).curve for way in (free, taxed))
    seeds = tf.constant([sample_seed(0, Goal(unit), 1) for unit in sorted(UNITS)], tf.int32)
    images = CLIMB.parameterization.decode(CLIMB.initial(seeds), 12, 17)
    np.testing.assert_allclose(plain - less, 2.5 * bright(images)[None], rtol=1e-4)


def test_a_penalty_pulls_the_image():
    def bright(images):
        return tf.reduce_mean(images, axis=(1, 2, 3))

    dark = last(replace(CLIMB, penalties=((1000.0, bright),)), UNITS)
    for unit, optimum in last(CLIMB, UNITS).items():
        assert dark[unit].image.mean() < optimum.image.mean() - 15


def test_what_a_filter_most_dislikes_lowers_it():
    signed = replace(CLIMB, objective=aim("channel"))
    both = [Goal(Unit("a", 1), 0, sign) for sign in (1, -1)]
    *_, step = ascend(signed, both, 0)
    high, low = sorted(step.finished, key=lambda optimum: -optimum.goal.sign)
    assert high.activation_mean > high.activation_start + 0.1
    assert low.activation_mean < low.activation_start - 0.1
    assert low.activation < 0 < high.activation
    assert low.alive
    assert low.goal.slug == "a-1-0-negative"
    maps = tap(signed.network, ["a"], pre=True)(low.image[None] / np.float32(255))["a"]
    assert low.activation == pytest.approx(float(tf.reduce_min(maps[..., 1])), rel=1e-5)


def test_an_image_to_start_from_is_where_the_ascent_begins():
    picture = np.random.default_rng(1).uniform(0.2, 0.8, (12, 17, 3)).astype(np.float32)
    begun = replace(CLIMB, start=picture)
    pixels = begun.pixels(begun.initial(tf.constant([[1, 2], [3, 4]])))
    for image in pixels:
        assert np.abs(image / 255 - picture).max() < 0.01
    grey = replace(CLIMB, start=np.full((12, 17, 3), 0.5))
    assert set(np.unique(grey.pixels(grey.initial(tf.constant([[1, 2]]))))) <= {127, 128}


def test_a_score_that_is_no_number_stops_its_sample_and_leaves_the_last_good_image():
    def bursting(images, seeds, progress):
        bad = (tf.range(images.shape[0]) == 1) & (progress > 0.45)
        return tf.where(bad[:, None, None, None], np.nan, images)

    burst = replace(CLIMB, transforms=(bursting,), steps=16, chunk=4)
    units = [Unit("a", 1), Unit("a", 4), Unit("a", 2)]
    *_, step = ascend(burst, goals(units), 0)
    found = {optimum.unit: optimum for optimum in step.finished}
    assert [found[unit].stopped for unit in units] == [None, 9, None]
    assert np.isnan(step.curve[-1][1])
    assert np.isfinite(found[units[1]].activation)
    assert found[units[1]].activation_mean > found[units[1]].activation_start
    whole = last(replace(burst, transforms=(), steps=16), units)
    for unit in (units[0], units[2]):
        np.testing.assert_array_equal(found[unit].image, whole[unit].image)


def test_an_ascent_that_breaks_everywhere_ends_at_once():
    wild = replace(CLIMB, rate=lambda progress: tf.constant(np.inf), steps=20, chunk=4)
    steps = list(ascend(wild, goals(UNITS), 0))
    assert [step.number for step in steps] == [4]
    shorter = last(replace(wild, steps=4), UNITS)
    for optimum in steps[-1].finished:
        assert optimum.stopped == 2
        np.testing.assert_array_equal(optimum.image, shorter[optimum.unit].image)


def test_watching_gives_the_images_of_every_chunk():
    steps = list(ascend(CLIMB, goals(UNITS), 0, watch=True))
    assert all(step.images.shape == (3, 12, 17, 3) for step in steps)
    final = {optimum.goal: optimum.image for optimum in steps[-1].finished}
    for goal, image in zip(steps[-1].goals, steps[-1].images, strict=True):
        np.testing.assert_array_equal(final[goal], image)
    assert all(step.images is None for step in ascend(CLIMB, goals(UNITS), 0))


def test_samples_that_belong_together_start_again_together():
    climb = replace(CLIMB, network=tiny(KERNEL, bias=-1000.0), steps=4, chunk=4, group=2)
    unit = Unit("a", 0)
    steps = list(ascend(climb, [Goal(unit, 0), Goal(unit, 1)], 0, attempts=2))
    assert [len(step.goals) for step in steps] == [2, 2]


def test_several_images_of_a_filter_differ_and_more_so_with_diversity():
    def likeness(diversity):
        way = replace(
            CLIMB, objective=aim("channel", samples=3, diversity=diversity), group=3, steps=30
        )
        *_, step = ascend(way, [Goal(Unit("a", 1), sample) for sample in range(3)], 0)
        images = [optimum.image / 255 - 0.5 for optimum in step.finished]
        maps = tap(CLIMB.network, ["a"])(np.stack(images).astype(np.float32) + 0.5)["a"].numpy()
        grams = np.einsum("nhwc,nhwd->ncd", maps, maps).reshape(3, -1)
        grams /= np.linalg.norm(grams, axis=1, keepdims=True)
        return (grams @ grams.T)[np.triu_indices(3, 1)].mean()

    assert likeness(2.0) < likeness(0.0) - 0.01


def test_the_same_seed_gives_the_same_image_bit_for_bit_and_another_seed_another():
    first, again = last(CLIMB, UNITS), last(CLIMB, UNITS)
    other = last(CLIMB, UNITS, seed=1)
    for unit in UNITS:
        np.testing.assert_array_equal(first[unit].image, again[unit].image)
        assert np.abs(first[unit].image.astype(int) - other[unit].image).mean() > 1


def test_the_chunk_changes_nothing_but_how_often_it_reports():
    whole = last(AT_ONCE, UNITS)
    for unit, optimum in last(CLIMB, UNITS).items():
        np.testing.assert_array_equal(optimum.image, whole[unit].image)


def test_the_step_is_traced_once_for_a_batch_and_not_for_other_filters():
    climb = replace(CLIMB, steps=8)
    for filters in ((0, 1), (2, 3), (4, 0)):
        list(ascend(climb, [Goal(Unit("a", number)) for number in filters], 0))
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
    steps = list(ascend(climb, goals([Unit("a", 0), Unit("a", 1)]), 0, attempts=3))
    assert [step.attempt for step in steps] == [1, 2, 3]
    assert [step.total for step in steps] == [4, 8, 12]
    assert [len(step.finished) for step in steps] == [0, 0, 2]
    assert not any(optimum.alive for optimum in steps[-1].finished)
    assert {optimum.attempt for optimum in steps[-1].finished} == {3}


def test_each_start_of_each_unit_has_a_seed_of_its_own_that_leaves_room_for_the_steps():
    seeds = {
        sample_seed(seed, Goal(Unit(layer, number), sample, sign), attempt)
        for seed in range(3)
        for layer in ("a", "b")
        for number in range(20)
        for sample in (0, 1)
        for sign in (1, -1)
        for attempt in (1, 2)
    }
    assert len(seeds) == 3 * 2 * 20 * 2 * 2 * 2
    assert all(0 <= first < 2**31 and 0 <= second < 2**20 for first, second in seeds)


def test_bfloat16_climbs_to_nearly_the_same_height():
    exact, rough = (last(way, UNITS) for way in (CLIMB, replace(CLIMB, precision="bfloat16")))
    for unit in UNITS:
        assert rough[unit].activation_mean == pytest.approx(exact[unit].activation_mean, rel=0.05)


def test_only_the_network_runs_in_bfloat16():
    assert cast(CLIMB.network, "bfloat16").model.get_layer("a").compute_dtype == "bfloat16"
    climb = replace(CLIMB, precision="bfloat16")
    _, read = climb._cut("a")
    found = read([tf.zeros((1, 12, 17, 3))], tf.constant([0]))
    assert found[Reading("a")].dtype == "float32"


def test_every_filter_of_the_first_layer_reaches_its_closed_form(vgg16):
    """Every pixel in the field lies at the end of [0, 1] that its weight's sign prefers."""
    at_once = climb(vgg16, neuron, (), 9, 9, 128, 1.0, chunk=64)
    units = [Unit("block1_conv1", number) for number in range(64)]
    found = last(at_once, units)
    kernel, bias = vgg16.model.get_layer("block1_conv1").get_weights()
    low, high = (
        ((end - np.array(MODES["torch"].mean)) / MODES["torch"].deviation)[:, None]
        for end in (0.0, 1.0)
    )
    best = np.maximum(kernel * high, kernel * low).sum((0, 1, 2)) + bias
    images = np.stack([found[unit].image for unit in units]) / np.float32(255)
    maps = tap(vgg16, ["block1_conv1"], pre=True)(images)["block1_conv1"].numpy()
    reached = maps[np.arange(64), 4, 4, np.arange(64)]
    assert (best > 1).all()
    assert (reached <= best * 1.0001).all()
    assert (reached >= 0.99 * best).all()


@pytest.mark.exhaustive
def test_filters_that_other_tools_leave_grey_come_alive(vgg16):
    """Twelve of block4_conv3, and the two of block5 that the field reports as stuck at zero."""
    numbers = (0, 1, 5, 7, 8, 17, 33, 100, 200, 300, 450, 500)
    units = [Unit("block4_conv3", number) for number in numbers]
    units += [Unit("block5_conv1", 11), Unit("block5_conv3", 1)]
    at_once = climb(vgg16, channel, (affine(),), 96, 96, 16, 0.6)
    for unit, optimum in last(at_once, units).items():
        assert optimum.alive, unit
        assert optimum.activation_mean > max(10, optimum.activation_start + 10), unit
