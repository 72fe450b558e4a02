import json
from dataclasses import replace
from pathlib import Path

import asked
import numpy as np
import pytest
from PIL import Image

from convscope.activations.predictions import targets
from convscope.data import dataset, imagenet_samples
from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras
from convscope.models.network import build
from convscope.models.zoo import packaged, registry
from convscope.models.zoo.checkpoints import Provenance
from convscope.models.zoo.registry import _drawn, outline
from convscope.settings import FolderImages, ImagenetImages, SampleImages
from convscope.stages import checks, resume
from convscope.unit import Unit

VGG16 = asked.model("vgg16")
SAMPLES = SampleImages("samples", 64, "crop", 8)
SHA256 = packaged.PACKAGED["vgg16"].checkpoint.sha256
OPTIMA = """\
layer,filter,sample,objective,size,steps,activation_start,activation,activation_mean,quantile,\
alive,seconds,attempt,sign,score,stopped
block4_conv3,17,0,channel,128,512,-1.5,231.25,40.5,1.0,true,9.25,1,1,120.0,
block4_conv3,17,1,channel,128,512,-1.25,250.5,41.0,1.0,true,9.5,1,1,121.0,
block4_conv3,17,0,channel,128,512,-1.5,-80.75,-20.0,0.0,true,9.75,1,-1,90.0,
block4_conv3,17,2,channel,128,512,-1.5,300.0,-20.0,0.0,false,9.75,3,1,90.0,
block4_conv3,170,0,channel,128,512,-2.0,400.0,60.0,1.0,true,9.0,1,1,200.0,
block4_conv2,17,0,channel,128,512,-2.0,500.0,70.0,1.0,true,9.0,1,1,300.0,
"""


def test_a_choice_of_filters_names_units_in_its_order():
    assert checks.choose(VGG16, "block1_conv2", (5, 3)) == (
        Unit("block1_conv2", 5), Unit("block1_conv2", 3)
    )  # fmt: skip
    assert len(checks.choose(VGG16, "block1_conv2", "all")) == 64
    (whole,) = checks.choose(VGG16, "block1_conv2", None)
    assert str(whole) == "block1_conv2:whole"


def test_units_and_weights_are_checked_before_anything_is_loaded(tmp_path):
    registry.check_units(VGG16, [Unit("block4_conv3", 511), Unit("block1_conv1", 0)])
    with pytest.raises(ValueError, match="has no filter 512"):
        registry.check_units(VGG16, [Unit("block4_conv3", 3), Unit("block4_conv3", 512)])
    with pytest.raises(FileNotFoundError, match=r"model\.weights=.*nowhere is not a file"):
        registry.check_units(asked.model("vgg16", weights=f"{tmp_path}/nowhere"), [])


@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_a_network_of_convolutions_only_has_no_classifier(name):
    assert registry.check_classifier(asked.model(name)) is None


def test_the_weights_of_a_network_with_classes_are_checked(tmp_path):
    assert registry.check_classifier(asked.model("efficientnet_lite0")) == "predictions"
    lost = asked.model("efficientnet_lite0", weights=f"{tmp_path}/nowhere")
    with pytest.raises(FileNotFoundError, match=r"model\.weights=.*nowhere is not a file"):
        registry.check_classifier(lost)


@pytest.mark.parametrize("size", ["auto", None, 8, (8, 9), (100, 8)])
def test_a_canvas_with_a_position_is_large_enough(size):
    registry.check_size("ascent.size", size, outline(VGG16), "block4_conv3")


@pytest.mark.parametrize("size", [7, (7, 96), (96, 7)])
def test_a_canvas_without_a_position_is_refused(size):
    with pytest.raises(ValueError) as caught:
        registry.check_size("a", size, outline(VGG16), "block4_conv3")
    said = "7" if size == 7 else str(list(size)).replace(" ", "")
    assert str(caught.value) == (
        f"a={said} leaves no position at block4_conv3, which needs 8 pixels. Give a=32 or more."
    )


