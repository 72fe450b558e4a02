from dataclasses import replace

import numpy as np
import pytest
from asked import ascent as settings
from PIL import Image

from convscope.optvis import recipe as module
from convscope.optvis.ascent import Goal
from convscope.optvis.objectives import Reading
from convscope.optvis.recipe import (
    WORTH,
    aim,
    batch_size,
    batches,
    canvas_size,
    filled,
    fitted,
    goals,
    numbers,
    penalties,
    recipe,
    transforms,
)
from convscope.text import sized
from convscope.unit import Unit


def test_what_is_set_to_zero_is_not_there():
    none = dict.fromkeys(("jitter", "scale", "rotate", "blur", "noise", "crops"), 0)
    assert transforms(settings("fourier", **none), (96, 96)) == []
    assert len(transforms(settings("fourier"), (96, 96))) == 1
    assert len(transforms(settings("maco"), (96, 96))) == 2
    every = dict.fromkeys(("jitter", "rotate", "blur", "noise"), 1) | {"crops": 2}
    assert len(transforms(settings("fourier", **every), (96, 96))) == 4
    assert penalties(settings("fourier")) == []


def test_a_penalty_keeps_its_own_weight():
    asked = {"total_variation": 1.0, "l1": 2.0, "l2": 3.0, "blur_decay": 4.0}
    found = penalties(settings("pixel", **asked))
    assert {penalty.__name__: weight for weight, penalty in found} == asked


def test_the_canvas_is_a_side_two_sides_or_chosen_from_the_field(vgg16):
    assert canvas_size(settings("fourier"), vgg16, "block4_conv3") == (96, 96)
    assert canvas_size(settings("fourier", size=50), vgg16, "block4_conv3") == (50, 50)
    assert canvas_size(settings("fourier", size=[40, 60]), vgg16, "block4_conv3") == (40, 60)
    assert [sized((40, 60)), sized((7, 7))] == ["40x60", "7"]


def test_the_batch_is_as_given_or_chosen(vgg16):
    assert batch_size(settings("fourier", batch=3), vgg16, ["block1_conv1"], (96, 96)) == 3
    assert batch_size(settings("fourier"), vgg16, ["block1_conv1"], (64, 64)) == 16


@pytest.mark.parametrize(
    ("name", "values"), [("fourier", {}), ("pixel", {}), ("maco", {}), ("pixel", {"start": "zero"})]
)
def test_an_ascent_is_what_the_settings_say(vgg16, name, values):
    asked = settings(name, **values)
    found = recipe(asked, vgg16, aim("channel"), (48, 64), group=2)
    assert (found.height, found.width, found.steps, found.group) == (48, 64, asked.steps, 2)
    assert found.views == max(1, asked.crops)
    assert found.chunk == asked.chunk
    assert (found.start is None) == (asked.start == "noise")
    assert float(found.rate(0.0)) == pytest.approx(asked.learning_rate)
    assert float(found.rate(1.0)) == pytest.approx(
        asked.learning_rate if asked.schedule == "constant" else 0, abs=1e-6
    )


def test_an_image_fills_the_canvas_with_its_middle(tmp_path):
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 30:70] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = fitted(tmp_path / "a.png", (20, 20))
    assert found.shape == (20, 20, 3)
    assert found.min() > 0.9
    asked = replace(settings("fourier"), start=str(tmp_path / "a.png"))
    assert asked.picture == str(tmp_path / "a.png")
    assert settings("fourier").picture is None


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.png cannot be read: not a JPEG, PNG"):
        fitted(tmp_path / "a.png", (20, 20))


A, B = Unit("a", 3), Unit("a", 5)


def test_the_images_of_a_unit_follow_one_another():
    found = goals([A, B], (1, -1), 2)
    assert [goal.slug for goal in found] == [
        "a-3-0", "a-3-1", "a-3-0-negative", "a-3-1-negative",
        "a-5-0", "a-5-1", "a-5-0-negative", "a-5-1-negative",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "together", "group", "lengths"),
    [
        (32, 16, 1, [16, 16]),
        (17, 16, 1, [9, 8]),
        (5, 16, 1, [5]),
        (12, 16, 4, [12]),
        (20, 16, 4, [12, 8]),
        (6, 2, 3, [3, 3]),
        (1, 1, 1, [1]),
    ],
)
def test_batches_are_even_and_never_divide_a_group(count, together, group, lengths):
    every = goals([Unit("a", number) for number in range(count // group)], (1,), group)
    found = batches(every, together, group)
    assert [len(batch) for batch in found] == lengths
    assert [goal for batch in found for goal in batch] == list(every)


def test_a_short_batch_is_filled_with_its_own_goals_in_order():
    batch = goals([A, B], (1,), 2)
    assert filled(batch, 8) == batch + batch
    assert filled(batch, 4) == batch
    assert filled(batch[:2], 4) == (Goal(A, 0), Goal(A, 1)) * 2


@pytest.mark.parametrize("name", ["channel", "neuron", "direction", "layer", "logit", "caricature"])
def test_every_name_has_an_objective_that_reads_its_layer(name):
    objective = aim(name)("a")
    assert {reading.layer for reading in objective.readings} == {"a"}
    assert any(reading.whole for reading in objective.readings) == (
        name in ("direction", "layer", "caricature")
    )
    assert any(reading.reference for reading in objective.readings) == (name == "caricature")


def test_diversity_is_read_only_where_several_images_are_made():
    whole = Reading("a", whole=True)
    assert whole not in aim("channel", samples=1, diversity=0.5)("a").readings
    assert whole not in aim("channel", samples=3, diversity=0.0)("a").readings
    assert whole in aim("channel", samples=3, diversity=0.5)("a").readings


def test_the_activations_of_an_image_are_counted_up_to_the_layer(vgg16):
    first, second = 10 * 12 * 64, 5 * 6 * 64
    assert numbers(vgg16, "block1_conv2", 10, 12) == 10 * 12 * 3 + 2 * first
    assert numbers(vgg16, "block2_conv1", 10, 12) == 360 + 2 * first + second + 5 * 6 * 128


@pytest.mark.parametrize(("size", "views"), [(512, 0), (256, 4)])
def test_a_batch_shrinks_where_memory_is_short_and_has_room_for_one(
    vgg16, tmp_path, monkeypatch, size, views
):
    text = tmp_path / "meminfo"
    monkeypatch.setattr(module, "MEMINFO", text)
    asked = settings("fourier", crops=views), vgg16, ["block1_conv2", "block4_conv3"], (size, size)
    assert batch_size(*asked) == WORTH  # another system than Linux
    each = 12 * max(views, 1) * numbers(vgg16, "block4_conv3", size, size)
    for gigabytes, least in ((200, WORTH), (8, 2), (0.001, 1)):
        free = int(gigabytes * 2**20)
        text.write_text(f"MemTotal: 9 kB\nMemAvailable:   {free} kB\nBuffers: 1 kB")
        found = batch_size(*asked)
        assert least <= found <= WORTH
        assert found in (1, WORTH) or found * each <= gigabytes * 2**28 < (found + 1) * each
