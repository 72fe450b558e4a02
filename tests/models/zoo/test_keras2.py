"""Files of Keras 2: they compute what they computed there, and nothing of theirs is run."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from convscope.models.backend import keras
from convscope.models.zoo.keras_files import keras_file

L = keras.layers
SIDE = 12
NORMAL = np.random.default_rng(5)


def layer(kind: str, name: str, after: list | None = None, call: int = 0, **own) -> dict:
    """A layer as Keras 2 writes it; `after` names those before it."""
    nodes = [[[one, call, 0, {}] for one in after]] if after else []
    config = {"name": name, "trainable": True, "dtype": "float32", **own}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": nodes}


def start(name: str = "input_1") -> dict:
    """The input of a model."""
    found = layer("InputLayer", name, batch_input_shape=[None, SIDE, SIDE, 3])
    found["config"] |= {"sparse": False, "ragged": False}
    return found


def convolution(name: str, *after: str, kind: str = "Conv2D", call: int = 0, **own) -> dict:
    """A convolution with all the words that Keras 2 gave one."""
    usual = {
        "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid", "groups": 1,
        "data_format": "channels_last", "dilation_rate": [1, 1], "activation": "linear",
        "use_bias": True, "kernel_regularizer": None,
        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
    }  # fmt: skip
    return layer(kind, name, list(after), call, **usual | own)


def operation(function: str, name: str, after: str, **own) -> dict:
    """An operation of TensorFlow between layers."""
    config = {"name": name, "trainable": True, "dtype": "float32", "function": function}
    node = [after, 0, 0, {**own, "name": None}]
    return {"class_name": "TFOpLambda", "config": config, "name": name, "inbound_nodes": [node]}


def model(*layers: dict, name: str = "model", last: tuple = (), kind: str = "Functional") -> dict:
    """A model of Keras 2."""
    ends = {"input_layers": [[layers[0]["name"], 0, 0]],
            "output_layers": [list(last) or [layers[-1]["name"], 0, 0]]}  # fmt: skip
    inner = {"name": name, "layers": list(layers), **(ends if kind == "Functional" else {})}
    return {"class_name": kind, "config": inner}


def numbers(*shapes: tuple) -> list[np.ndarray]:
    """Arrays that any weight may be, a variance included."""
    return [NORMAL.uniform(0.1, 0.9, shape).astype(np.float32) for shape in shapes]


def as_h5(path: Path, config: dict, arrays: dict[str, dict[str, np.ndarray]]) -> Path:
    """Write a model of Keras 2 as it wrote .h5: {layer: {weight: array}}, in the model's order."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"keras_version": "2.12.0", "model_config": json.dumps(config)})
        home = file.create_group("model_weights")
        home.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, parts in arrays.items():
            group = home.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{part}:0".encode() for part in parts]
            for part, array in parts.items():
                group[f"{name}/{part}:0"] = array
    return path


def as_keras(path: Path, config: dict, arrays: dict[str, np.ndarray], version: str) -> Path:
    """Write a model of Keras 2 as it wrote .keras: {path inside of the weights: array}."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for place, array in arrays.items():
            file[place] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("model.weights.h5", memory.getvalue())
    return path


def same(path: Path, body) -> keras.Model:
    """Hold what a file computes against a function from the image to the output."""
    image = keras.random.uniform((2, SIDE, SIDE, 3), seed=1)
    network = keras_file(path, "none", "own", None, False)
    found = (network.fixed or network.model)(image)
    np.testing.assert_allclose(found, body(image), rtol=1e-5, atol=1e-5)
    return network.model


def made(kind: keras.Layer, *arrays: np.ndarray):
    """A layer of Keras 3 with weights of the test's own."""

    def call(values):
        if not kind.built:
            kind.build(values.shape)
            kind.set_weights(arrays)
        return kind(values)

    return call


def test_words_that_keras_3_does_not_know_are_dropped_where_they_say_nothing(tmp_path):
    kernel, bias = numbers((3, 3, 3, 1), (3,))
    config = model(
        start(), convolution("dw", "input_1", kind="DepthwiseConv2D", depth_multiplier=1),
        layer("SpatialDropout2D", "drop", ["dw"], rate=0.5, noise_shape=None, seed=None),
        layer("RandomHeight", "taller", ["drop"], factor=0.3, interpolation="bilinear"),
    )  # fmt: skip
    path = as_h5(tmp_path / "a.h5", config, {"dw": {"depthwise_kernel": kernel, "bias": bias}})
    same(path, made(L.DepthwiseConv2D(3), kernel, bias))