@pytest.mark.parametrize("size", [48, 64, (64, 48), (48, 65)])
def test_a_layer_of_one_size_is_asked_at_that_alone(size):
    image = keras.Input((48, 64, 3))
    flat = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, name="maps")(image))
    made = build(
        "oblong", keras.Model(image, keras.layers.Dense(3, name="end")(flat)), "none",
        Provenance("", ""), size=(48, 64),
    )  # fmt: skip
    found = _drawn(made)
    assert (found.size, found.demands("end"), found.demands("maps")) == ((48, 64), (48, 64), None)
    registry.check_size("a", (48, 64), found, "end")
    registry.check_size("a", size, found, "maps")
    said = str(size if isinstance(size, int) else list(size)).replace(" ", "")
    with pytest.raises(ValueError) as caught:
        registry.check_size("a", size, found, "end")
    assert str(caught.value) == (
        f"a={said} does not suit end, which takes images of 48 x 64 pixels alone. Give a=[48,64],"
        " or leave it out."
    )


def test_a_size_at_which_a_network_cannot_add_its_maps_is_refused_with_one_that_fits():
    image = keras.Input((None, None, 3))
    halves = [
        keras.layers.MaxPooling2D()(image),  # leaves out the last row of an odd number
        keras.layers.Conv2D(3, 3, strides=2, padding="same")(image),
    ]
    made = build(
        "tiny", keras.Model(image, keras.layers.Add(name="sum")(halves)), "none", Provenance("", "")
    )
    found = _drawn(made)
    registry.check_size("a", (8, 6), found, "sum")
    with pytest.raises(ValueError) as caught:
        registry.check_size("a", 9, found, "sum")
    assert str(caught.value) == (
        "a=9 does not suit sum, since tiny adds maps that differ in size there. Give a=10."
    )


def folder_of(root: Path, labels: Path | None = None) -> FolderImages:
    """Settings for a folder of photographs, or a single one."""
    return FolderImages("folder", 64, "pad", 8, str(root), str(labels) if labels else None)


