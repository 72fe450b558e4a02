"""The networks of keras.applications: their preprocessing, their files and what does not fit."""

import hashlib
import random
import sys
import urllib.error
import warnings
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras
from convscope.models.network import Network, preprocess
from convscope.models.zoo import applications, keras_files
from convscope.models.zoo.applications import application, fresh_names, mode, names

SMALL = "MobileNet"  # of the fewest layers
EXHAUSTIVE = pytest.mark.exhaustive
FILE_UTILS = keras.src.utils.file_utils

# (network, its mode, its size, its last layer); one of each family.
FAMILIES = [
    ("MobileNet", "tf", 224, "predictions"),
    *(
        pytest.param(*family, marks=EXHAUSTIVE)
        for family in [
            ("MobileNetV3Small", "byte", 224, "predictions"),
            ("EfficientNetB3", "byte", 300, "predictions"),
            ("DenseNet121", "torch", 224, "predictions"),
            ("ResNet50", "caffe", 224, "predictions"),
            ("InceptionV3", "tf", 299, "predictions"),
            ("NASNetMobile", "tf", 224, "predictions"),
            ("ConvNeXtTiny", "byte", 224, "convnext_tiny_head_dense"),
        ]
    ),
]


@cache
def built(name: str = SMALL, seed: int = 3, **options: object) -> keras.Model:
    """A network whose every weight, the moving averages too, was drawn."""
    model = names()[name](weights=None, classifier_activation=None, **options)
    draws = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(draws.uniform(0.5, 1, weight.shape) / np.prod(weight.shape[:-1] or 1))
    return model


def legacy(model: keras.Model, path: Path, group: str = "") -> Path:
    """The model's weights in the format in which keras.applications publishes them."""
    with h5py.File(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras writes, which NumPy 2 warns of
        save_weights_to_hdf5_group(file.create_group(group) if group else file, model)
    return path


def saved(model: keras.Model, path: Path) -> Path:
    """The model, or its weights, as Keras 3 writes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (model.save if path.suffix == ".keras" else model.save_weights)(path)
    return path


def same(network: Network, model: keras.Model) -> bool:
    """Whether both give one output for one image, but for what folding BatchNorm rounds."""
    size = model.input_shape[1] or 64
    image = np.random.default_rng(1).random((1, size, size, 3), np.float32)
    expected = np.asarray((network.fixed or network.model)(image))
    most = np.abs(expected).max()
    return most > 0 and np.allclose(expected, model(image), rtol=0, atol=1e-4 * most)


def line(error: pytest.ExceptionInfo) -> str:
    """The one line of an error."""
    assert "\n" not in str(error.value) and len(str(error.value)) < 700
    return str(error.value)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder where Keras keeps its weights, and no way to the network."""

    def fail(*_: object) -> None:
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr(FILE_UTILS.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(FILE_UTILS, "urlretrieve", fail)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.mark.parametrize("name", names())
def test_the_preprocessing_is_that_of_keras_for_every_network(name):
    image = np.random.default_rng(7).random((2, 5, 3, 3), np.float32)
    theirs = sys.modules[names()[name].__module__].preprocess_input(255 * image)
    np.testing.assert_allclose(preprocess(mode(name))(image), theirs, rtol=0, atol=1e-3)


@pytest.fixture(scope="module")
def untrained() -> Network:
    return application(SMALL, "random")


@pytest.mark.parametrize(("name", "its", "size", "last"), FAMILIES)
def test_a_network_of_each_family_is_built_for_its_images_with_logits(
    name, its, size, last, untrained
):
    network = untrained if name == SMALL else application(name, "random")
    assert (network.name, network.size, mode(name)) == (name, (size, size), its)
    assert network.classes == taxonomy().classes
    layer = network.model.layers[-1]
    assert layer.name == last and layer.activation is keras.activations.linear
    assert network.model.outputs[0].shape == (None, 1000)
    assert network.weights.source == f"keras.applications {name}, random weights"
    names_now = {layer.name for layer in network.model.layers}
    assert not any(name.startswith("conv2d_") for name in names_now) or "conv2d" in names_now


def test_random_weights_are_the_same_ones_and_disturb_no_other_draw(untrained):
    random.seed(5)
    drawn = random.random()
    random.seed(5)
    assert application(SMALL, "random").weights == untrained.weights
    assert random.random() == drawn


def test_layers_are_named_as_in_a_new_process_and_later_ones_differ():
    before = [keras.layers.ReLU().name for _ in range(3)][-1]
    with fresh_names():
        assert keras.layers.ReLU().name == "re_lu"
    after = keras.layers.ReLU().name
    assert int(after.rpartition("_")[2]) == int(before.rpartition("_")[2]) + 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("vgg16", "Did you mean 'VGG16'?"),
        ("ResNet5O", "Did you mean 'ResNet50'?"),
        ("AlexNet", ""),
        ("zzz", "They are ConvNeXtBase, "),
        ("preprocess_input", ""),
    ],
)
def test_a_mistyped_network_is_named_with_the_nearest(name, hint):
    with pytest.raises(ValueError) as error:
        application(name, "random")
    assert str(error.value).startswith(f"keras.applications has no network {name!r}. {hint}")


