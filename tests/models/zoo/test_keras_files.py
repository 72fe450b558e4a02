"""The user's own model: what is taken over from it, and that nothing of its code runs unasked."""

import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras
from convscope.models.network import Network
from convscope.models.zoo.keras_files import WEIGHTS, contents, keras_file

layers = keras.layers
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("zoo")
class Doubled(layers.Layer):
    """A layer of the author's own."""

    def call(self, values):
        return 2 * values


@keras.saving.register_keras_serializable("zoo")
class Subclassed(keras.Model):
    """A model without a graph."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv = layers.Conv2D(2, 3)

    def call(self, image):
        return self.conv(image)


def model(shape: Shape = (9, 9, 3), classes: int = 10, **options) -> keras.Model:
    """A tiny classifier with a convolution."""
    image = keras.Input(shape, **options)
    values = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    values = layers.GlobalAveragePooling2D()(values)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="top")(values))


def saved(made: keras.Model, path: Path) -> Path:
    """The model in a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras writes, which NumPy 2 warns of
        made.save(path)
    return path


def load(path: Path, classes: str | None = None, custom: bool = False) -> Network:
    """The network in a file."""
    return keras_file(path, "unit", "mine", classes, custom)


def edited(path: Path, change: Callable[[dict], None]) -> Path:
    """The .keras file with its config changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    return path


def refused(path: Path, problem: str, **options) -> None:
    """See a file refused in one line that names it."""
    with pytest.raises(ValueError, match=re.escape(problem)) as error:
        load(path, **options)
    message = str(error.value)
    assert str(path) in message and "\n" not in message and len(message) < 600


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_model_is_taken_over_as_it_is(tmp_path, ending):
    made = model()
    path = saved(made, tmp_path / f"own{ending}")
    network = load(path)
    image = np.random.default_rng(0).random((2, 9, 9, 3), np.float32)
    np.testing.assert_array_equal(network.model(image), made(image))
    ours = [layer.name for layer in network.model.layers if "." not in layer.name]
    assert ours == [layer.name for layer in made.layers]
    assert network.classes == tuple(f"class {index}" for index in range(10))
    assert (network.name, network.size) == ("mine", (9, 9))
    assert network.weights.source == path.name
    assert network.weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_compiled_model_is_loaded_without_what_it_was_trained_with(tmp_path):
    made = model()
    made.compile("adam", loss=lambda truth, guess: guess)
    image, truth = np.zeros((2, 9, 9, 3)), np.zeros((2, 10))
    made.fit(image, truth, verbose=0)
    network = load(saved(made, tmp_path / "own.keras"))
    assert not network.model.compiled


def test_a_sequential_model_becomes_a_graph(tmp_path):
    made = keras.Sequential(
        [keras.Input((None, None, 1)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()]
    )
    network = load(saved(made, tmp_path / "own.keras"))
    assert not isinstance(network.model, keras.Sequential)
    assert isinstance(network.model.layers[0], layers.InputLayer)
    image = np.random.default_rng(0).random((2, 7, 8, 1), np.float32)
    np.testing.assert_array_equal(network.model(image), made(image))
    assert (network.classes, network.size) == ((), None)
    assert network.preprocess(np.ones((1, 7, 8, 3), np.float32)).shape == (1, 7, 8, 1)


@pytest.mark.parametrize(
    "head",
    [
        (layers.GlobalAveragePooling2D, lambda: layers.Dense(5)),
        (layers.GlobalAveragePooling2D, lambda: layers.Dense(5), layers.Softmax),
        (layers.Flatten, lambda: layers.Dense(5), lambda: layers.Activation("softmax")),
        (lambda: layers.Conv2D(5, 7), layers.Flatten, layers.Softmax),
        (lambda: keras.Sequential([layers.Flatten(), layers.Dense(5)]),),
        (lambda: layers.Conv2D(5, 1), layers.GlobalAveragePooling2D, layers.Softmax),
        (
            lambda: layers.Conv2D(5, 1),
            layers.GlobalMaxPooling2D,
            lambda: layers.Activation("sigmoid"),
        ),
        (layers.Flatten, lambda: layers.Dense(5, activation="sigmoid")),
        (layers.Flatten, lambda: layers.Dense(5), lambda: layers.Rescaling(0.25), layers.Softmax),
        (layers.Flatten, lambda: layers.Dense(5), layers.ReLU, layers.Softmax, layers.Identity),
    ],
)
def test_a_classifier_is_known_by_its_outputs(tmp_path, head):
    values = image = keras.Input((9, 9, 3))
    for make in (lambda: layers.Conv2D(4, 3), *head):
        values = make()(values)
    network = load(saved(keras.Model(image, values), tmp_path / "own.keras"))
    assert network.classes == tuple(f"class {index}" for index in range(5))


def test_a_single_sigmoid_chooses_between_two_classes(tmp_path):
    network = load(saved(model(classes=1), tmp_path / "one.keras"))
    assert network.classes == ()  # a softmax over one number says nothing
    image = keras.Input((9, 9, 3))
    two = layers.Dense(1, activation="sigmoid")(layers.Flatten()(image))
    path = saved(keras.Model(image, two), tmp_path / "two.keras")
    assert load(path).classes == ("class 0", "class 1")
    (tmp_path / "labels.txt").write_text("cat\ndog")
    assert load(path, str(tmp_path / "labels.txt")).classes == ("cat", "dog")


@pytest.mark.parametrize(
    "end",
    [
        lambda: layers.Dense(8, activation="relu"),  # features
        lambda: layers.Dense(8, activation="tanh"),
        lambda: layers.Reshape((9, 9, 3)),
    ],
)
def test_what_ends_in_features_is_no_classifier(tmp_path, end):
    made = keras.Sequential([keras.Input((9, 9, 3)), layers.Flatten(), end()])
    assert load(saved(made, tmp_path / "own.keras")).classes == ()


def test_a_map_of_probabilities_is_no_classifier(tmp_path):
    made = keras.Sequential([keras.Input((9, 9, 3)), layers.Conv2D(2, 3, activation="sigmoid")])
    assert load(saved(made, tmp_path / "own.keras")).classes == ()


@pytest.mark.parametrize("named", [True, False])
def test_of_several_outputs_one_is_asked(tmp_path, named):
    image = keras.Input((9, 9, 3))
    flat = layers.Flatten()(image)
    few = layers.Dense(2, activation="softmax", name="few")(flat)
    many = layers.Dense(7, activation="softmax", name="many")(flat)
    ends = {"small": few, "large": many} if named else [few, many]
    path = saved(keras.Model(image, ends), tmp_path / "own.keras")
    names = ("large", "small") if named else ("few", "many")
    assert load(path).classes == ()
    asked = keras_file(path, "none", "own", None, False, output=names[0])
    assert len(asked.classes) == (7 if named else 2)
    with pytest.raises(ValueError, match=rf"model\.output=x is no output of own\. .*{names[1]}"):
        keras_file(path, "none", "own", None, False, output="x")


def test_names_are_as_many_as_the_outputs(tmp_path):
    path = saved(model(), tmp_path / "own.keras")
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join("abcdefghij"))
    assert load(path, str(labels)).classes == tuple("abcdefghij")
    labels.write_text("\n".join("abcdefghi"))
    with pytest.raises(ValueError, match=r"^labels\.txt has 9 names, the classifier 10 classes\. "):
        load(path, str(labels))
    with pytest.raises(ValueError, match=r"^imagenet has 1000 names, the classifier 10 classes"):
        load(path, "imagenet")
    bare = keras.Sequential([keras.Input((9, 9, 3)), layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match=r"has 9 names, bare\.keras has no classifier"):
        load(saved(bare, tmp_path / "bare.keras"), str(labels))


def test_a_thousand_outputs_are_imagenet_only_if_one_says_so(tmp_path):
    path = saved(model(classes=1000), tmp_path / "own.keras")
    assert load(path).classes[-1] == "class 999"
    assert load(path, "imagenet").classes == taxonomy().classes


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_lambda_is_refused_before_it_runs_and_runs_if_one_asks(tmp_path, ending):
    mark = tmp_path / "ran"
    image = keras.Input((9, 9, 3))

    code = eval(f"lambda values: (open({str(mark)!r}, 'w').close(), values)[1]")
    values = layers.Lambda(code, output_shape=(9, 9, 3), name="sly")(image)
    made = keras.Model(image, layers.Conv2D(4, 3)(values))
    path = saved(made, tmp_path / f"own{ending}")
    mark.unlink(missing_ok=True)
    refused(path, "holds code, the Lambda 'sly', and nothing of it was run. Set model.custom=true")
    assert not mark.exists()
    load(path, custom=True).model(np.zeros((1, 9, 9, 3), np.float32))
    assert mark.exists()


def test_code_is_found_however_deep_it_lies(tmp_path):
    inner = keras.Sequential([keras.Input((9, 9, 3)), layers.Lambda(lambda x: x, name="deep")])
    image = keras.Input((9, 9, 3))
    nested = keras.Model(image, layers.Conv2D(4, 3)(inner(image)))
    refused(saved(nested, tmp_path / "own.keras"), "holds code, the Lambda 'deep'")


def outside(config: dict) -> None:
    """A class from a module of Python's."""
    config["config"]["layers"][1] |= {"module": "subprocess", "class_name": "Popen"}


