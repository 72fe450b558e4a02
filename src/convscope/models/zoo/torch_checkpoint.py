"""Checkpoints as torch wrote them before version 1.6, read without torch."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

# How such a file begins: two pickled numbers, then a pickled note on the machine that wrote it.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
# Bytes of the count before each storage.
COUNT = 8
# A tensor of more axes, or a number beyond this one, is no tensor of a network.
MOST_AXES = 8
LARGEST = 2**48


class _Table(dict[Any, Any]):
    """What stands for an ordered dictionary; torch's notes on its modules are passed over."""

    def __setstate__(self, state: object) -> None:
        """Drop the notes."""


class _Tensor(NamedTuple):
    """What stands for a tensor until the storages are read: where it lies in one of them."""

    storage: Any
    offset: Any
    size: Any
    stride: Any
    gradient: Any = None
    hooks: Any = None

    def __setstate__(self, state: object) -> None:
        """Refuse to become another; being there, it also keeps a file from changing the class."""
        raise ValueError("it changes a tensor after making it")


class _Storage(NamedTuple):
    """A run of numbers in the file: which, of which type and how many."""

    key: str
    form: str
    length: int


ADMITTED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Table,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}
"""The names that a state dict of floats and counters needs. Any other is refused."""


def load(content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by name, as read-only views of `content`.

    Raises:
        ValueError: it is a file of another format, asks for any other name, or is damaged.
    """
    _check_format(content)
    file = io.BytesIO(content)
    if unpickled(file, {}) != MAGIC or unpickled(file, {}) != PROTOCOL:
        raise damage("it does not begin like a torch file")
    machine = unpickled(file, {})
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise damage("it was written by a machine with another order of bytes")
    named: dict[str, _Storage] = {}

    def storage(identity: Any) -> _Storage:
        found = _storage(identity)
        if named.setdefault(found.key, found) != found:
            raise ValueError(f"it describes storage {found.key} twice, in different words")
        return found

    state = unpickled(file, ADMITTED, storage)
    keys = unpickled(file, {})
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in state.items()
    ):
        raise damage("it holds more than named tensors")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise damage("its list of storages is none")
    if sorted(keys) != sorted(named):
        raise damage("its list of storages is not that of its tensors")
    numbers = _numbers(content, file.tell(), (named[key] for key in keys))
    return {name: _array(name, tensor, numbers) for name, tensor in state.items()}


def _check_format(content: bytes) -> None:
    """Raise ValueError for a file of one of the formats that came after this one."""
    if content.startswith(b"PK\x03\x04"):
        raise ValueError(
            "The weight file is a torch file of version 1.6 or later, a zip archive; the one before"
            " that is read here. Save it by torch.save with _use_new_zipfile_serialization=False."
        )
    if content[COUNT : COUNT + 1] == b"{" and int.from_bytes(content[:COUNT], "little") < len(
        content
    ):
        raise ValueError(
            "The weight file is a safetensors file; a torch file from before version 1.6 is read"
            " here. Give one of those."
        )


def _storage(identity: Any) -> _Storage:
    """Return the storage that a persistent id names: (kind, type, key, device, count, view)."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6):
        raise ValueError("it names a storage in a way that is not torch's")
    kind, form, key, _, count, *view = identity
    if kind != "storage" or form not in ("<f4", "<i8") or not isinstance(key, str):
        raise ValueError("it names a storage in a way that is not torch's")
    if not _whole([count]) or view not in ([], [None]):
        raise ValueError(f"its storage {key} has no plain length")
    return _Storage(key, form, count)


def _numbers(content: bytes, start: int, storages: Iterable[_Storage]) -> dict[str, np.ndarray]:
    """Return the numbers of each storage, which follow each other in `content` from `start`."""
    numbers: dict[str, np.ndarray] = {}
    for key, form, count in storages:
        # An absurd count ends here: nothing is allocated for it.
        stop = start + COUNT + count * np.dtype(form).itemsize
        if stop > len(content):
            raise damage(f"it ends before the end of storage {key}")
        if int.from_bytes(content[start : start + COUNT], "little") != count:
            raise damage(f"its storage {key} has another length than its tensors say")
        numbers[key] = np.ndarray(count, form, content, start + COUNT)
        start = stop
    if start < len(content):
        raise damage(f"{len(content) - start:,} bytes follow its last storage")
    return numbers


def _array(name: str, tensor: _Tensor, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a tensor as a view of its storage, after checking that it lies inside."""
    storage, offset, size, stride = tensor[:4]
    if (
        not isinstance(storage, _Storage)
        or not isinstance(size, tuple)
        or not isinstance(stride, tuple)
        or not len(size) == len(stride) <= MOST_AXES
        or not _whole([offset, *size, *stride])
    ):
        raise damage(f"its tensor {name} is not described by whole numbers")
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    # More numbers than the storage has would be some of them repeated.
    if not 0 < math.prod(size) <= storage.length or last >= storage.length:
        raise damage(f"its tensor {name} is empty or reaches beyond its storage")
    values = numbers[storage.key]
    width = values.itemsize
    steps = [step * width for step in stride]
    return np.ndarray(size, values.dtype, values.data, offset * width, steps)


def _whole(numbers: Iterable[object]) -> bool:
    """Return whether all are whole numbers from 0 to the largest that makes sense."""
    return all(type(number) is int and 0 <= number <= LARGEST for number in numbers)


# What a damaged file says of itself is quoted up to this many letters.
LONGEST_REASON = 200


def unpickled(
    file: BinaryIO,
    admitted: Mapping[tuple[str, str], Any],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the object of the pickle that starts where `file` stands, and leave it behind that.

    Args:
        file: an open file of bytes.
        admitted: {(module, name): what stands for it}; any other name is refused before anything
            of it runs.
        persistent: makes an object of each persistent id; None refuses them.

    Raises:
        ValueError: the pickle asks for any other name, or is damaged.
    """
    start = file.tell()
    try:
        _survey(file)
        file.seek(start)
        return _Unpickler(file, admitted, persistent).load()
    # A damaged pickle may raise anything: pickle's own documentation leaves it open.
    except Exception as error:
        raise damage(str(error).rstrip(".") or type(error).__name__) from error


def damage(what: str) -> ValueError:
    """Return the error of a file that is not what it should be; one line, whatever it quotes."""
    line = "".join(letter if letter.isprintable() else "?" for letter in what[:LONGEST_REASON])
    return ValueError(f"The weight file cannot be read: {line}.")


class _Unpickler(pickle.Unpickler):
    """Read pickled containers and refuse every name that is not admitted."""

    def __init__(
        self,
        file: BinaryIO,
        admitted: Mapping[tuple[str, str], Any],
        persistent: Callable[[Any], Any] | None,
    ):
        super().__init__(file)
        self.admitted, self.persistent = admitted, persistent

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.admitted:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no checkpoint of arrays needs; nothing of it "
                "was run"
            )
        return self.admitted[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if self.persistent is None:
            raise pickle.UnpicklingError("it asks for something outside itself")
        return self.persistent(pid)


def _survey(file: BinaryIO) -> None:
    """Read a pickle's instructions without following them.

    The reader takes the lengths and places that they name on trust, and allocates memory for them.
    """
    for instruction, argument, place in pickletools.genops(file):
        if instruction.name.endswith("PUT") and int(argument or 0) > (place or 0):
            raise pickle.UnpicklingError(f"it keeps more objects than it has: number {argument}")
