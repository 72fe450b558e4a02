from dataclasses import replace

import numpy as np
import pytest
from asked import ascent as settings
from PIL import Image

from convscope.optvis.recipe import (
    aim,
    batch_size,
    canvas_size,
    fitted,
    named,
    penalties,
    recipe,
    transforms,
)


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
    assert [named((40, 60)), named((7, 7))] == ["40x60", "7"]


def test_the_batch_is_as_given_or_chosen(vgg16):
    assert batch_size(settings("fourier", batch=3), vgg16, ["block1_conv1"], (96, 96)) == 3
    assert batch_size(settings("fourier"), vgg16, ["block1_conv1"], (64, 64)) == 16
    layers = ["block4_conv2", "block4_conv3"]
    assert 1 <= batch_size(settings("fourier"), vgg16, layers, (4000, 4000)) < 16


@pytest.mark.parametrize(
    ("name", "values"), [("fourier", {}), ("pixel", {}), ("maco", {}), ("pixel", {"start": "zero"})]
)
def test_an_ascent_is_what_the_settings_say(vgg16, name, values):
    asked = settings(name, **values)
    found = recipe(asked, vgg16, aim("channel"), (48, 64), group=2)
    assert (found.height, found.width, found.steps, found.group) == (48, 64, asked.steps, 2)
    assert found.views == max(1, asked.crops)
    assert found.chunk == asked.chunk
    assert found.start == (values.get("start"))
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