def function(config: dict) -> None:
    """A function from a module of Python's."""
    system = {"module": "os", "class_name": "function", "config": "system"}
    config["config"]["layers"][1]["config"]["activation"] = system | {"registered_name": "system"}


def settings(config: dict) -> None:
    """A function of Keras that admits code."""
    unsafe = {"module": "keras.config", "class_name": "function", "registered_name": "function"}
    unsafe["config"] = "enable_unsafe_deserialization"
    config["config"]["layers"][1]["config"]["activation"] = unsafe


def nameless(config: dict) -> None:
    """A class without a module."""
    config["config"]["layers"][1]["module"] = None


def saved_model(config: dict) -> None:
    """A layer that fetches a program from a folder."""
    config["config"]["layers"][1]["class_name"] = "TFSMLayer"


def nested_training(config: dict) -> None:
    """What a layer is to be compiled with."""
    loss = {"module": "os", "class_name": "function", "config": "system"}
    config["config"]["layers"][1]["compile_config"] = {"loss": loss}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (outside, "Popen 'conv' of the module subprocess"),
        (function, "function 'system' of the module os"),
        (settings, "function 'enable_unsafe_deserialization' of the module keras.config"),
        (nameless, "Conv2D 'conv' of no module"),
        (saved_model, "the TFSMLayer 'conv'"),
        (nested_training, "function 'system' of the module os"),
    ],
)
def test_a_hostile_config_is_refused_before_keras_sees_it(tmp_path, monkeypatch, change, code):
    path = edited(saved(model(), tmp_path / "own.keras"), change)
    monkeypatch.setattr(keras.models, "load_model", None)
    refused(path, f"holds code, {code}, and nothing of it was run")


