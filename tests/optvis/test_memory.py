import pytest

from convscope.optvis.recipe import WORTH, batch, numbers

GIGABYTE = 2**20  # kilobytes


def free(kilobytes):
    return f"MemTotal: 9 kB\nMemAvailable:   {kilobytes} kB\nBuffers: 1 kB"


def test_the_activations_of_an_image_are_counted_up_to_the_layer(vgg16):
    first, second = 10 * 12 * 64, 5 * 6 * 64
    assert numbers(vgg16, "block1_conv2", 10, 12) == 10 * 12 * 3 + 2 * first
    assert numbers(vgg16, "block2_conv1", 10, 12) == 360 + 2 * first + second + 5 * 6 * 128


def test_a_batch_is_as_large_as_is_worth_it(vgg16):
    assert batch(vgg16, "block4_conv3", 96, 96, 1, free(20 * GIGABYTE)) == WORTH
    assert batch(vgg16, "block4_conv3", 96, 96, 1, "") == WORTH


@pytest.mark.parametrize(("size", "views"), [(512, 1), (256, 4)])
def test_a_batch_shrinks_where_memory_is_short(vgg16, size, views):
    found = batch(vgg16, "block4_conv3", size, size, views, free(8 * GIGABYTE))
    each = 12 * views * numbers(vgg16, "block4_conv3", size, size)
    assert 1 <= found < WORTH
    assert found * each <= 2 * 2**30 < (found + 1) * each


def test_there_is_always_room_for_one(vgg16):
    assert batch(vgg16, "block4_conv3", 1024, 1024, 1, free(1)) == 1