@pytest.mark.parametrize(
    "ending",
    [
        ".h5",
        ".weights.h5",
        ".keras",
        *(pytest.param(f, marks=EXHAUSTIVE) for f in ("whole.h5", ".hdf5", "legacy.weights.h5")),
    ],
)
def test_a_file_of_each_format_gives_its_weights(tmp_path, ending):
    model = built()
    path = tmp_path / f"w{ending}"
    if ending in (".weights.h5", ".keras"):
        saved(model, path)
    else:
        legacy(model, path, "model_weights" if "whole" in ending else "")
    network = application(SMALL, str(path))
    assert same(network, model)
    assert network.classes == taxonomy().classes
    assert network.weights.source == f"keras.applications {SMALL}, weights of {path.name}"
    assert network.weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", [".h5", pytest.param(".weights.h5", marks=EXHAUSTIVE)])
def test_a_file_without_classifier_gives_a_network_for_images_of_any_size(tmp_path, ending):
    model = built(include_top=False, input_shape=(None, None, 3))
    path = tmp_path / f"w{ending}"
    (legacy if ending == ".h5" else saved)(model, path)
    network = application(SMALL, str(path))
    assert same(network, model)
    assert (network.classes, network.size) == ((), (224, 224))
    assert network.model.input_shape == (None, None, None, 3)


@pytest.mark.exhaustive
def test_a_network_that_changes_with_its_image_keeps_the_size_of_its_weights(tmp_path):
    model = built("NASNetMobile", include_top=False, input_shape=(224, 224, 3))
    network = application("NASNetMobile", str(legacy(model, tmp_path / "w.h5")))
    assert network.model.input_shape == (None, None, None, 3) and network.size == (224, 224)
    assert same(network, model)


@pytest.mark.parametrize("ending", [".h5", pytest.param(".weights.h5", marks=EXHAUSTIVE)])
def test_a_classifier_of_another_number_of_classes_is_taken_over(tmp_path, ending):
    model = built(classes=7)
    path = tmp_path / f"w{ending}"
    (legacy if ending == ".h5" else saved)(model, path)
    network = application(SMALL, str(path))
    assert same(network, model)
    assert network.classes == tuple(f"class {index}" for index in range(7))


@pytest.mark.exhaustive
@pytest.mark.parametrize("top", [True, False])
def test_an_efficientnet_is_scaled_as_its_weights_were_trained(tmp_path, top):
    options = {} if top else {"include_top": False, "input_shape": (None, None, 3)}
    own = built("EfficientNetB0", **options)
    official, _ = applications.graph(applications._find("EfficientNetB0"), **options)
    assert len(official.layers) == len(own.layers) + 1
    for model, path in (
        (own, legacy(own, tmp_path / "own.h5")),
        (official, legacy(official, tmp_path / "official.h5")),
        (own, saved(own, tmp_path / "own.weights.h5")),
        (official, saved(official, tmp_path / "official.weights.h5")),
    )[: 4 if top else 2]:
        network = application("EfficientNetB0", str(path))
        kinds = [type(layer) for layer in network.model.layers]
        expected = sum(type(layer) is keras.layers.Rescaling for layer in model.layers)
        assert kinds.count(keras.layers.Rescaling) == expected, path.name


def changed(source: Path, target: Path, change) -> Path:
    """A copy of a file of weights with something changed in it."""
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        change(file)
    return target


def turn(file: h5py.File) -> None:
    """Transpose a kernel."""
    kernel = np.asarray(file["conv_pw_1/conv_pw_1/kernel"])
    del file["conv_pw_1/conv_pw_1/kernel"]
    file["conv_pw_1/conv_pw_1/kernel"] = kernel.transpose(0, 1, 3, 2)


def swap(file: h5py.File) -> None:
    """Exchange two kernels of different shapes."""
    first, second = "conv1/conv1/kernel", "conv_pw_1/conv_pw_1/kernel"
    one, other = np.asarray(file[first]), np.asarray(file[second])
    del file[first], file[second]
    file[first], file[second] = other, one


def blank(file: h5py.File) -> None:
    """Lose the numbers of a kernel."""
    file["conv1/conv1/kernel"][...] = np.nan


def drop(file: h5py.File) -> None:
    """Lose an array that the file still lists."""
    del file["conv_pw_1/conv_pw_1/kernel"]


def forget(file: h5py.File) -> None:
    """Lose a layer."""
    file.attrs["layer_names"] = [n for n in file.attrs["layer_names"] if n != "conv_pw_1"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            turn,
            "its conv_pw_1/conv_pw_1/kernel is (1, 1, 64, 32) where conv_pw_1/kernel is"
            " (1, 1, 32, 64)",
        ),
        (swap, "its conv1/conv1/kernel is (1, 1, 32, 64) where conv1/kernel is (3, 3, 3, 32)"),
        (blank, "it leaves conv1/kernel without numbers"),
        (drop, "lists conv_pw_1/conv_pw_1/kernel without holding it"),
        (
            forget,
            "its conv_pw_1_bn/conv_pw_1_bn/gamma is (64,) where conv_pw_1/kernel is (1, 1, 32, 64)",
        ),
    ],
)
def test_a_file_that_does_not_fit_says_where(tmp_path, change, problem):
    path = changed(legacy(built(), tmp_path / "good.h5"), tmp_path / "bad.h5", change)
    with pytest.raises(ValueError) as error:
        application(SMALL, str(path))
    assert problem in line(error) and str(path) in line(error)


