from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope import fetch, subject, weights
from convscope.settings import ImageSettings, ModelSettings
from convscope.unit import Unit

VGG16 = ModelSettings("vgg16", None)
SAMPLES = ImageSettings("samples", None, 64, "crop", 8, None)


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


def folder_of(root: Path, labels: Path | None = None) -> ImageSettings:
    """Settings for a folder of photographs, or a single one."""
    return ImageSettings("folder", str(root), 64, "pad", 8, str(labels) if labels else None)


def photograph(path: Path) -> Path:
    """A black photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    return path


def test_one_readable_photograph_is_enough_and_none_is_refused(tmp_path):
    (tmp_path / "a\n.png").write_bytes(b"")
    mine = folder_of(tmp_path)
    with pytest.raises(ValueError) as caught:
        subject.check_photographs(mine, VGG16, "block4_conv3")
    assert str(caught.value) == (
        f"images.root={tmp_path} holds no image that can be read: a\\n.png is an empty file."
        " Give a folder of photographs."
    )
    photograph(tmp_path / "b.png")
    subject.check_photographs(mine, VGG16, "block4_conv3")
    assert [path.name for path in subject.photographs(mine)] == ["a\n.png", "b.png"]
    assert len(subject.photographs(SAMPLES)) == 17


def test_a_single_photograph_is_a_set(tmp_path):
    mine = folder_of(photograph(tmp_path / "cat.jpg"))
    subject.check_photographs(mine, VGG16, "block4_conv3")
    assert subject.photographs(mine) == (tmp_path / "cat.jpg",)
    assert subject.root(mine) == tmp_path


def test_a_table_of_labels_is_checked_before_anything_is_loaded(tmp_path):
    paths = (photograph(tmp_path / "a" / "1.png"), photograph(tmp_path / "b" / "2.png"))
    table = tmp_path / "labels.csv"
    mine = folder_of(tmp_path, table)
    with pytest.raises(ValueError, match=r"^images\.labels=.*cannot be read: no such file"):
        subject.check_photographs(mine, VGG16, "block4_conv3")
    table.write_text("image,wnid\n1,n02130308\n")
    subject.check_photographs(mine, VGG16, "block4_conv3")
    assert subject.labels(mine, paths).keys == ("n02130308", None)
    assert subject.labels(folder_of(tmp_path), paths).keys == ("a", "b")
    assert subject.labels(SAMPLES, subject.photographs(SAMPLES)).source == "none"


def test_the_fetched_set_lies_in_the_cache_or_where_the_user_keeps_it(tmp_path, monkeypatch):
    cached = photograph(tmp_path / "cache" / "n01440764_tench.JPEG")
    own = photograph(tmp_path / "own" / "n02130308_cheetah.JPEG")
    monkeypatch.setattr(fetch, "imagenet_samples", lambda: cached.parent)
    monkeypatch.setattr(fetch, "home", lambda: cached.parent)
    mine = ImageSettings("imagenet_samples", None, 64, "crop", 8, None)
    assert subject.photographs(mine) == (cached,) and subject.root(mine) == cached.parent
    assert subject.labels(mine, [cached]).names == {"n01440764": "tench"}
    given = replace(mine, root=str(own.parent))
    assert subject.photographs(given) == (own,) and subject.root(given) == own.parent
    assert subject.root(SAMPLES) is None


def test_a_set_that_cannot_be_fetched_is_refused(monkeypatch):
    def offline():
        raise ValueError("images=imagenet_samples could not be fetched")

    monkeypatch.setattr(fetch, "imagenet_samples", offline)
    mine = ImageSettings("imagenet_samples", None, 64, "crop", 8, None)
    with pytest.raises(ValueError, match="could not be fetched"):
        subject.check_photographs(mine, VGG16, "block4_conv3")


def test_a_picture_is_checked_by_opening_it(tmp_path):
    subject.check_picture("ascent.start", None)
    with pytest.raises(
        ValueError, match=r"ascent.start=.* is no picture: .*Give the path of a PNG"
    ):
        subject.check_picture("ascent.start", str(tmp_path / "nowhere.png"))


def test_the_provenance_names_weights_photographs_and_processor(vgg16, monkeypatch):
    paths = subject.photographs(SAMPLES)
    found = subject.provenance(vgg16, SAMPLES, paths, 2, "float32")
    assert found["weights"]["sha256"] == weights.PACKAGED["vgg16"].sha256
    assert found["images"]["count"] == 17
    assert found["images"]["skipped"] == 2
    assert found["images"]["fit"] == "crop" and found["images"]["commit"] is None
    assert found["precision"] == "float32"
    monkeypatch.setattr(fetch, "commit", lambda folder: f"of {folder}")
    mine = ImageSettings("imagenet_samples", "/copy", 64, "crop", 8, None)
    found = subject.provenance(vgg16, mine, paths, 0, "float32")
    assert found["images"]["commit"] == "of /copy"
