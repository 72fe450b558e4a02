"""The weights that Keras publishes for its networks: which file, and where it is kept."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path

from convscope.models.backend import keras
from convscope.models.zoo.weight_file import checksum, reason

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
