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
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data import labels
from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras
from convscope.models.network import MODES, Network, build, preprocess
from convscope.models.zoo import keras_files
from convscope.models.zoo.checkpoints import Provenance
from convscope.models.zoo.keras_files import Contents, checksum, reason

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
            model, file = graph(lambda: _graph(make, "imagenet"))
            path = cached(name, file)
            keras_files.fill(model, keras_files.contents(path), name)
            size, source = _side(model), "ImageNet weights"
            digest = keras_files.checksum(path)
        else:
            path = Path(weights).expanduser()
            if not path.is_file():
                raise FileNotFoundError(
                    f"model.weights={weights} is not a file. It is imagenet, random, or a file of"
                    f" weights for {name}."
                )
            model, size = _from_file(make, name, keras_files.contents(path))
            source, digest = f"weights of {path.name}", keras_files.checksum(path)
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
    model, origin = graph(lambda: _graph(make, "imagenet"))
    size, options = _side(model), dict[str, Any]()
    if keras_files.misfit(model, file):
        for tried, variant, its in _variants(make, model, file, size):
            if not keras_files.misfit(variant, file):
                model, options, origin = variant, tried, its
                break
    if file.layers not in (0, len(model.layers)) and not (origin and origin.fits(file.path)):
        # Written by a network that was not built for the weights of ImageNet.
        plain = _graph(make, **options)
        if len(plain.layers) == file.layers:
            model = plain
    keras_files.fill(model, file, name)
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
            yield options, *graph(lambda: _graph(make, "imagenet", **options))  # noqa: B023
        except ValueError:  # a NASNet, which is another graph for images of any size
            continue


def _other_classes(full: keras.Model, file: Contents) -> int | None:
    """Return how many classes a file has whose network differs in nothing but their number."""
    asked = Counter(keras_files.shapes(full).values())
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
    return known if count == len(known) else labels.numbered(count)


def _digest(model: keras.Model) -> str:
    """Return the SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return digest.hexdigest()


PATIENCE = 30.0  # seconds without an answer after which a download has failed
PACKAGED = "model=vgg16, model=alexnet and model=efficientnet_lite0 need no download"


@dataclass(frozen=True)
class Published:
    """A file that Keras loads: its name, where it comes from, its MD5 or SHA-256 if it has one."""

    name: str
    origin: str
    digest: str | None

    def fits(self, path: Path) -> bool:
        """Return whether a file is known to be this one."""
        return self.digest is not None and self.digest == checksum(path, self.algorithm)

    @property
    def algorithm(self) -> str:
        """Which checksum the digest is."""
        return "md5" if self.digest is not None and len(self.digest) == 32 else "sha256"


def graph(make: Callable[[], keras.Model]) -> tuple[keras.Model, Published]:
    """Return the network that Keras builds for ImageNet weights, without them, and their file.

    Its graph may be another than without them: an EfficientNet scales its input once more.

    Args:
        make: builds the network as if its weights were to be loaded.
    """
    asked: list[Published] = []

    def note(
        fname: str, origin: str, *_: object, file_hash: str | None = None, **__: object
    ) -> str:
        asked.append(Published(fname, origin, file_hash))
        return fname

    with (
        _instead(keras.src.utils.file_utils, "get_file", note),
        _instead(keras.Model, "load_weights", lambda *_, **__: None),
    ):
        return make(), asked[-1]


def cached(network: str, file: Published) -> Path:
    """Return where Keras keeps a file, after a download if need be.

    Raises:
        FileNotFoundError: it is not there, and cannot be downloaded.
        ValueError: it is there, but is not what Keras publishes.
    """
    path = Path(keras.src.utils.file_utils.config.keras_home()) / "models" / file.name
    if not path.is_file():
        return _download(network, file, path)
    if file.digest is not None and not file.fits(path):
        raise ValueError(
            f"The weight file {path} is incomplete, or is not the one that Keras publishes for"
            f" {network}: its {file.algorithm.upper()} is not {file.digest[:16]}.... Delete it,"
            " so that it is downloaded anew, or give model.weights=PATH of a good copy."
        )
    return path


def _download(network: str, file: Published, path: Path) -> Path:
    """Let Keras download a file to its cache and check it.

    Raises:
        FileNotFoundError: that failed.
    """
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with redirect_stdout(_Progress()):
            got = keras.utils.get_file(
                file.name, file.origin, cache_subdir="models", file_hash=file.digest
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
    return Path(got)


class _Progress(TextIOBase):
    """Where Keras writes while it downloads: its bar goes to a terminal, its announcements away."""

    def write(self, text: str) -> int:
        """Show a part of the bar."""
        shown = sys.stderr
        if shown and shown.isatty() and not text.startswith(("Downloading", "A local file")):
            shown.write(text)
            shown.flush()
        return len(text)


@contextmanager
def _instead(owner: object, name: str, value: object) -> Iterator[None]:
    """Put another value in an attribute's place for a while."""
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)