def test_classes_of_the_author_are_loaded_only_if_one_asks(tmp_path):
    image = keras.Input((9, 9, 3))
    path = saved(keras.Model(image, Doubled()(layers.Conv2D(4, 3)(image))), tmp_path / "own.keras")
    refused(path, f"holds code, Doubled 'doubled' of the module {__name__}")
    assert isinstance(load(path, custom=True).fixed.layers[-1], Doubled)
    gone = edited(path, lambda config: json_replace(config, "Doubled", "Gone"))
    refused(gone, "cannot be loaded: Could not locate class 'Gone'", custom=True)


def json_replace(config: dict, old: str, new: str) -> None:
    """Replace a word wherever it stands in a config."""
    changed = json.loads(json.dumps(config).replace(old, new))
    config.clear()
    config |= changed


def test_a_zip_that_looks_like_hdf5_further_in_is_a_zip(tmp_path):
    path = saved(model(), tmp_path / "own.keras")
    with zipfile.ZipFile(path) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        padded = zipfile.ZipInfo("padding.txt")
        archive.writestr(padded, b" " * (2048 - len("padding.txt") - len(WEIGHTS) - 2 * 30))
        archive.writestr(WEIGHTS, inside.pop(WEIGHTS))
        for name, content in inside.items():
            archive.writestr(name, content)
    assert path.read_bytes()[2048:2052] == b"\x89HDF" and h5py.is_hdf5(path)
    assert load(path).name == "mine"
    assert contents(path).layers == contents(saved(model(), tmp_path / "plain.keras")).layers


