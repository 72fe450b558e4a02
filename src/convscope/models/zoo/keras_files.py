"""A network from the user's own file, as Keras saves whole models."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convscope.data import labels
from convscope.models.backend import keras, reason
from convscope.models.flatten import settle
from convscope.models.network import Network, build, head
from convscope.models.zoo import keras2
from convscope.models.zoo.checkpoints import Provenance

ACCEPTED = "Give a model that Keras saved whole, as .keras or .h5"

TORCH = "it is torch's; build the same network in Keras and give its layers these weights"
OTHERS = {
    ".onnx": "it is ONNX; save the Keras model that it was made of, or build it in Keras",
    ".tflite": "it is TensorFlow Lite, whose layers are melted; save the Keras model that it was"
    " made of",
    ".pb": "it is a graph of TensorFlow without layers; save the Keras model that it was made of",
    ".pt": TORCH, ".pth": TORCH, ".safetensors": TORCH,
}  # fmt: skip
"""{how another kind of model's name ends: what it is}."""

# Where the classes and functions live that a model needs. Others of Keras load, save or fetch.
MODULES = tuple(
    f"keras.{part}."
    for part in (
        "src", "layers", "models", "ops", "random", "activations", "initializers", "regularizers",
        "constraints", "quantizers", "dtype_policies", "losses", "metrics", "optimizers",
    )
)  # fmt: skip
# Layers that are code, or that fetch it from elsewhere.
CODE = {"Lambda", "__lambda__", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"}


def keras_file(
    path: Path,
    mode: str,
    name: str,
    classes: str | None,
    custom: bool,
    output: str | None = None,
    check: bool = True,
) -> Network:
    """Return the network in a file that Keras saved, its graph as it is.

    Args:
        path: a .keras file, or a whole model as .h5.
        mode: the name of its preprocessing in `preprocess.MODES`.
        name: what it is called in results.
        classes: the file with the names of its outputs, as `class_names.read` takes it; without
            one they are class 0, class 1, ....
        custom: whether code in the file may run. Otherwise such a file is refused before that.
        output: the one of several outputs that is asked; None: the only one that classifies.
        check: whether it is compared with the model as Keras runs it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no model, holds code, does not look at one image, or has another number
            of outputs than there are names.
    """
    model = _load(path, custom)
    size = _size(path, model)
    network = build(
        name, model, mode, Provenance(path.name, checksum(path)), (), size, output, check
    )
    last = head(network)
    count = last.classes if last else 0
    found = labels.numbered(count) if classes is None else labels.read(classes)
    if len(found) != count:
        label = Path(str(classes)).name
        has = f"the classifier {count} classes" if count else f"{path.name} has no classifier"
        raise ValueError(
            f"{label} has {len(found)} names, {has}. Give a name for each class, or leave"
            " model.labels out."
        )
    return replace(network, classes=found)


def _load(path: Path, custom: bool) -> keras.Model:
    """Return the model in a file as a graph of layers.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no model, is damaged, or holds code that may not run.
    """
    if (path / "saved_model.pb").exists():
        raise ValueError(
            f"{path} is a SavedModel of TensorFlow, a graph of operations without layers. Load it"
            f" with the Keras that wrote it and save it as .keras. {ACCEPTED}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"The model file {path} does not exist. {ACCEPTED}.")
    config, old = _config(path)
    # Keras leaves the outermost of these alone, since nothing is trained here.
    config = {key: value for key, value in config.items() if key != "compile_config"}
    if old:
        try:
            config = keras2.modern(config)
        # What a damaged or foreign config lacks may be missed anywhere.
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}, which Keras {old} saved, cannot be loaded: {reason(error)}."
            ) from error
    if not custom and (code := next(_code(config), None)):
        raise ValueError(
            f"{path} holds code, {code}, and nothing of it was run. Set model.custom=true if its"
            " author can be trusted."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimizer that is not wanted
            if old:
                model = _old(path, config, custom)
            else:
                model = keras.models.load_model(path, compile=False, safe_mode=not custom)
    # A damaged or foreign file may fail anywhere in Keras, and code of its own in any way.
    except Exception as error:
        raise ValueError(f"{path} cannot be loaded: {reason(error)}. {ACCEPTED}.") from error
    if isinstance(model, keras.Sequential) and getattr(model, "inputs", None):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    for layer in model._flatten_layers():
        if getattr(layer, "quantization_mode", None):
            raise ValueError(
                f"{path} is quantized ({layer.name} is {layer.quantization_mode}), which leaves no"
                " gradient. Give the model as it was before quantize()."
            )
    if any(layer.compute_dtype in HALF for layer in model._flatten_layers()):
        model = _in_float32(model, custom)
    settle(model)
    if not getattr(model, "operations", None):
        raise ValueError(
            f"{path} holds a {type(model).__name__} without a graph of layers. Build it with"
            " keras.Model(inputs, outputs), or a Sequential with an Input, and save it again."
        )
    return model


HALF = ("float16", "bfloat16")
MIXED = ("mixed_float16", "mixed_bfloat16")


def _in_float32(model: keras.Model, custom: bool) -> keras.Model:
    """Return a model in half or mixed precision, which spares memory in training, in float32."""

    def whole(part: Any) -> Any:
        if isinstance(part, list | tuple):
            return [whole(one) for one in part]
        if not isinstance(part, dict):
            return part
        if part.get("class_name") == "DTypePolicy":
            return "float32"
        return {
            key: "float32" if key == "dtype" and value in (*HALF, *MIXED) else whole(value)
            for key, value in part.items()
        }

    config = whole(keras.saving.serialize_keras_object(model))
    found = keras.saving.deserialize_keras_object(config, safe_mode=not custom)
    found.set_weights([np.asarray(weight).astype(np.float32) for weight in model.get_weights()])
    return found


def _old(path: Path, config: dict[str, Any], custom: bool) -> keras.Model:
    """Return the model in a file of Keras 2, with its weights.

    Args:
        path: the file.
        config: of the model, in the words of Keras 3.
        custom: whether code in the file may run.

    Raises:
        ValueError: model and weights do not fit.
    """
    model = keras.saving.deserialize_keras_object(config, safe_mode=not custom)
    if _zipped(path):
        with _open(path) as stored:
            for weight, array in keras2.arrays(model, stored):
                weight.assign(array)
    elif problem := misfit(model, file := contents(path)) or _fill(model, file):
        raise ValueError(problem)
    return model


def _config(path: Path) -> tuple[dict[str, Any], str]:
    """Return what a file says its model is made of, and which Keras before 3 wrote it, if one did.

    Nothing of it is built.

    Raises:
        ValueError: it says nothing.
    """
    try:
        if path.suffix not in (".keras", ".h5", ".hdf5"):
            other = OTHERS.get(path.suffix.casefold())
            raise ValueError(other or f"its name ends in {path.suffix or 'nothing'}")
        if path.suffix == ".keras" and (_zipped(path) or not h5py.is_hdf5(path)):
            with zipfile.ZipFile(path) as archive:
                text = archive.read("config.json")
                version = json.loads(archive.read("metadata.json")).get("keras_version", "3")
        else:  # until 2.12 .keras was HDF5 too
            with h5py.File(path, "r") as file:
                text = file.attrs.get("model_config")
                version = file.attrs.get("keras_version", "1")
        if text is None:
            raise ValueError("it holds weights without a model")
        config = json.loads(text)
        if not isinstance(config, dict):
            raise ValueError("its config is no object")
        version = version.decode() if isinstance(version, bytes) else str(version)
        return config, version if version.startswith(("1", "2")) else ""
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no model: {reason(error)}. {ACCEPTED}.") from error


def _code(config: Any) -> Iterator[str]:
    """Yield, in words, what in a model's config is not Keras' own."""
    parts = config if isinstance(config, list) else []
    if isinstance(config, dict):
        parts = list(config.values())
        kind, module = config.get("class_name"), config.get("module", "builtins")
        registered, inner = config.get("registered_name"), config.get("config")
        called = inner.get("name") if isinstance(inner, dict) else inner
        known = isinstance(module, str) and f"{module}.".startswith(MODULES)
        if not isinstance(kind, str):
            pass
        elif kind in CODE:
            yield f"the {kind} {called!r}" if isinstance(called, str) else f"a {kind}"
        elif not known and module not in ("keras", "builtins"):
            yield f"{kind} {called!r} of {f'the module {module}' if module else 'no module'}"
        elif ">" in kind or ">" in str(registered or ""):
            yield f"{registered or kind}, a class or function of its author's"
    for part in parts:
        yield from _code(part)


def _size(path: Path, model: keras.Model) -> tuple[int, int] | None:
    """Return the height and width that a model wants of its images, None if any will do.

    Raises:
        ValueError: it does not look at one image, or one of its sides alone is free.
    """
    if len(model.inputs) != 1:
        known = ", ".join(tensor.name for tensor in model.inputs)
        raise ValueError(f"{path} takes {len(model.inputs)} inputs, {known}. Give one of an image.")
    shape, dtype = tuple(model.inputs[0].shape), model.inputs[0].dtype
    wanted = "(samples, height, width, colours), with 3 colours or 1 grey"
    if len(shape) != 4 or shape[-1] not in (1, 3):
        first = len(shape) == 4 and shape[1] in (1, 3)
        raise ValueError(
            f"{path} takes {shape}{', which puts the colours first' if first else ''}. Give a"
            f" model of images {wanted}."
        )
    if "float" not in dtype:
        raise ValueError(
            f"{path} takes {dtype}, through which no gradient leads. Give a model of float32 images"
            f" {wanted}."
        )
    height, width = shape[1:3]
    if height is None and width is None:
        return None
    if height is None or width is None:
        raise ValueError(
            f"{path} takes images of {height} x {width} pixels. Give a model of images of one size,"
            " or of any, which is None x None."
        )
    return height, width


Shape = tuple[int, ...]

WEIGHTS = "model.weights.h5"  # inside a .keras file
ACCEPTED_WEIGHTS = "Give an .h5, .weights.h5 or .keras file that Keras wrote"


@dataclass(frozen=True)
class Contents:
    """What a file of weights says it holds; no array of it is read yet.

    Attributes:
        path: the file.
        layers: how many layers the model had that was written, those without weights included.
        shapes: {the array's path inside the file: its shape}; in the model's order if `ordered`.
        ordered: whether it is of the old format, which gives the arrays of each layer in order.
    """

    path: Path
    layers: int
    shapes: Mapping[str, Shape]
    ordered: bool


def contents(path: Path) -> Contents:
    """Return what a file of weights holds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of weights, or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The weight file {path} does not exist. {ACCEPTED_WEIGHTS}.")
    with _open(path) as stored:
        if layers := _names(stored, "layer_names"):
            ordered = {name: array.shape for name, array in _ordered(stored, path)}
            return Contents(path, len(layers), ordered, ordered=True)
        found: dict[str, Shape] = {}

        def note(name: str, item: Any) -> None:
            state = name.startswith(("optimizer", "metrics")) or "seed_generator/" in name
            if isinstance(item, h5py.Dataset) and not state:
                found[name] = item.shape

        stored.visititems(note)
        if not found:
            raise ValueError(f"The weight file {path} holds no weights. {ACCEPTED_WEIGHTS}.")
        return Contents(path, len(stored.get("layers", ())), found, ordered=False)


def misfit(model: keras.Model, file: Contents) -> str:
    """Return in words what a model and a file do not share, "" if they fit."""
    if file.ordered:
        wanted = ((weight.path, tuple(weight.shape)) for weight in _in_order(model))
        for ours, theirs in zip_longest(wanted, file.shapes.items()):
            if ours is None or theirs is None:
                return _unshared(*(ours or ("", ())), *(theirs or ("", ())))
            if ours[1] != theirs[1]:
                return f"its {theirs[0]} is {theirs[1]} where {ours[0]} is {ours[1]}"
            if _last(ours[0]) in NAMED and _last(theirs[0]) in NAMED - {_last(ours[0])}:
                return f"its {theirs[0]} stands where {ours[0]} should"
        return ""
    asked, given = Counter(shapes(model).values()), Counter(file.shapes.values())
    return _unshared(*_first(shapes(model), asked - given), *_first(file.shapes, given - asked))


NAMED = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "mean", "variance"}
"""Weights that are called the same by all versions of Keras."""


def _last(path: str) -> str:
    """Return the own name of an array: `gamma` of `bn/gamma:0`."""
    return path.rpartition("/")[2].partition(":")[0]


def shapes(model: keras.Model) -> dict[str, Shape]:
    """Return {the path of each weight: its shape} of a model."""
    return {weight.path: tuple(weight.shape) for weight in model.weights}


def fill(model: keras.Model, file: Contents, name: str) -> None:
    """Give a model all its weights from a file.

    Args:
        model: the model; after an error it is in no state to be used.
        file: what the file holds.
        name: what to call the network in errors.

    Raises:
        ValueError: an array is missing, has another shape, or is damaged.
    """
    if problem := misfit(model, file) or _fill(model, file):
        raise ValueError(
            f"The weight file {file.path} does not fit {name}: {problem}. {ACCEPTED_WEIGHTS} for"
            " it."
        )


def _fill(model: keras.Model, file: Contents) -> str:
    """Give a model the weights of a file that has as many; return in words what went wrong."""
    numbers = [weight for weight in model.weights if "float" in weight.dtype]
    for weight in numbers:
        weight.assign(np.full(weight.shape, np.nan, weight.dtype))
    if file.ordered:
        with _open(file.path) as stored:
            arrays = _ordered(stored, file.path)
            for weight, (_, array) in zip(_in_order(model), arrays, strict=True):
                weight.assign(array[()])
    elif not file.path.name.endswith((".keras", ".weights.h5")):  # as Keras wants it
        raise ValueError(
            f"The weight file {file.path} has the format of .weights.h5. Rename it so that it ends"
            " in .weights.h5."
        )
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.load_weights(file.path)
        except (ValueError, TypeError, KeyError, OSError) as error:
            return f"Keras says: {reason(error)}"
    settle(model)
    # What the file did not reach is still no number.
    left = next((one for one in numbers if keras.ops.any(keras.ops.isnan(one))), None)
    return "" if left is None else f"it leaves {left.path} without numbers"


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _in_order(model: keras.Model) -> list[keras.Variable]:
    """Return the weights of a model in the order of the old format."""
    return [
        weight
        for layer in model.layers
        for weight in layer.trainable_weights + layer.non_trainable_weights
    ]


def _first(named: Mapping[str, Shape], wanted: Counter[Shape]) -> tuple[str, Shape]:
    """Return the name and shape of the first array of a wanted shape, "" if there is none."""
    return next(((name, shape) for name, shape in named.items() if wanted[shape]), ("", ()))


def _unshared(missing: str, its: Shape, extra: str, other: Shape) -> str:
    """Return in words what only one of a model and a file has."""
    said = [f"it lacks {missing} {its}"] if missing else []
    said += [f"it has {extra} {other} that the network does not know"] if extra else []
    return " and ".join(said)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open the weights in the HDF5 file at `path`, or inside a .keras file there.

    Raises:
        ValueError: it is none, or is damaged.
    """
    source: Any = path
    try:
        if _zipped(path):
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(WEIGHTS))
        elif not h5py.is_hdf5(path):
            raise ValueError(f"The weight file {path} is no HDF5 file. {ACCEPTED_WEIGHTS}.")
        with h5py.File(source, "r") as file:
            yield file.get("model_weights", file)
    except KeyError as error:
        raise ValueError(f"The weight file {path} lacks a part: {reason(error)}.") from error
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The weight file {path} is truncated or damaged: {reason(error)}. {ACCEPTED_WEIGHTS}."
        ) from error


def _zipped(path: Path) -> bool:
    """Return whether a file is a zip, as .keras files are, by how it begins.

    Elsewhere in a zip the weights inside may look as if all of it were HDF5.
    """
    with path.open("rb") as raw:
        return raw.read(2) == b"PK"


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names in an attribute, which is spread over several where it is long."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    found = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def _ordered(home: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (path, array) of the old format, in order.

    Raises:
        ValueError: the file lists an array that it does not hold.
    """
    for layer in _names(home, "layer_names"):
        group = home.get(layer)
        for name in [""] if group is None else _names(group, "weight_names"):
            array = home.get(f"{layer}/{name}")
            if not isinstance(array, h5py.Dataset):
                raise ValueError(f"The weight file {path} lists {layer}/{name} without holding it.")
            yield f"{layer}/{name}", array