def test_an_adapted_normalization_keeps_its_numbers(tmp_path):
    mean, variance = np.float32([0.1, 0.2, 0.3]), np.float32([0.5, 1.0, 2.0])
    own = {"axis": [-1], "invert": False, "mean": None, "variance": None}
    config = model(start(), layer("Normalization", "n", ["input_1"], **own))
    parts = {"mean": mean, "variance": variance, "count": np.int64(9)}
    path = as_h5(tmp_path / "a.h5", config, {"n": parts})
    same(path, lambda image: (image - mean) / np.sqrt(variance))


def test_half_precision_is_computed_in_float32(tmp_path):
    kernel, bias = numbers((3, 3, 3, 4), (4,))
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    config = model(start(), convolution("c", "input_1", filters=4, dtype=policy))
    path = as_h5(tmp_path / "a.h5", config, {"c": {"kernel": kernel, "bias": bias}})
    assert {one.compute_dtype for one in same(path, made(L.Conv2D(4, 3), kernel, bias)).layers} == {
        "float32"
    }


def test_the_hard_sigmoid_of_keras_2_has_its_own_slope(tmp_path):
    config = model(start(), layer("Activation", "a", ["input_1"], activation="hard_sigmoid"))
    path = as_h5(tmp_path / "a.h5", config, {"a": {}})
    same(path, lambda image: np.clip(0.2 * np.asarray(image) + 0.5, 0, 1))


@pytest.mark.parametrize("kind", ["Sequential", "Functional"])
def test_a_model_inside_another_is_called_once_for_each_time_it_was(tmp_path, kind):
    kernel, bias = numbers((3, 3, 3, 3), (3,))
    inner = model(
        start("inside"), convolution("c", "inside", filters=3, padding="same"), name="base",
        kind=kind,
    )  # fmt: skip
    nodes = [[["input_1", 0, 0, {}]], [["base", 1, 0, {"training": False}]]]
    inner |= {"name": "base", "inbound_nodes": nodes}
    config = model(start(), inner, layer("ReLU", "r", ["base"], call=2), last=("r", 0, 0))
    path = as_h5(tmp_path / "a.h5", config, {"base": {"kernel": kernel, "bias": bias}})
    once = made(L.Conv2D(3, 3, padding="same"), kernel, bias)
    same(path, lambda image: once(once(image)))


@pytest.mark.parametrize("frozen", [True, False])
def test_weights_of_a_frozen_part_come_in_the_order_that_it_had(tmp_path, frozen):
    kernel, bias, *four = numbers((3, 3, 3, 4), (4,), (4,), (4,), (4,), (4,))
    names = ["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"]
    parts = dict(zip(names, [kernel, bias, *four], strict=True))
    inner = model(
        start("inside"), convolution("c", "inside", filters=4),
        layer("BatchNormalization", "b", ["c"], axis=[3], epsilon=1e-3),
        convolution("d", "b", filters=2), name="base",
    )  # fmt: skip
    last = dict(zip(["kernel", "bias"], numbers((3, 3, 4, 2), (2,)), strict=True))
    for one in inner["config"]["layers"]:
        one["config"]["trainable"] = not frozen
    inner |= {"name": "base", "inbound_nodes": [[["input_1", 0, 0, {}]]]}
    config = model(start(), inner, last=("base", 1, 0))
    moving = {key: parts.pop(key) for key in names[4:]}
    ordered = parts | moving if frozen else parts
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"keras_version": "2.9.0", "model_config": json.dumps(config)})
        home = file.create_group("model_weights")
        home.attrs["layer_names"] = [b"base"]
        group = home.create_group("base")
        listed = [(f"b/{key}:0", value) for key, value in ordered.items()]
        listed += [(f"d/{key}:0", value) for key, value in last.items()]
        listed += [] if frozen else [(f"b/{key}:0", value) for key, value in moving.items()]
        group.attrs["weight_names"] = [name.encode() for name, _ in listed]
        for name, array in listed:
            group[name] = array
    one, two = made(L.Conv2D(4, 3), kernel, bias), made(L.BatchNormalization(), *four)
    three = made(L.Conv2D(2, 3), *last.values())
    same(tmp_path / "a.h5", lambda image: three(two(one(image))))


def test_weights_in_another_order_are_refused_rather_than_taken(tmp_path):
    own = layer("BatchNormalization", "b", ["input_1"], axis=[3])
    names = ["moving_mean", "moving_variance", "gamma", "beta"]
    parts = dict(zip(names, numbers(*[(3,)] * 4), strict=True))
    path = as_h5(tmp_path / "a.h5", model(start(), own), {"b": parts})
    with pytest.raises(ValueError, match=r"its b/b/moving_mean:0 stands where b/gamma should"):
        keras_file(path, "none", "own", None, False)


