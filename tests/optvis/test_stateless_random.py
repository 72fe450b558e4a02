import numpy as np
import pytest

from convscope.models.backend import tf
from convscope.optvis.stateless_random import normal, steady, uniform, words

# Seeds as an ascent makes them: steps one apart in the second number, transforms in the first.
STEPS = tf.constant([[7919, 104729 + step] for step in range(4000)])


def lowbias(word):
    """The published hash of 32 bits, on plain numbers."""
    word = (word ^ (word >> 16)) * 0x7FEB352D % 2**32
    word = (word ^ (word >> 15)) * 0x846CA68B % 2**32
    return word ^ (word >> 16)


def test_words_are_the_published_hash_of_seed_and_place():
    seeds = [(3, 4), (2**31 - 1, 5), (6, 2**30)]
    keys = [lowbias((lowbias(first) + second) % 2**32) for first, second in seeds]
    expected = [[lowbias(key ^ lowbias(place)) for place in range(7)] for key in keys]
    np.testing.assert_array_equal(words(tf.constant(seeds), 7), expected)


def test_every_bit_of_a_word_is_set_half_of_the_time():
    bits = np.unpackbits(words(STEPS, 50).numpy().view(np.uint8))
    np.testing.assert_allclose(bits.reshape(-1, 32).mean(0), 0.5, atol=0.005)


def test_uniform_draws_fill_the_range_evenly():
    draws = uniform(STEPS, 50).numpy()
    assert draws.min() >= -1
    assert draws.max() < 1
    counts = np.histogram(draws, np.linspace(-1, 1, 101))[0]
    # Chi squared of 99 degrees of freedom: 60 to 150 but for one time in ten thousand.
    assert 60 < np.square(counts - 2000).sum() / 2000 < 150


@pytest.mark.parametrize(
    "others",
    [STEPS + tf.constant([0, 1]), STEPS + tf.constant([1, 0]), STEPS[:, ::-1]],
    ids=["next step", "next transform", "numbers exchanged"],
)
def test_neighbouring_seeds_draw_unrelated_numbers(others):
    mine, theirs = uniform(STEPS, 4).numpy(), uniform(others, 4).numpy()
    # Each correlation strays by 1 / sqrt(4000).
    assert np.abs(np.corrcoef(mine.T, theirs.T)[:4, 4:]).max() < 0.07


def test_the_numbers_of_one_seed_are_unrelated_and_so_are_consecutive_steps():
    draws = uniform(STEPS, 6).numpy()
    inside = np.corrcoef(draws.T) - np.eye(6)
    along = [np.corrcoef(draws[:-1, place], draws[1:, place])[0, 1] for place in range(6)]
    assert np.abs(inside).max() < 0.07
    assert np.abs(along).max() < 0.07


def test_normal_draws_are_normal():
    draws = normal(STEPS[:40], (50, 101), 0.3).numpy()
    assert draws.shape == (40, 50, 101)
    assert draws.mean() == pytest.approx(0, abs=0.003)
    assert draws.std() == pytest.approx(0.3, rel=0.01)
    # Within one, two and three deviations.
    for width, share in ((0.3, 0.6827), (0.6, 0.9545), (0.9, 0.9973)):
        assert (np.abs(draws) < width).mean() == pytest.approx(share, abs=0.005)
    # The two halves of a word.
    assert (
        abs(np.corrcoef(draws[..., 0::2][..., :50].ravel(), draws[..., 1::2].ravel())[0, 1]) < 0.01
    )


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("function", [tf.sigmoid, tf.exp, tf.sin, tf.cos, tf.math.log])
def test_a_steady_function_rounds_alike_in_every_batch(function, compiled):
    def run(values):
        return steady(function, values)

    run = tf.function(run) if compiled else run
    values = tf.random.stateless_uniform((16, 33, 7), (1, 2), 0.1, 4)
    together = run(values)
    assert together.shape == values.shape
    np.testing.assert_allclose(together, function(values), rtol=1e-5, atol=1e-6)
    for count in (1, 2, 3, 5, 8):
        np.testing.assert_array_equal(run(values[:count]), together[:count])
