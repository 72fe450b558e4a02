"""Pickles of arrays, read so that nothing in them can run: a pickle is a program."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

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
