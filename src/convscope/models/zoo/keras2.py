"""Models as Keras 1 and 2 wrote them, put into the words of Keras 3.

Nothing foreign is run: classes are looked up by name among Keras' own layers, and what computes
otherwise in Keras 3, or is no longer there, is replaced or refused.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from convscope.models.backend import keras

L = keras.layers
Config = dict[str, Any]

ADDRESSES = ("keras.", "tf_keras.", "tensorflow.keras.", "tensorflow.python.keras.")
"""Where classes of Keras said to live; any other place is foreign."""

MODELS = {"Functional", "Model", "Sequential"}

RENAMED = {
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "RandomHeight": "Identity", "RandomWidth": "Identity",  # they do nothing outside training
}  # fmt: skip

HARMLESS = {
    "groups": (1,), "renorm": (False,), "virtual_batch_size": (None,), "ragged": (False,),
    "fused": (None, False, True), "noise_shape": (None,),
    "rng_type": ("stateful", "legacy_stateful", "stateless", None),
}  # fmt: skip
"""{a word that a layer of Keras 3 may not know: the values at which it says nothing}."""


TRAINING = ("_initializer", "_regularizer", "_constraint")
"""Ends of settings that mean nothing where weights are read and nothing is trained."""


@keras.saving.register_keras_serializable("convscope")
def hard_sigmoid(values: Any) -> Any:
    """Return Keras 2's hard sigmoid; Keras 3 has another slope under the same name."""
    return keras.ops.clip(0.2 * values + 0.5, 0, 1)


def modern(config: Config) -> Config:
    """Return the config of a whole model for `keras.saving.deserialize_keras_object`.

    Raises:
        ValueError: it asks for what Keras 3 does not have.
    """
    if config.get("class_name") not in MODELS:
        raise ValueError(f"it is a {config.get('class_name')}, no functional or sequential model")
    return _layer(config)


def _layer(config: Config) -> Config:
    """Return the config of a layer or of a model inside of one; what is foreign stays as it is."""
    kind, module = config["class_name"], config.get("module")
    if module and not f"{module}.".startswith(ADDRESSES):
        return config
    if kind in MODELS:
        return _model(config)
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        return _operation(config)
    kind = str(RENAMED.get(kind, kind))
    made = getattr(L, kind, None)
    if not (isinstance(made, type) and issubclass(made, keras.Layer)):
        if config.get("registered_name"):
            return config  # its author's
        raise ValueError(f"it has a layer of the class {kind}, which is none of Keras 3")
    own = config["config"]
    if kind == "Identity":
        own = {key: own[key] for key in ("name", "dtype") if key in own}
    if kind == "RandomCrop":  # outside training it cut the middle out; in Keras 3 nothing
        kind, made = "Resizing", L.Resizing
        own = {key: own[key] for key in ("name", "dtype", "height", "width") if key in own}
        own["crop_to_aspect_ratio"] = True
    return _entry(config, kind, {key: value for key, value in _settings(made, own)})


def _entry(config: Config, kind: str, own: Config, module: str = "keras.layers") -> Config:
    """Return a layer of Keras 3, with its place in the graph."""
    found = {"module": module, "class_name": kind, "config": own, "registered_name": None}
    if "inbound_nodes" in config:
        name = _name(str(config.get("name") or own["name"]))
        found |= {"name": name, "inbound_nodes": config["inbound_nodes"]}
    return found


def _name(name: str) -> str:
    """Return the name of a layer without what Keras 3 does not allow in one."""
    return name.replace("/", ".")