def photograph(path: Path) -> Path:
    """A black photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    return path


def test_one_readable_photograph_is_enough_and_none_is_refused(tmp_path):
    (tmp_path / "a\n.png").write_bytes(b"")
    mine = folder_of(tmp_path)
    with pytest.raises(ValueError) as caught:
        checks.check_photographs(mine, VGG16, "block4_conv3")
    assert str(caught.value) == (
        f"images.root={tmp_path} holds no image that can be read: a\\n.png is an empty file."
        " Give a folder of photographs."
    )
    photograph(tmp_path / "b.png")
    checks.check_photographs(mine, VGG16, "block4_conv3")
    assert [path.name for path in dataset.photographs(mine)] == ["a\n.png", "b.png"]
    assert len(dataset.photographs(SAMPLES)) == 17


def test_a_single_photograph_is_a_set(tmp_path):
    mine = folder_of(photograph(tmp_path / "cat.jpg"))
    checks.check_photographs(mine, VGG16, "block4_conv3")
    assert dataset.photographs(mine) == (tmp_path / "cat.jpg",)
    assert dataset.root(mine) == tmp_path


def test_a_table_of_labels_is_checked_before_anything_is_loaded(tmp_path):
    paths = (photograph(tmp_path / "a" / "1.png"), photograph(tmp_path / "b" / "2.png"))
    table = tmp_path / "labels.csv"
    mine = folder_of(tmp_path, table)
    with pytest.raises(ValueError, match=r"^images\.labels=.*cannot be read: no such file"):
        checks.check_photographs(mine, VGG16, "block4_conv3")
    table.write_text("image,wnid\n1,n02130308\n")
    checks.check_photographs(mine, VGG16, "block4_conv3")
    assert dataset.labels(mine, paths).keys == ("n02130308", None)
    assert dataset.labels(folder_of(tmp_path), paths).keys == ("a", "b")


def test_the_packaged_photographs_have_the_classes_of_imagenet_that_they_show():
    paths = dataset.photographs(SAMPLES)
    found = dataset.labels(SAMPLES, paths)
    names = {path.name: found.names[key] for path, key in zip(paths, found.keys, strict=True)}
    assert names["chelsea.png"] == "domestic cat" and names["coffee.png"] == "espresso"
    assert names["page.png"] == names["text.png"] == "printed text"
    known = targets(found.keys, found.names, taxonomy().classes)
    shown = {found.names[key] for key in known}
    assert shown == {"domestic cat", "espresso", "motorcycle", "rocket", "tripod", "clock"}
    missile = taxonomy().classes.index("n03773504")
    assert known["n04099429"].places == {missile}


def test_the_fetched_set_lies_in_the_cache_or_where_the_user_keeps_it(tmp_path, monkeypatch):
    cached = photograph(tmp_path / "cache" / "n01440764_tench.JPEG")
    own = photograph(tmp_path / "own" / "n02130308_cheetah.JPEG")
    monkeypatch.setattr(imagenet_samples, "imagenet_samples", lambda: cached.parent)
    monkeypatch.setattr(imagenet_samples, "home", lambda: cached.parent)
    mine = ImagenetImages("imagenet_samples", 64, "crop", 8, None, None)
    assert dataset.photographs(mine) == (cached,) and dataset.root(mine) == cached.parent
    assert dataset.labels(mine, [cached]).names == {"n01440764": "tench"}
    given = replace(mine, root=str(own.parent))
    assert dataset.photographs(given) == (own,) and dataset.root(given) == own.parent
    assert dataset.root(SAMPLES) is None


def test_a_set_that_cannot_be_fetched_is_refused(monkeypatch):
    def offline():
        raise ValueError("images=imagenet_samples could not be fetched")

    monkeypatch.setattr(imagenet_samples, "imagenet_samples", offline)
    mine = ImagenetImages("imagenet_samples", 64, "crop", 8, None, None)
    with pytest.raises(ValueError, match="could not be fetched"):
        checks.check_photographs(mine, VGG16, "block4_conv3")


def test_a_picture_is_checked_by_opening_it(tmp_path):
    dataset.check_picture("ascent.start", None)
    with pytest.raises(
        ValueError, match=r"ascent.start=.* is no picture: .*Give the path of a PNG"
    ):
        dataset.check_picture("ascent.start", str(tmp_path / "nowhere.png"))


def test_the_provenance_names_weights_photographs_and_processor(vgg16, monkeypatch):
    paths = dataset.photographs(SAMPLES)
    found = checks.provenance(vgg16, SAMPLES, paths, 2, "float32")
    assert found["weights"]["sha256"] == packaged.PACKAGED["vgg16"].checkpoint.sha256
    assert found["images"]["count"] == 17
    assert found["images"]["skipped"] == 2
    assert found["images"]["fit"] == "crop" and found["images"]["commit"] is None
    assert found["precision"] == "float32"
    monkeypatch.setattr(imagenet_samples, "commit", lambda folder: f"of {folder}")
    mine = ImagenetImages("imagenet_samples", 64, "crop", 8, "/copy", None)
    found = checks.provenance(vgg16, mine, paths, 0, "float32")
    assert found["images"]["commit"] == "of /copy"


def maximized(folder: Path, sha256: str = SHA256, table: str = OPTIMA) -> Path:
    """The folder of a run of stage=maximize, as far as it is asked for an optimum."""
    said = {
        "stage": "maximize",
        "status": "done",
        "layer": "block4_conv3",
        "filter": [17, 170],
        "model": "vgg16",
        "weights": {"source": "packaged", "sha256": sha256},
        "maximize/activation": 400.0,
    }
    (folder / "tables").mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(said, indent=2))
    (folder / "tables" / "optima.csv").write_text(table)
    return folder


@pytest.mark.parametrize("given", [None, 250.5, -3.0, 0.0])
def test_an_optimum_that_is_given_as_a_number_is_taken_as_it_is(given):
    assert resume.optimum(given, VGG16, Unit("block4_conv3", 17)) == given


def test_the_optimum_of_a_run_is_the_largest_activation_of_the_units_own_images(tmp_path):
    folder = str(maximized(tmp_path / "run"))
    assert resume.optimum(folder, VGG16, Unit("block4_conv3", 17)) == 250.5
    assert resume.optimum(folder, VGG16, Unit("block4_conv3", 170)) == 400
    assert resume.optimum(folder, VGG16, Unit("block4_conv2", 17)) == 500


def test_the_folder_of_a_run_may_lie_in_the_users_home(tmp_path, monkeypatch):
    maximized(tmp_path / "run")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resume.optimum("~/run", VGG16, Unit("block4_conv3", 17)) == 250.5


def test_an_optimum_of_other_weights_or_another_filter_is_refused(tmp_path):
    mine, other = maximized(tmp_path / "mine"), maximized(tmp_path / "other", "0" * 64)
    with pytest.raises(ValueError) as caught:
        resume.optimum(str(other), VGG16, Unit("block4_conv3", 17))
    assert str(caught.value) == f"stage.optimum={other} is of other weights than vgg16's."
    for unit in (Unit("block4_conv3", 1), Unit("block4_conv1", 17)):
        with pytest.raises(ValueError) as caught:
            resume.optimum(str(mine), VGG16, unit)
        assert str(caught.value) == f"stage.optimum={mine} has no optimum of {unit} that is alive."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", None), ("summary.json", b""), ("summary.json", b"[]"),
        ("summary.json", b"null"), ("summary.json", b'{"weights": "packaged"}'),
        ("summary.json", f'{{"status": "failed", "weights": {{"sha256": "{SHA256}"}}}}'.encode()),
        ("summary.json", b"\xff\xfe"),
        ("tables/optima.csv", OPTIMA.replace("250.5", "nan").encode()),
        ("tables/optima.csv", b"layer,filter\n" + b"x" * 200_000),
        ("tables/optima.csv", None), ("tables/optima.csv", b"layer,filter\nblock4_conv3,17\n"),
        ("tables/optima.csv", b"layer,filter,activation\nblock4_conv3,17\n"),
        ("tables/optima.csv", b"layer,filter,activation\nblock4_conv3,17,high\n"),
        ("tables/optima.csv", b"name\nblock4_conv3\n"), ("tables/optima.csv", b"\xff,\xfe\n1,2\n"),
    ],
)  # fmt: skip
def test_an_optimum_of_a_damaged_run_is_refused(tmp_path, name, content):
    folder = maximized(tmp_path / "run")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        resume.optimum(str(folder), VGG16, Unit("block4_conv3", 17))
    assert str(caught.value) == (
        f"stage.optimum={folder} holds no finished run of stage=maximize. Give the folder of one,"
        " or an activation."
    )


def test_an_optimum_is_not_a_file_and_not_nowhere(tmp_path):
    for given in (tmp_path / "nowhere", photograph(tmp_path / "cat.png")):
        with pytest.raises(ValueError, match=r"holds no finished run of stage=maximize\. Give"):
            resume.optimum(str(given), VGG16, Unit("block4_conv3", 17))


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1 file was set aside"), (2, "2 files were set aside"),
        (1234, "1,234 files were set aside"),
    ],
)  # fmt: skip
def test_files_set_aside_are_counted_in_words(count, words):
    assert dataset.aside(count) == words


def test_what_was_shown_is_told_with_the_commit_of_a_set_that_was_fetched(monkeypatch):
    asked: list[Path] = []

    def commit(folder: Path) -> str:
        asked.append(folder)
        return "0a1b"

    monkeypatch.setattr(imagenet_samples, "commit", commit)
    monkeypatch.setattr(imagenet_samples, "home", lambda: Path("cache"))
    own = folder_of(Path("photographs"))
    assert dataset.record(own, 7, "89ab", 2) == {
        "name": "folder", "commit": None, "fit": "pad", "count": 7, "sha256": "89ab", "skipped": 2,
    }  # fmt: skip
    assert dataset.record(SAMPLES, 17, "89ab", 0)["commit"] is None
    assert asked == []
    fetched = ImagenetImages("imagenet_samples", 64, "crop", 8, None, None)
    assert dataset.record(fetched, 1000, "89ab", 0) == {
        "name": "imagenet_samples", "commit": "0a1b", "fit": "crop", "count": 1000,
        "sha256": "89ab", "skipped": 0,
    }  # fmt: skip
    dataset.record(replace(fetched, root="copy"), 1, "", 0)
    assert asked == [Path("cache"), Path("copy")]
