"""A flat graph is walked from end to end."""

import keras

from convscope.models.flatten import flat
from convscope.models.graph import after, before, inputs, operations

L = keras.layers


def test_operations_come_after_all_they_depend_on_and_know_their_neighbours():
    image = keras.Input((8, 8, 3), name="image")
    left, right = L.Conv2D(2, 1, name="left")(image), L.Conv2D(2, 1, name="right")(image)
    model = flat(keras.Model(image, L.ReLU(name="end")(L.Add(name="meet")([left, right]))))
    every = operations(model)
    assert list(every) == ["image", "left", "right", "meet", "end"]
    assert [part.name for part in before(every["meet"])] == ["left", "right"]
    assert [tensor.shape[-1] for tensor in inputs(every["meet"])] == [2, 2]
    assert [part.name for part in after(model)["image"]] == ["left", "right"]
    assert after(model)["end"] == []
