"""The networks of keras.applications, by their class names."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data import class_names
from convscope.data.labels import taxonomy
from convscope.models.backend import keras
from convscope.models.network import Network, build
from convscope.models.preprocess import MODES, preprocess
from convscope.models.zoo import published, weight_file
from convscope.models.zoo.published import Published
from convscope.models.zoo.weight_file import Contents
from convscope.models.zoo.weights import Provenance

Make = Callable[..., keras.Model]

COMMON = 224  # pixels; the size of ImageNet networks that take any, which are MobileNetV3


def application(name: str, weights: str) -> Network:
    """Return a network of keras.applications, its classifier giving logits.

    Args:
        name: its class name: `ResNet50`, `MobileNetV2`.
        weights: `imagenet`, which Keras downloads once; `random` for a network without training,
            always the same for a name; or the path of a file of weights, with a classifier of any
            number of classes or without one.

    Raises:
        FileNotFoundError: the file of weights is neither there nor to be had.
        ValueError: there is no such network, or the file is damaged or does not fit it.
    """
    make = _find(name)
    ours = mode(name)
    with fresh_names(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of image sizes that have no weights of their own
        if weights == "random":
            model = _random(make, name)
            size, source, digest = _side(model), "random weights", _digest(model)
        elif weights == "imagenet":
            model, file = published.graph(lambda: _graph(make, "imagenet"))
            path = published.cached(name, file)
            weight_file.fill(model, weight_file.contents(path), name)
            size, source = _side(model), "ImageNet weights"
            digest = weight_file.checksum(path)
        else:
            path = Path(weights).expanduser()
            if not path.is_file():
                raise FileNotFoundError(
                    f"model.weights={weights} is not a file. It is imagenet, random, or a file of"
                    f" weights for {name}."
                )
            model, size = _from_file(make, name, weight_file.contents(path))
            source, digest = f"weights of {path.name}", weight_file.checksum(path)
    provenance = Provenance(f"keras.applications {name}, {source}", digest)
    return build(name, model, ours, provenance, _classes(model), size)


def names() -> dict[str, Make]:
    """Return what makes each network of keras.applications, by its class name."""
    return {
        name: make
        for name, make in sorted(vars(keras.applications).items())
        if inspect.isfunction(make)
        and {"include_top", "weights"} <= set(inspect.signature(make).parameters)
    }


def mode(name: str) -> str:
    """Return the mode of `MODES` that preprocesses as Keras itself does for a network.

    Raises:
        ValueError: none does.
    """
    image = np.random.default_rng(0).random((1, 3, 5, 3), np.float32)
    # It may write into what it is given.
    wanted = np.asarray(sys.modules[_find(name).__module__].preprocess_input(255 * image))
    for ours in MODES:
        if np.allclose(preprocess(ours)(image), wanted, rtol=0, atol=1e-3):
            return ours
    raise ValueError(
        f"keras.applications.{name} preprocesses photographs in a way that is none of"
        f" {', '.join(MODES)}. Save it as a .keras file with its preprocessing inside, for"
        " model.preprocess=byte."
    )


@contextmanager
def fresh_names() -> Iterator[None]:
    """Name layers as in a new process, whatever was built before: conv2d, conv2d_1, ....

    Afterwards the numbers go on where no layer of before or of meanwhile has its own.
    """
    state, key = keras.src.backend.common.global_state, "object_name_uids"
    before: Counter[str] = Counter(state.get_global_attribute(key) or {})
    state.set_global_attribute(key, Counter())
    try:
        yield
    finally:
        state.set_global_attribute(key, Counter(state.get_global_attribute(key)) | before)


def _find(name: str) -> Make:
    """Return what makes a network.

    Raises:
        ValueError: there is none of that name.
    """
    known = names()
    if name in known:
        return known[name]
    lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f"Did you mean {lower[near[0]]!r}?" if near else f"They are {', '.join(known)}."
    raise ValueError(f"keras.applications has no network {name!r}. {hint}")


def _graph(make: Make, weights: str | None = None, **options: Any) -> keras.Model:
    """Return a network that gives logits."""
    return make(weights=weights, classifier_activation=None, **options)


def _random(make: Make, name: str) -> keras.Model:
    """Return a network without training, as Keras initializes it."""
    # Keras draws the seed of each initializer from Python's generator.
    state = random.getstate()
    random.seed(name)
    try:
        return _graph(make)
    finally:
        random.setstate(state)


def _from_file(make: Make, name: str, file: Contents) -> tuple[keras.Model, int]:
    """Return the variant of a network that a file of weights fits, filled, and its image size.

    Raises:
        ValueError: it fits none.
    """
    origin: Published | None
    model, origin = published.graph(lambda: _graph(make, "imagenet"))
    size, options = _side(model), dict[str, Any]()
    if weight_file.misfit(model, file):
        for tried, variant, its in _variants(make, model, file, size):
            if not weight_file.misfit(variant, file):
                model, options, origin = variant, tried, its
                break
    if file.layers not in (0, len(model.layers)) and not (origin and origin.fits(file.path)):
        # Written by a network that was not built for the weights of ImageNet.
        plain = _graph(make, **options)
        if len(plain.layers) == file.layers:
            model = plain
    weight_file.fill(model, file, name)
    return model, size


def _variants(
    make: Make, full: keras.Model, file: Contents, size: int
) -> Iterator[tuple[dict[str, Any], keras.Model, Published | None]]:
    """Yield how else a network may be built: with other classes, or without classifier."""
    count = _other_classes(full, file)
    if count is not None:
        # Keras builds it for ImageNet's weights with a thousand classes only.
        yield {"classes": count}, _graph(make, classes=count), None
        return
    for side in (None, size):
        options = {"include_top": False, "input_shape": (side, side, 3)}
        try:
            yield options, *published.graph(lambda: _graph(make, "imagenet", **options))  # noqa: B023
        except ValueError:  # a NASNet, which is another graph for images of any size
            continue


def _other_classes(full: keras.Model, file: Contents) -> int | None:
    """Return how many classes a file has whose network differs in nothing but their number."""
    asked = Counter(weight_file.shapes(full).values())
    given = Counter(file.shapes.values())
    missing, extra = asked - given, given - asked
    counts = [shape[0] for shape in extra if len(shape) == 1]
    if missing.total() == extra.total() == 2 and len(counts) == 1:
        return counts[0]
    return None


def _side(model: keras.Model) -> int:
    """Return the height and width of the images a network was made for."""
    return model.inputs[0].shape[1] or COMMON


def _classes(model: keras.Model) -> tuple[str, ...]:
    """Return the classes of a network's logits; none without classifier."""
    if len(model.outputs[0].shape) != 2:
        return ()
    count, known = model.outputs[0].shape[-1], taxonomy().classes
    return known if count == len(known) else class_names.numbered(count)


def _digest(model: keras.Model) -> str:
    """Return the SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return digest.hexdigest()