def test_a_model_without_a_graph_is_refused(tmp_path):
    made = Subclassed()
    made(np.zeros((1, 9, 9, 3), np.float32))
    path = saved(made, tmp_path / "own.keras")
    refused(path, "holds code, ")
    refused(path, "holds a Subclassed without a graph of layers", custom=True)
    unbuilt = keras.Sequential([layers.Conv2D(4, 3)])
    refused(saved(unbuilt, tmp_path / "own2.keras"), "holds a Sequential without a graph of layers")


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((9, 3), "takes (None, 9, 3). Give a model of images (samples, height, width, colours)"),
        ((9, 9, 4), "takes (None, 9, 9, 4). Give a model of images"),
        ((3, 9, 9), "takes (None, 3, 9, 9), which puts the colours first. Give a model"),
        ((None, 11, 3), "takes images of None x 11 pixels. Give a model of images of one size, or"),
    ],
)
def test_an_input_that_is_no_photograph_is_refused(tmp_path, shape, problem):
    image = keras.Input(shape)
    path = saved(keras.Model(image, layers.Activation("relu")(image)), tmp_path / "own.keras")
    refused(path, problem)


def test_several_inputs_and_whole_numbers_are_refused(tmp_path):
    one, two = keras.Input((9, 9, 3), name="one"), keras.Input((9, 9, 3), name="two")
    path = saved(keras.Model([one, two], layers.Add()([one, two])), tmp_path / "own.keras")
    refused(path, "takes 2 inputs, one, two. Give")
    path = saved(model(dtype="uint8"), tmp_path / "bytes.keras")
    refused(path, "takes uint8, through which no gradient leads")


def test_what_is_no_model_is_refused(tmp_path):
    made = model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_weights(tmp_path / "own.weights.h5")
    refused(tmp_path / "own.weights.h5", "is no model: it holds weights without a model")
    whole = saved(made, tmp_path / "own.keras").read_bytes()
    old = saved(made, tmp_path / "own.h5").read_bytes()
    for content, name, problem in (
        (whole[: len(whole) // 2], "cut.keras", "is no model: File is not a zip file"),
        (b"", "empty.keras", "is no model: File is not a zip file"),
        (old[: len(old) // 2], "cut.h5", "is no model: Unable to"),
        (b"\xff\xd8\xff photograph", "a.h5", "is no model: Unable to"),
        (whole, "own.zip", "is no model: its name ends in .zip"),
    ):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, problem)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras does not exist"):
        load(tmp_path / "nowhere.keras")


def test_a_model_whose_weights_are_missing_is_refused(tmp_path):
    other = saved(model(classes=7), tmp_path / "seven.keras")
    path = saved(model(), tmp_path / "own.keras")
    with zipfile.ZipFile(other) as archive:
        foreign = archive.read("model.weights.h5")
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", foreign)
    refused(path, "cannot be loaded: A total of 1 objects could not be loaded")


def test_a_quantized_model_is_refused(tmp_path):
    made = model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that cannot be
        made.quantize("int8")
    refused(saved(made, tmp_path / "own.keras"), "is quantized (top is int8), which leaves no")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_half_precision_is_computed_in_float32(tmp_path, policy, suffix):
    keras.config.set_dtype_policy(policy)
    try:
        made = model(dtype="float32")
    finally:
        keras.config.set_dtype_policy("float32")
    network = load(saved(made, tmp_path / f"own{suffix}"))
    image = np.random.default_rng(0).random((2, 9, 9, 3), np.float32)
    laid = network.fixed or network.model
    assert {layer.compute_dtype for layer in laid.layers} == {"float32"}
    np.testing.assert_allclose(laid(image), np.asarray(made(image)), atol=2e-3)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("net.onnx", "is no model: it is ONNX; save the Keras model that it was made of"),
        ("net.tflite", "is no model: it is TensorFlow Lite"),
        ("net.PT", "is no model: it is torch's; build the same network in Keras"),
        ("net.pb", "is no model: it is a graph of TensorFlow without layers"),
        ("net.zip", "is no model: its name ends in .zip. Give a model that Keras saved whole"),
    ],
)
def test_other_kinds_of_model_are_told_apart(tmp_path, name, problem):
    (tmp_path / name).write_bytes(b"0123456789")
    refused(tmp_path / name, problem)


def test_a_saved_model_of_tensorflow_is_told_apart(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "saved_model.pb").write_bytes(b"")
    refused(tmp_path / "net", "is a SavedModel of TensorFlow")