@pytest.mark.parametrize(
    "other", ["no network", pytest.param("MobileNetV3Small", marks=EXHAUSTIVE)]
)
def test_a_file_of_another_network_is_refused(tmp_path, other):
    small = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other = small if other == "no network" else built(other)
    for path in (legacy(other, tmp_path / "l.h5"), saved(other, tmp_path / "l.weights.h5")):
        with pytest.raises(ValueError, match=f"{path} does not fit {SMALL}: it") as error:
            application(SMALL, str(path))
        line(error)


def test_a_new_file_without_a_layer_is_refused(tmp_path):
    path = saved(built(), tmp_path / "w.weights.h5")
    with h5py.File(path, "r+") as file:
        arrays = file["layers/conv2d/vars"]
        first = np.asarray(arrays["0"])
        del arrays["0"]
        file["layers/elsewhere/vars/0"] = first
    with pytest.raises(ValueError, match="does not fit MobileNet: Keras says: ") as error:
        application(SMALL, str(path))
    line(error)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    whole = legacy(built(), tmp_path / "whole.h5").read_bytes()
    new = saved(built(), tmp_path / "new.weights.h5").read_bytes()
    packed = saved(built(), tmp_path / "new.keras").read_bytes()
    for content, name, problem in (
        (whole[: len(whole) // 2], "cut.h5", "is truncated or damaged: .*truncated file"),
        (packed[: len(packed) // 2], "cut.keras", "is truncated or damaged: .*zip"),
        (b"\xff\xd8\xff photograph", "a.h5", "is no HDF5 file"),
        (b"", "empty.h5", "is no HDF5 file"),
        (new, "renamed.h5", "Rename it so that it ends in .weights.h5"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=problem) as error:
            application(SMALL, str(path))
        assert str(path) in line(error)
    with h5py.File(tmp_path / "none.h5", "w"):
        pass
    with pytest.raises(ValueError, match="holds no weights"):
        application(SMALL, str(tmp_path / "none.h5"))
    with pytest.raises(
        FileNotFoundError, match=r"model\.weights=imagnet is not a file\. It is imag"
    ):
        application(SMALL, "imagnet")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        keras_files.contents(tmp_path / "nowhere.h5")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("MobileNetV3Small", "weights_mobilenet_v3_small_224_1.0_float.h5"),
        ("MobileNet", "mobilenet_1_0_224_tf.h5"),
        *(
            pytest.param(*missing, marks=EXHAUSTIVE)
            for missing in [
                ("EfficientNetB0", "efficientnetb0.h5"),
                ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels.h5"),
                ("ConvNeXtTiny", "convnext_tiny.h5"),
            ]
        ),
    ],
)
def test_without_a_network_the_missing_file_is_named(home, capfd, name, file):
    with pytest.raises(FileNotFoundError) as error:
        application(name, "imagenet")
    assert line(error) == (
        f"The ImageNet weights of {name} cannot be downloaded: [Errno -2] Name or service not"
        f" known. Put {file} into {home}, or give model.weights=PATH of a copy; model=vgg16,"
        " model=alexnet and model=efficientnet_lite0 need no download."
    )
    assert capfd.readouterr() == ("", "")
    assert list(home.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_named_and_kept(home, capfd):
    file = home / "weights_mobilenet_v3_small_224_1.0_float.h5"
    file.write_bytes(b"partial")
    with pytest.raises(ValueError, match=f"{file} is incomplete, or is not the") as error:
        application("MobileNetV3Small", "imagenet")
    line(error)
    assert file.read_bytes() == b"partial"
    assert capfd.readouterr() == ("", "")


def test_a_cached_file_without_a_known_hash_is_read_and_checked(home):
    model = built()
    path = legacy(model, home / "mobilenet_1_0_224_tf.h5")
    network = application("MobileNet", "imagenet")
    assert network.weights.source == "keras.applications MobileNet, ImageNet weights"
    assert network.weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert same(network, model)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is truncated or damaged") as error:
        application("MobileNet", "imagenet")
    line(error)


def test_a_download_is_kept_where_keras_keeps_it(home, monkeypatch, capfd):
    model = built()
    source = legacy(model, home.parent / "source.h5")

    def copy(origin: str, target: str, tell) -> None:
        tell(1, 10, 20)
        Path(target).write_bytes(source.read_bytes())
        tell(2, 10, 20)

    monkeypatch.setattr(FILE_UTILS, "urlretrieve", copy)
    network = application("MobileNet", "imagenet")
    assert network.weights.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert [path.name for path in home.iterdir()] == ["mobilenet_1_0_224_tf.h5"]
    assert capfd.readouterr() == ("", "")
