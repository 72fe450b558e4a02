"""The networks of keras.applications, by their class names."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import random
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from convscope.data import labels
from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras, reason
from convscope.models.network import MODES, Network, build, preprocess
from convscope.models.zoo.checkpoints import Provenance
from convscope.models.zoo.keras_files import (
    Contents,
    checksum,
    contents,
    fill,
    misfit,
    shapes,
)
from convscope.settings import located

Make = partial[keras.Model]
file_utils = keras.src.utils.file_utils

COMMON = 224  # pixels; the size of ImageNet networks that take any, which are MobileNetV3


def application(name: str, weights: str, check: bool = True) -> Network:
    """Return a network of keras.applications, its classifier giving logits.

    Args:
        name: its class name: `ResNet50`, `MobileNetV2`.
        weights: `imagenet`, which Keras downloads once; `random` for a network without training,
            always the same for a name; or the path of a file of weights, with a classifier of any
            number of classes or without one.
        check: whether it is compared with the model as Keras runs it.

    Raises:
        FileNotFoundError: the file of weights is neither there nor to be had.
        ValueError: there is no such network, or the file is damaged or does not fit it.
    """
    make, ours, path = _find(name), mode(name), located("model.weights", weights)
    if weights not in ("imagenet", "random") and not path.is_file():
        raise FileNotFoundError(
            f"model.weights={weights} is not a file. It is imagenet, random, or a file of"
            f" weights for {name}."
        )
    with fresh_names(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of image sizes that have no weights of their own
        if weights == "random":
            model = _random(make, name)
            size, source, digest = _sides(model), "random weights", _digest(model)
        else:
            model, published = graph(make)
            size, source = _sides(model), f"weights of {path.name}"
            if weights == "imagenet":
                source, path = "ImageNet weights", cached(name, published)
            file = contents(path)
            if weights != "imagenet":
                model = _variant(make, model, published, file)
            fill(model, file, name)
            digest = checksum(path)
    provenance = Provenance(f"keras.applications {name}, {source}", digest)
    return build(name, model, ours, provenance, _classes(model), size, check=check)


def names() -> dict[str, Callable[..., keras.Model]]:
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
    wanted = np.asarray(sys.modules[_find(name).func.__module__].preprocess_input(255 * image))
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
    """Return what makes a network that gives logits.

    Raises:
        ValueError: there is none of that name.
    """
    known = names()
    if name in known:
        return partial(known[name], classifier_activation=None)
    lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f"Did you mean {lower[near[0]]!r}?" if near else f"They are {', '.join(known)}."
    raise ValueError(f"keras.applications has no network {name!r}. {hint}")


def _random(make: Make, name: str) -> keras.Model:
    """Return a network without training, as Keras initializes it."""
    # Keras draws the seed of each initializer from Python's generator.
    state = random.getstate()
    random.seed(name)
    try:
        return make(weights=None)
    finally:
        random.setstate(state)


def _variant(make: Make, full: keras.Model, origin: Published, file: Contents) -> keras.Model:
    """Return the variant of a network that a file of weights fits; all of it if none does."""
    options, model, published = next(
        (one for one in _variants(make, full, origin, file) if not misfit(one[1], file)),
        ({}, full, origin),
    )
    if file.layers not in (0, len(model.layers)) and not (published and published.fits(file.path)):
        # Written by a network that was not built for the weights of ImageNet.
        plain = make(weights=None, **options)
        if len(plain.layers) == file.layers:
            return plain
    return model


def _variants(
    make: Make, full: keras.Model, origin: Published, file: Contents
) -> Iterator[tuple[dict[str, Any], keras.Model, Published | None]]:
    """Yield how a network may be built: for ImageNet, for other classes, or without classifier."""
    yield {}, full, origin
    asked, given = Counter(shapes(full).values()), Counter(file.shapes.values())
    missing, extra = asked - given, given - asked
    counts = [shape[0] for shape in extra if len(shape) == 1]
    if missing.total() == extra.total() == 2 and len(counts) == 1:
        # They differ in the number of classes alone. Keras builds it for ImageNet's weights with a
        # thousand only.
        options: dict[str, Any] = {"classes": counts[0]}
        yield options, make(weights=None, **options), None
        return
    for sides in ((None, None), _sides(full)):
        options = {"include_top": False, "input_shape": (*sides, 3)}
        # Not of a NASNet, which is another graph for images of any size.
        with suppress(ValueError):
            yield options, *graph(make, **options)


def _sides(model: keras.Model) -> tuple[int, int]:
    """Return the height and width of the images a network was made for."""
    height, width = model.inputs[0].shape[1:3]
    return height or COMMON, width or COMMON


def _classes(model: keras.Model) -> tuple[str, ...]:
    """Return the classes of a network's logits; none without classifier."""
    if len(model.outputs[0].shape) != 2:
        return ()
    count, known = model.outputs[0].shape[-1], taxonomy().classes
    return known if count == len(known) else labels.numbered(count)


def _digest(model: keras.Model) -> str:
    """Return the SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return digest.hexdigest()


PATIENCE = 30.0  # seconds without an answer after which a download has failed
PACKAGED = "model=vgg16, model=alexnet and model=efficientnet_lite0 need no download"


class Published(NamedTuple):
    """A file that Keras loads: its name, where it comes from, its MD5 or SHA-256 if it has one."""

    name: str
    origin: str
    digest: str | None

    def fits(self, path: Path) -> bool:
        """Return whether a file is known to be this one."""
        return self.digest is not None and file_utils.validate_file(path, self.digest)


def graph(make: Make, **options: Any) -> tuple[keras.Model, Published]:
    """Return the network that Keras builds for ImageNet weights, without them, and their file.

    Its graph may be another than without them: an EfficientNet scales its input once more.
    """
    asked: list[Published] = []

    def note(fname: str, origin: str, *, file_hash: str | None = None, **_: object) -> str:
        asked.append(Published(fname, origin, file_hash))
        return fname

    with patch.object(file_utils, "get_file", note), patch.object(keras.Model, "load_weights"):
        return make(weights="imagenet", **options), asked[-1]


def cached(network: str, file: Published) -> Path:
    """Return where Keras keeps a file, after a download if need be.

    Raises:
        FileNotFoundError: it is not there, and cannot be downloaded.
        ValueError: it is there, but is not what Keras publishes.
    """
    path = Path(file_utils.config.keras_home()) / "models" / file.name
    if path.is_file():
        if file.digest is None or file.fits(path):
            return path
        raise ValueError(
            f"The weight file {path} is incomplete, or is not the one that Keras publishes for"
            f" {network}: its {'MD5' if len(file.digest) == 32 else 'SHA256'} is not"
            f" {file.digest[:16]}.... Delete it, so that it is downloaded anew, or give"
            " model.weights=PATH of a good copy."
        )
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    # A terminal shows how far it is; nothing of it goes to stdout.
    shown = sys.stderr if sys.stderr and sys.stderr.isatty() else StringIO()
    try:
        with redirect_stdout(shown):
            return Path(
                file_utils.get_file(*file[:2], cache_subdir="models", file_hash=file.digest)
            )
    # Keras raises plain exceptions here, and urllib many kinds.
    except Exception as error:
        why = reason(error).rpartition(" -- ")[2]
        raise FileNotFoundError(
            f"The ImageNet weights of {network} cannot be downloaded: {why}. Put {file.name} into"
            f" {path.parent}, or give model.weights=PATH of a copy; {PACKAGED}."
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