def _settings(kind: type, own: Config) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a layer under the names that they have in Keras 3."""
    words = inspect.signature(kind).parameters
    more = "" if any(word.kind is word.VAR_KEYWORD for word in words.values()) else "trainable"
    for key, value in own.items():
        if key.endswith(TRAINING):
            continue
        if key == "batch_input_shape":
            if kind is L.InputLayer:
                yield "batch_shape", value
        elif key not in words and (value in HARMLESS.get(key, ()) or key == more):
            continue
        elif key == "name":
            yield key, _name(value)
        elif key == "dtype":
            yield key, _dtype(value)
        elif key == "axis" and kind is L.BatchNormalization and isinstance(value, list):
            yield key, value[0]
        elif key in ("activation", "recurrent_activation") and value == "hard_sigmoid":
            yield key, keras.saving.serialize_keras_object(hard_sigmoid)
        elif isinstance(value, dict) and "class_name" in value and "config" in value:
            yield key, _number(value) if value["class_name"].startswith("__") else _layer(value)
        else:
            yield key, value


def _dtype(value: Any) -> str:
    """Return the number format of a layer: what was mixed or half is float32 here."""
    name = value["config"]["name"] if isinstance(value, dict) else value
    half = isinstance(name, str) and name.endswith("float16")
    return "float32" if half or not isinstance(name, str) else name


def _model(config: Config) -> Config:
    """Return the config of a functional or sequential model."""
    own = config["config"]
    if isinstance(own, list):  # a Sequential of Keras 2.2 and before
        own = {"name": "sequential", "layers": own}
    inner = [dict(layer) for layer in own["layers"]]
    if config["class_name"] == "Sequential":
        first = inner[0]
        while first["class_name"] in MODELS:
            first = first["config"]["layers"][0]
        if inner[0]["class_name"] != "InputLayer" and "batch_input_shape" in first["config"]:
            start = {"batch_input_shape": first["config"]["batch_input_shape"]}
            start["name"] = f"{own['name']}_input"
            inner.insert(0, {"class_name": "InputLayer", "config": start})
        made = {"name": own["name"], "layers": [_layer(layer) for layer in inner]}
        return _entry(config, "Sequential", made, "keras")
    for layer in inner:
        if layer["class_name"] in MODELS:
            _renumber(layer, own)
    for place in ("input_layers", "output_layers", "layers"):
        for call in _references(own[place]):
            call[0] = _name(call[0])
    ends = {key: own[key] for key in ("input_layers", "output_layers")}
    # What stands alone is no list of one.
    made = {key: end[0] if len(end) == 1 else end for key, end in ends.items()}
    made |= {"name": own["name"], "layers": [_layer(layer) for layer in inner]}
    return _entry(config, "Functional", made, "keras.src.models.functional")


def _renumber(layer: Config, own: Config) -> None:
    """Count the calls of a model inside another from 0: Keras 2 counted its making as one.

    Where outputs are named Keras 3 still does so of functional models, but of no others.
    """
    inner = [call for one in own["layers"] for call in _references(one.get("inbound_nodes", []))]
    outer = list(_references(own["output_layers"]))
    first = min((call[1] for call in inner + outer if call[0] == layer["name"]), default=0)
    for call in inner if layer["class_name"] != "Sequential" else inner + outer:
        if call[0] == layer["name"]:
            call[1] -= first


def _references(part: Any) -> Iterator[list[Any]]:
    """Yield every [layer, call, output, ...] of a structure."""
    if _refers(part):
        yield part
    inside = part.values() if isinstance(part, dict) else part
    for one in inside if isinstance(part, dict | list) else ():
        yield from _references(one)


def _refers(part: Any) -> bool:
    return isinstance(part, list) and len(part) >= 3 and isinstance(part[0], str)


# Operations of TensorFlow that Keras 2 kept as layers of their own: arithmetic and activations.

ARITHMETIC = {
    "multiply": ("multiply", "mul"), "add": ("add",), "subtract": ("subtract", "sub"),
    "divide": ("divide", "truediv", "realdiv"),
}  # fmt: skip
MERGES = {"multiply": "Multiply", "add": "Add", "subtract": "Subtract"}
FUNCTIONS: Mapping[str, tuple[str, Config]] = {
    "relu": ("ReLU", {}), "relu6": ("ReLU", {"max_value": 6.0}), "softmax": ("Softmax", {}),
    "identity": ("Identity", {}), "stop_gradient": ("Identity", {}),
    **{
        name: ("Activation", {"activation": name})
        for name in ("sigmoid", "tanh", "silu", "swish", "softplus", "softsign", "elu", "selu")
    },
}  # fmt: skip


def _operation(config: Config) -> Config:
    """Return the layer of Keras 3 that does what an operation of TensorFlow did.

    Raises:
        ValueError: none does.
    """
    function, name = config["config"]["function"], config["config"]["name"]
    nodes, last = config["inbound_nodes"], function.rpartition(".")[2].strip("_").casefold()
    verb = next((verb for verb, words in ARITHMETIC.items() if last in words), None)
    with_one = len(nodes) == 1 and _refers(nodes[0]) and len(nodes[0]) == 4
    options = (
        {key: value for key, value in nodes[0][3].items() if value is not None} if with_one else {}
    )
    options.pop("name", None)
    if with_one and verb and options.keys() <= {"x", "y"} and len(options) == 1:
        [other] = options.values()
        first = nodes[0][:3]
        if first[0] == "_CONSTANT_VALUE":
            other, first = first[2], other
            if verb == "subtract":
                return _at(config, "Rescaling", {"scale": -1.0, "offset": _number(other)}, first)
            if verb == "divide":
                verb = None
        if verb in MERGES and _refers(other):
            node = [[[*first, {}], [*other[:3], {}]]]
            return _entry({**config, "inbound_nodes": node}, MERGES[verb], {"name": _name(name)})
        if verb and not _refers(other):
            number = _number(other)
            scale, offset = {
                "multiply": (number, 0.0), "add": (1.0, number),
                "subtract": (1.0, np.negative(number).tolist()),
                "divide": (np.divide(1.0, number).tolist(), 0.0),
            }[verb]  # fmt: skip
            return _at(config, "Rescaling", {"scale": scale, "offset": offset}, first)
    if with_one and not options and last in FUNCTIONS:
        kind, own = FUNCTIONS[last]
        return _at(config, kind, own, nodes[0][:3])
    raise ValueError(
        f"it applies tf.{function} ({name}), for which Keras 3 has no layer; build the model anew"
        " with layers of Keras in its place"
    )


def _at(config: Config, kind: str, own: Config, source: Sequence[Any]) -> Config:
    """Return a layer in the place of an operation on one tensor."""
    named = {"name": _name(config["config"]["name"]), **own}
    return _entry({**config, "inbound_nodes": [[[*source[:3], {}]]]}, kind, named)


def _number(value: Any) -> Any:
    """Return a constant as plain numbers."""
    if isinstance(value, dict):
        value = value["config"]["value"]
    return np.asarray(value, np.float64).tolist()


# The weights inside of a .keras file of Keras 2.12 to 2.15


def arrays(model: Any, home: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield each weight of a model with its array in a file.

    Layers are numbered by class. Until 2.13 those with weights were counted twice.

    Args:
        model: the model.
        home: its group in the HDF5 file.

    Raises:
        ValueError: a layer has another number of arrays there.
    """
    twice = "_layer_checkpoint_dependencies" in home
    inside = home["_layer_checkpoint_dependencies" if twice else "layers"]
    counts: Counter[str] = Counter()
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        name = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 2 if twice and layer.weights else 1
        if isinstance(layer, keras.Model):
            yield from arrays(layer, inside[name])
            continue
        stored = inside.get(f"{name}/vars", {})
        if len(stored) != len(layer.weights):
            raise ValueError(
                f"it holds {len(stored)} arrays of {layer.name}, which has {len(layer.weights)}"
            )
        for number, weight in enumerate(layer.weights):
            yield weight, stored[str(number)][()]


def _snake_case(name: str) -> str:
    words: Callable[[str, str], str] = lambda pattern, text: re.sub(pattern, r"\1_\2", text)  # noqa: E731
    return words("([a-z])([A-Z])", words("(.)([A-Z][a-z0-9]+)", name)).lower()
