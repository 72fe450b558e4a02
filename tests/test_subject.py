import numpy as np
import pytest
from PIL import Image

from convscope import subject, weights
from convscope.settings import ImageSettings, ModelSettings
from convscope.unit import Unit

VGG16 = ModelSettings("vgg16", None)


def test_units_and_weights_are_checked_before_anything_is_loaded(tmp_path):
    subject.check_units(VGG16, [Unit("block4_conv3", 511), Unit("block1_conv1", 0)])
    with pytest.raises(ValueError, match="has no filter 512"):
        subject.check_units(VGG16, [Unit("block4_conv3", 3), Unit("block4_conv3", 512)])
    with pytest.raises(FileNotFoundError, match=r"model\.weights=.*nowhere is not a file"):
        subject.check_units(ModelSettings("vgg16", f"{tmp_path}/nowhere"), [])


@pytest.mark.parametrize("size", ["auto", None, 8, (8, 9), (100, 8)])
def test_a_canvas_with_a_position_is_large_enough(size):
    subject.check_size("ascent.size", size, weights.PACKAGED["vgg16"], "block4_conv3")


@pytest.mark.parametrize("size", [7, (7, 96), (96, 7)])
def test_a_canvas_without_a_position_is_refused(size):
    with pytest.raises(ValueError, match=r"a=7 leaves no position at block4_conv3.* Give a=32"):
        subject.check_size("a", size, weights.PACKAGED["vgg16"], "block4_conv3")


def test_one_readable_photograph_is_enough_and_none_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    mine = ImageSettings("folder", str(tmp_path), 64, 8)
    with pytest.raises(ValueError, match="holds no image that can be read"):
        subject.check_photographs(mine, VGG16, "block4_conv3")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "b.png")
    subject.check_photographs(mine, VGG16, "block4_conv3")
    assert [path.name for path in subject.photographs(mine)] == ["a.png", "b.png"]
    assert len(subject.photographs(ImageSettings("samples", None, 64, 8))) == 17


def test_a_picture_is_checked_by_opening_it(tmp_path):
    subject.check_picture("ascent.start", None)
    with pytest.raises(
        ValueError, match=r"ascent.start=.* is no picture: .*Give the path of a PNG"
    ):
        subject.check_picture("ascent.start", str(tmp_path / "nowhere.png"))


def test_the_provenance_names_weights_photographs_and_processor(vgg16):
    paths = subject.photographs(ImageSettings("samples", None, 64, 8))
    found = subject.provenance(vgg16, ImageSettings("samples", None, 64, 8), paths, 2, "float32")
    assert found["weights"]["sha256"] == weights.PACKAGED["vgg16"].sha256
    assert found["images"]["count"] == 17
    assert found["images"]["skipped"] == 2
    assert found["precision"] == "float32"
