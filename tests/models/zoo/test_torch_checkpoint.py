"""Torch's old file format: what one holds is read, and a hostile or damaged one is refused."""

import io
import os
import pickle
import sys
from collections import OrderedDict

import numpy as np
import pytest

from convscope.models.zoo import torch_checkpoint
from convscope.models.zoo.checkpoints import PACKAGED, locate
from convscope.models.zoo.torch_checkpoint import _Table, _Tensor, load

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"long": 4}}
FLOATS = np.arange(30, dtype="<f4")
COUNTS = np.array([7, 2**40], "<i8")


class Name:
    """Pickles as the bare name of something in a module."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """Pickles as the call of a name or function, and what is set on the result afterwards."""

    def __init__(self, function, *arguments, state=None):
        self.call = function, arguments, *([] if state is None else [state])

    def __reduce__(self):
        return self.call


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
    found = load(written())
    assert list(found) == ["first.weight", "first.bias", "count"]
    rows, columns, depth = np.indices((2, 3, 4))
    np.testing.assert_array_equal(found["first.weight"], 2 + rows + 8 * columns + 2 * depth)
    np.testing.assert_array_equal(found["first.bias"], [27, 28, 29])
    assert found["count"] == 2**40 and found["count"].shape == ()
    assert [values.dtype.str for values in found.values()] == ["<f4", "<f4", "<i8"]
    assert not any(values.flags.writeable or values.flags.owndata for values in found.values())


def test_torchs_notes_on_its_modules_are_passed_over():
    state = Call(TABLE, [["w", one()["w"]]], state={"_metadata": {"": {"version": 1}}})
    found = load(written(state, ("a",), (FLOATS,)))
    np.testing.assert_array_equal(found["w"], FLOATS)
    assert not hasattr(_Table, "_metadata")


def test_the_packaged_file_has_the_tensors_of_every_layer():
    content = locate(PACKAGED["efficientnet_lite0"]).read_bytes()
    found = load(content)
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
    pickle.loads(pickle.dumps(attack))
    assert mark.exists(), "the attack must work on an unguarded reader"
    mark.unlink()
    parts = [MAGIC, 1001, MACHINE, sample(), ["a", "b"]]
    parts[place] = {"w": attack} if place in (2, 3) else attack
    with pytest.raises(ValueError) as caught:
        load(b"".join(map(dumped, parts)))
    assert str(caught.value) == (
        f"The weight file cannot be read: it asks for {os.name}.system, which no checkpoint of "
        "arrays needs; nothing of it was run."
    )
    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "HalfStorage"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch.nn.modules.conv", "Conv2d"),
        ("collections", "Counter"),
        ("builtins", "getattr"),
        ("numpy", "ndarray"),
    ],
)
def test_four_names_are_admitted_and_only_where_the_tensors_are(module, name):
    assert len(torch_checkpoint.ADMITTED) == 4
    with pytest.raises(ValueError, match=rf": it asks for {module}.{name}, which no checkpoint"):
        load(written({"w": Call(Name(module, name), 1)}))
    with pytest.raises(ValueError, match=r": it asks for collections.OrderedDict, which no"):
        load(written(head=[MAGIC, 1001, Call(TABLE)]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04" + bytes(60), r"^The weight file is a torch file of version 1\.6 or later, "),
        (b"\x10" + bytes(7) + b'{"w":{}}' + bytes(9), "^The weight file is a safetensors file; "),
    ],
)
def test_a_file_of_a_later_format_is_named(content, words):
    with pytest.raises(ValueError, match=words):
        load(content)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"head": [MAGIC + 1, 1001, MACHINE]}, "it does not begin like a torch file"),
        ({"head": [MAGIC, 1002, MACHINE]}, "it does not begin like a torch file"),
        ({"head": [MAGIC, 1001, {"little_endian": False}]}, "by a machine with another order"),
        ({"head": [MAGIC, 1001, []]}, "by a machine with another order of bytes"),
        ({"keys": ("a",)}, "its list of storages is not that of its tensors"),
        ({"keys": ("a", "b", "b")}, "its list of storages is not that of its tensors"),
        ({"keys": ("a", ["b"])}, "its list of storages is none"),
        ({"keys": ("b", "a")}, "its storage b has another length than its tensors say"),
        ({"storages": (FLOATS,)}, "it ends before the end of storage b"),
        ({"storages": (FLOATS[:29], COUNTS)}, "its storage a has another length than its tens"),
        ({"tail": b"?"}, "1 bytes follow its last storage"),
        ({"state": [1]}, "it holds more than named tensors"),
        ({"state": {"w": 1.5}}, "it holds more than named tensors"),
        ({"state": {1: one()["w"]}}, "it holds more than named tensors"),
        ({"state": {"w": one()}}, "it holds more than named tensors"),
    ],
)
def test_a_file_of_other_parts_is_refused(options, reason):
    with pytest.raises(ValueError, match=rf"^The weight file cannot be read: .*{reason}.*\.$"):
        load(written(**options))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": (31,)}, "w is empty or reaches beyond its storage"),
        ({"offset": 1}, "w is empty or reaches beyond its storage"),
        ({"size": (6, 5), "stride": (6, 1)}, "w is empty or reaches beyond its storage"),
        ({"size": (0,)}, "w is empty or reaches beyond its storage"),
        ({"size": (2**40,), "stride": (0,)}, "w is empty or reaches beyond its storage"),
        ({"size": (2**40, 0), "stride": (0, 0)}, "w is empty or reaches beyond its storage"),
        ({"offset": -1, "size": (3,)}, "w is not described by whole numbers"),
        ({"offset": 29, "stride": (-1,)}, "w is not described by whole numbers"),
        ({"size": (-30,)}, "w is not described by whole numbers"),
        ({"size": (5, 6)}, "w is not described by whole numbers"),
        ({"size": (1,) * 9, "stride": (1,) * 9}, "w is not described by whole numbers"),
        ({"size": (1,), "stride": (2**70,)}, "w is not described by whole numbers"),
        ({"size": [30]}, "w is not described by whole numbers"),
        ({"size": (30.0,)}, "w is not described by whole numbers"),
        ({"offset": True, "size": (3,)}, "w is not described by whole numbers"),
        ({"storage": ("storage", "<f4", "a", "cpu", 30)}, "w is not described by whole numbers"),
    ],
)
def test_a_tensor_that_is_not_inside_its_storage_is_refused(options, reason):
    state = one(**options)
    if "storage" in options:
        state["v"] = one()["w"]
    with pytest.raises(ValueError, match=rf"^The weight file cannot be read: its tensor {reason}"):
        load(written(state, ("a",), (FLOATS,)))


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        (Storage("a", count=2**60), "its storage a has no plain length"),
        (Storage("a", count=2**45), "it ends before the end of storage a"),
        (Storage("a", count=-1), "its storage a has no plain length"),
        (Storage("a", count="30"), "its storage a has no plain length"),
        (Storage("a", view=(("v", 0, 30),)), "its storage a has no plain length"),
        (Storage("a", kind="module"), "it names a storage in a way that is not torch's"),
        (Storage(5), "it names a storage in a way that is not torch's"),
        (Storage("a", view=()), None),
    ],
)
def test_a_storage_of_absurd_size_or_of_another_kind_is_refused(storage, reason):
    content = written(one(storage), ("a",), (FLOATS,))
    if reason is None:
        np.testing.assert_array_equal(load(content)["w"], FLOATS)
        return
    with pytest.raises(ValueError, match=rf"^The weight file cannot be read: {reason}\.$"):
        load(content)


def test_a_storage_that_is_described_in_two_ways_is_refused():
    state = one() | {"v": tensor(Storage("a", count=29), 0, (1,), (1,))}
    with pytest.raises(ValueError, match="it describes storage a twice, in different words"):
        load(written(state, ("a",), (FLOATS,)))


@pytest.mark.parametrize(
    "state",
    [
        tensor(Storage("a"), 0, (30,), (1,), state={"parts": ()}),
        Call(REBUILD, state=(None, {"load": 1})),
        Call(REBUILD, Storage("a")),
        Call(Name("torch", "FloatStorage"), 30),
    ],
)
def test_what_is_no_call_that_torch_writes_is_refused(state):
    with pytest.raises(ValueError, match=r"^The weight file cannot be read: [^\n]*\.$"):
        load(written({"w": state}, ("a",), (FLOATS,)))


@pytest.mark.parametrize("name", ["OrderedDict", "_rebuild_tensor_v2"])
def test_a_file_cannot_change_what_stands_for_its_names(name):
    module = "collections" if name == "OrderedDict" else "torch._utils"
    state = dumped((None, {"stride": 1, "mark": 2}))[:-1]
    content = b"\x80\x02" + f"c{module}\n{name}\n".encode() + state[2:] + pickle.BUILD + pickle.STOP
    with pytest.raises(ValueError, match=r"missing 1 required positional argument: 'state'"):
        load(b"".join(map(dumped, (MAGIC, 1001, MACHINE))) + content)
    assert not hasattr(_Table, "mark") and not hasattr(_Tensor, "mark")


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (b"\x80\x02}r\xff\xff\xff\x7f.", "it keeps more objects than it has: number 2147483647"),
        (
            b"\x80\x04\x8e" + b"\xff" * 7 + b"\x3f.",
            "expected 4611686018427387903 bytes in a bytes8",
        ),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "not enough data in stream to read long4"),
    ],
)
def test_a_pickle_cannot_make_the_reader_allocate_what_it_does_not_hold(attack, reason):
    with pytest.raises(ValueError, match=rf"^The weight file cannot be read: {reason}[^\n]*\.$"):
        load(b"".join(map(dumped, (MAGIC, 1001, MACHINE))) + attack)


def test_a_file_that_ends_early_is_refused_wherever_it_ends():
    content = written()
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"^The weight file cannot be read: [^\n]*\.$"):
            load(content[:length])


def test_a_changed_byte_is_read_or_refused_in_one_line():
    content = written()
    sizes = {values.nbytes for values in load(content).values()}
    for place in range(len(content)):
        for value in (0, 0x28, 0x2E, 0x62, 0x81, 0xFF):
            changed = bytearray(content)
            changed[place] = value
            try:
                found = load(bytes(changed))
            except ValueError as error:
                assert str(error).startswith("The weight file ") and "\n" not in str(error)
                assert len(str(error)) < 300
            else:
                assert {values.nbytes for values in found.values()} <= sizes | {4, 8, 12, 16}


def test_the_names_in_a_file_cannot_break_the_line_that_refuses_it():
    state = {"w\n\x1b[31m": tensor(Storage("a"), 0, (31,), (1,))}
    with pytest.raises(ValueError, match=r"its tensor w\?\?\[31m is empty"):
        load(written(state, ("a",), (FLOATS,)))


def test_nothing_of_torch_is_loaded():
    load(locate(PACKAGED["efficientnet_lite0"]).read_bytes())
    assert "torch" not in sys.modules