def test_operations_of_tensorflow_become_layers(tmp_path):
    scales = {"class_name": "__numpy__", "config": {"value": [1, 2, 4], "dtype": "float32"}}
    flipped = operation("math.subtract", "flip", "_CONSTANT_VALUE", y=["relu", 0, 0])
    flipped["inbound_nodes"][0][1:3] = [-1, 1.0]
    config = model(
        start(), operation("math.truediv", "by", "input_1", y=scales),
        operation("__operators__.add", "up", "by", y=-0.2), operation("nn.relu", "relu", "up"),
        flipped, operation("math.multiply", "both", "flip", y=["relu", 0, 0]),
        operation("math.sigmoid", "last", "both"),
    )  # fmt: skip

    def body(image):
        values = np.maximum(np.asarray(image) / [1, 2, 4] - 0.2, 0)
        return 1 / (1 + np.exp(-(1 - values) * values))

    same(as_h5(tmp_path / "a.h5", config, {"input_1": {}}), body)


def test_an_operation_without_a_layer_is_named(tmp_path):
    config = model(start(), operation("image.rgb_to_hsv", "hsv", "input_1"))
    with pytest.raises(ValueError, match=r"applies tf\.image\.rgb_to_hsv \(hsv\)"):
        keras_file(as_h5(tmp_path / "a.h5", config, {}), "none", "own", None, False)


@pytest.mark.parametrize(
    ("version", "module"),
    [
        ("2.12.0", "keras.engine.functional"),
        ("2.15.0", "keras.src.engine.functional"),
        ("2.19.0", "tf_keras.src.engine.functional"),
    ],
)
def test_a_keras_archive_of_keras_2_is_no_code(tmp_path, version, module):
    parts = numbers((3, 3, 3, 4), (4,), (3, 3, 4, 2), (2,))
    config = model(start(), convolution("a", "input_1", filters=4), layer("ReLU", "r", ["a"]),
                   convolution("b", "r", filters=2)) | {"module": module}  # fmt: skip
    # Until 2.13 a layer with weights was counted twice.
    home, second = ("layers", 1) if version > "2.14" else ("_layer_checkpoint_dependencies", 2)
    places = [f"{home}/conv2d{at}/vars/{n}" for at in ("", f"_{second}") for n in (0, 1)]
    path = as_keras(tmp_path / "a.keras", config, dict(zip(places, parts, strict=True)), version)
    one, two = made(L.Conv2D(4, 3), *parts[:2]), made(L.Conv2D(2, 3), *parts[2:])
    same(path, lambda image: two(keras.ops.relu(one(image))))


def test_a_keras_file_of_2_12_may_be_hdf5(tmp_path):
    kernel, bias = numbers((3, 3, 3, 4), (4,))
    config = model(start(), convolution("c", "input_1", filters=4))
    path = as_h5(tmp_path / "a.keras", config, {"c": {"kernel": kernel, "bias": bias}})
    same(path, made(L.Conv2D(4, 3), kernel, bias))


def test_a_slash_in_a_name_becomes_a_dot(tmp_path):
    kernel, bias = numbers((3, 3, 3, 4), (4,))
    config = model(start(), convolution("Conv/one", "input_1", filters=4))
    path = as_h5(tmp_path / "a.h5", config, {"Conv/one": {"kernel": kernel, "bias": bias}})
    names = {one.name for one in same(path, made(L.Conv2D(4, 3), kernel, bias)).layers}
    assert "Conv.one" in names


@pytest.mark.parametrize("module", ["evil", "kerasevil.layers", "os"])
def test_what_is_foreign_stays_foreign(tmp_path, module):
    own = layer("Conv2D", "c", ["input_1"]) | {"module": module}
    with pytest.raises(ValueError, match=f"holds code, Conv2D 'c' of the module {module}"):
        keras_file(as_h5(tmp_path / "a.h5", model(start(), own), {}), "none", "own", None, False)


def test_a_class_that_keras_3_lacks_is_named(tmp_path):
    config = model(start(), layer("ThresholdedReLU", "t", ["input_1"], theta=1.0))
    with pytest.raises(ValueError, match=r"Keras 2\.12\.0 saved.*class ThresholdedReLU"):
        keras_file(as_h5(tmp_path / "a.h5", config, {}), "none", "own", None, False)
