import numpy as np
import tensorflow as tf

from convscope.objectives import OBJECTIVES, channel, neuron, own

MAPS = np.arange(2 * 5 * 4 * 3, dtype=np.float32).reshape(2, 5, 4, 3)
FILTERS = tf.constant([2, 0])


def test_each_sample_is_scored_by_its_own_filter():
    maps = own(tf.constant(MAPS), FILTERS).numpy()
    np.testing.assert_array_equal(maps, np.stack([MAPS[0, ..., 2], MAPS[1, ..., 0]]))


def test_channel_is_the_mean_over_the_map():
    score = channel("a").score({"a": tf.constant(MAPS)}, FILTERS)
    np.testing.assert_allclose(score, [MAPS[0, ..., 2].mean(), MAPS[1, ..., 0].mean()])


def test_neuron_is_the_position_at_the_centre():
    score = neuron("a").score({"a": tf.constant(MAPS)}, FILTERS)
    np.testing.assert_array_equal(score, [MAPS[0, 2, 2, 2], MAPS[1, 2, 2, 0]])


def test_an_objective_says_which_layer_it_reads():
    for name, make in OBJECTIVES.items():
        assert make("block2_conv1").layers == ("block2_conv1",)
        assert make("block2_conv1").name == name
