"""A network from the user's own file, as Keras saves whole models."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py

from convscope.data import class_names
from convscope.models.backend import keras
from convscope.models.network import Network, build, classifier, layers
from convscope.models.zoo.weight_file import checksum, reason
from convscope.models.zoo.weights import Provenance

ACCEPTED = "Give a model that Keras saved whole, as .keras or .h5"

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


def keras_file(path: Path, mode: str, name: str, classes: str | None, custom: bool) -> Network:
    """Return the network in a file that Keras saved, its graph as it is.

    Args:
        path: a .keras file, or a whole model as .h5.
        mode: the name of its preprocessing in `preprocess.MODES`.
        name: what it is called in results.
        classes: the file with the names of its outputs, as `class_names.read` takes it; without
            one they are class 0, class 1, ....
        custom: whether code in the file may run. Otherwise such a file is refused before that.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no model, holds code, does not look at one image, or has another number
            of outputs than there are names.
    """
    model = _load(path, custom)
    size = _size(path, model)
    network = build(name, model, mode, Provenance(path.name, checksum(path)), (), size)
    last = classifier(network)
    count = layers(network)[last] if last else 0
    found = class_names.numbered(count) if classes is None else class_names.read(classes)
    if len(found) != count:
        label = Path(str(classes)).name
        has = f"the classifier {count} outputs" if count else f"{path.name} has no classifier"
        raise ValueError(
            f"{label} has {len(found)} names, {has}. Give a name for each output, or leave"
            " model.labels out."
        )
    return replace(network, classes=found)


def _load(path: Path, custom: bool) -> keras.Model:
    """Return the model in a file as a graph of layers.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no model, is damaged, or holds code that may not run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The model file {path} does not exist. {ACCEPTED}.")
    config = _config(path)
    # Keras leaves the outermost of these alone, since nothing is trained here.
    config = {key: value for key, value in config.items() if key != "compile_config"}
    if not custom and (code := next(_code(config), None)):
        raise ValueError(
            f"{path} holds code, {code}, and nothing of it was run. Set model.custom=true if its"
            " author can be trusted."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimizer that is not wanted
            model = keras.models.load_model(path, compile=False, safe_mode=not custom)
    # A damaged or foreign file may fail anywhere in Keras, and code of its own in any way.
    except Exception as error:
        raise ValueError(f"{path} cannot be loaded: {reason(error)}. {ACCEPTED}.") from error
    if isinstance(model, keras.Sequential) and getattr(model, "inputs", None):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not getattr(model, "operations", None):
        raise ValueError(
            f"{path} holds a {type(model).__name__} without a graph of layers. Build it with"
            " keras.Model(inputs, outputs), or a Sequential with an Input, and save it again."
        )
    return model


def _config(path: Path) -> dict[str, Any]:
    """Return what a file says its model is made of; nothing of it is built.

    Raises:
        ValueError: it says nothing.
    """
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                text = archive.read("config.json")
        elif path.suffix in (".h5", ".hdf5"):
            with h5py.File(path, "r") as file:
                text = file.attrs.get("model_config")
        else:
            raise ValueError(f"its name ends in {path.suffix or 'nothing'}")
        if text is None:
            raise ValueError("it holds weights without a model")
        config = json.loads(text)
        if not isinstance(config, dict):
            raise ValueError("its config is no object")
        return config
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no model: {reason(error)}. {ACCEPTED}.") from error


def _code(config: Any) -> Iterator[str]:
    """Yield, in words, what in a model's config is not Keras' own."""
    if isinstance(config, list):
        for part in config:
            yield from _code(part)
    if not isinstance(config, dict):
        return
    kind, module = config.get("class_name"), config.get("module", "builtins")
    registered = config.get("registered_name")
    if isinstance(kind, str):
        inner = config.get("config")
        called = inner.get("name") if isinstance(inner, dict) else inner
        if kind in CODE:
            yield f"the {kind} {called!r}" if isinstance(called, str) else f"a {kind}"
        elif not isinstance(module, str) or not (
            module in ("keras", "builtins") or f"{module}.".startswith(MODULES)
        ):
            yield f"{kind} {called!r} of {f'the module {module}' if module else 'no module'}"
        elif ">" in kind or ">" in str(registered or ""):
            yield f"{registered or kind}, a class or function of its author's"
    for part in config.values():
        yield from _code(part)


def _size(path: Path, model: keras.Model) -> int | None:
    """Return the height and width that a model wants of its images, None if any will do.

    Raises:
        ValueError: it does not look at one image, or not at a square one.
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
    if height != width:
        raise ValueError(
            f"{path} takes images of {height} x {width} pixels. Give a model of square images, or"
            " of any size, which is None x None."
        )
    return height
