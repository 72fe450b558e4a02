"""The pass over the photographs: what it finds, and that nothing can make it find another thing."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.activations.index import (
    ActivationIndex,
    find,
    listing,
    request,
    strongest,
)
from convscope.activations.indexing import begin, shape, survey
from convscope.activations.recorder import summarizer
from convscope.data import dataset, photograph
from convscope.models import network
from convscope.models.backend import keras
from convscope.models.network import Network, build, tap
from convscope.models.position import receptive_field
from convscope.models.zoo.checkpoints import Provenance

L = keras.layers
SIZE = 13


def tiny(seed: int = 0) -> Network:
    """A network of two convolutions and a classifier in whole numbers, so that it is exact."""
    image = keras.Input((None, None, 3))
    first = L.Conv2D(3, (3, 2), activation="relu", padding="same", name="first")
    second = L.Conv2D(5, (2, 3), padding="valid", name="second")
    head = L.Dense(4, activation="softmax", name="head")
    pooled = L.GlobalMaxPooling2D()(L.ReLU()(second(first(image))))
    model = keras.Model(image, head(pooled))
    random = np.random.default_rng(seed)
    for layer in (first, second, head):
        layer.set_weights([random.integers(-3, 4, w.shape) for w in layer.get_weights()])
    return Network("tiny", model, lambda x: keras.ops.round(x * 255), Provenance("", f"{seed}"))


@pytest.fixture(scope="module")
def small() -> Network:
    return tiny()


def write(folder: Path, count: int) -> list[Path]:
    """Photographs of noise, of many sizes."""
    folder.mkdir(exist_ok=True, parents=True)
    random = np.random.default_rng(1)
    paths = []
    for number in range(count):
        height, width = 9 + number % 7, 8 + number % 11
        paths.append(folder / f"{number:04d}.png")
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(paths[-1])
    return paths


def start(home, network, paths, layer="second", size=SIZE, fit="crop") -> ActivationIndex:
    files = listing(paths, paths[0].parent)
    sha256 = network.weights.sha256
    how = request(
        model=network.name,
        weights=sha256,
        preprocess="none",
        layer=layer,
        size=size,
        fit=fit,
        files=files,
    )
    return begin(home, how, files, network)


def complete(home, network, paths, batch=5, **how) -> ActivationIndex:
    index = start(home, network, paths, **how)
    list(survey(index, network, paths, batch))
    assert index.missing() == []
    return index


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def alone(network: Network, layer: str, path: Path, size: int, fit: str = "crop") -> np.ndarray:
    """The map of one photograph `(rows, columns, filters)`, without batch or index."""
    pixels, _ = dataset.shown(photograph.load(path), size, fit)
    found = tap(network, [layer], pre=True)(pixels[None])[layer].numpy()[0]
    return found if found.ndim == 3 else found[None, None]


def test_fields_of_fractions_of_a_pixel_are_kept(tmp_path):
    image = keras.Input((None, None, 3))
    value = keras.layers.Conv2D(3, 3, strides=2)(image)
    value = keras.layers.UpSampling2D(3)(value)
    model = keras.Model(image, keras.layers.Conv2D(4, 3, name="last")(value))
    network = build("thirds", model, "none", Provenance("", "0" * 64))
    index = complete(tmp_path / "home", network, write(tmp_path / "p", 3), layer="last")
    assert index.manifest.field.rows.stride == Fraction(2, 3)
    again = start(tmp_path / "home", network, sorted((tmp_path / "p").iterdir()), layer="last")
    assert again.manifest == index.manifest and again.missing() == []


# What every filter does


@pytest.mark.parametrize("layer", ["first", "second", "head"])
def test_a_summary_equals_a_plain_loop_exactly(small, layer):
    pixels = np.random.default_rng(2).integers(0, 256, (4, 11, 14, 3)) / np.float32(255)
    pixels[3] = 1  # equal everywhere, so that many positions are equally high
    pixels = pixels.astype(np.float32)
    maps = tap(small, [layer], pre=True)(pixels)[layer].numpy()
    maps = maps if maps.ndim == 4 else maps[:, None, None]
    found = summarizer(small, layer)(pixels)
    filters = maps.shape[-1]
    histogram = np.zeros((filters, 512), int)
    for filter in range(filters):
        for image in range(4):
            plane = maps[image, :, :, filter]
            row, column = np.unravel_index(np.argmax(plane), plane.shape)
            assert found.values[image, filter] == plane.max()
            assert (found.rows[image, filter], found.columns[image, filter]) == (row, column)
            np.testing.assert_allclose(
                found.means[image, filter], plane.astype(float).mean(), rtol=1e-6, atol=1e-4
            )
        half = np.clip(maps[..., filter], -65504, 65504).astype(np.float16).view(np.uint16)
        bins = np.where(maps[..., filter] > 0, half >> 7, (half >> 7) | 256)
        histogram[filter] = np.bincount(bins.ravel(), minlength=512)
    np.testing.assert_array_equal(found.histogram, histogram)
    assert found.values.dtype == found.means.dtype == np.float32


def test_a_summary_of_the_real_network_equals_a_plain_loop(vgg16):
    pixels = np.random.default_rng(0).random((3, 29, 45, 3), np.float32)
    maps = tap(vgg16, ["block2_conv2"], pre=True)
    found = summarizer(vgg16, "block2_conv2")(pixels)
    for image in range(3):
        plane = maps(pixels[image : image + 1])["block2_conv2"].numpy()[0].reshape(-1, 128)
        np.testing.assert_allclose(found.values[image], plane.max(0), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(found.means[image], plane.mean(0), rtol=1e-4, atol=1e-5)
        place = found.rows[image] * 22 + found.columns[image]
        assert (place == plane.argmax(0)).all()
        fired = (plane > 0).sum(0)
        assert found.histogram[:, :256].sum() == pytest.approx(3 * fired.sum(), rel=0.05)
    assert (found.histogram.sum(1) == 3 * 14 * 22).all()


def test_the_same_photographs_give_the_same_bits_in_any_summarizer(vgg16):
    random = np.random.default_rng(0)
    pixels, fewer = (random.random((count, 32, 32, 3), np.float32) for count in (4, 3))
    one, other = (summarizer(vgg16, "block2_conv1") for _ in range(2))
    first = one(pixels)
    other(fewer)  # a batch of another length before it
    for name in vars(first):
        for again in (one(pixels), other(pixels)):
            np.testing.assert_array_equal(getattr(again, name), getattr(first, name))


def test_zero_counts_as_not_above_zero_and_values_beyond_float16_in_the_last_bins():
    image = keras.Input((None, None, 3))
    layer = L.Conv2D(1, 1, use_bias=False, name="only")
    model = keras.Model(image, layer(image))
    layer.set_weights([np.float32([[[[1], [0], [0]]]])])
    plain = Network("plain", model, lambda x: x, Provenance("", ""))
    pixels = np.zeros((1, 1, 8, 3), np.float32)
    pixels[0, 0, :, 0] = [0.0, -0.0, 1e-9, -1e-9, 1e6, -1e6, 1.0, 65519.0]
    histogram = summarizer(plain, "only")(pixels).histogram[0]
    bins = {0: 1, 256: 3, 247: 2, 503: 1, 0x3C00 >> 7: 1}
    assert {int(bin): int(histogram[bin]) for bin in np.flatnonzero(histogram)} == bins


def test_a_network_that_returns_no_numbers_is_refused(tmp_path):
    broken = tiny()
    kernel, bias = broken.model.get_layer("second").get_weights()
    kernel[0, 0, 0, 3] = np.inf
    broken.model.get_layer("second").set_weights([kernel, bias])
    paths = write(tmp_path / "p", 3)
    index = start(tmp_path / "home", broken, paths)
    with pytest.raises(ValueError, match=r"1 filters of second of tiny, the first of them 3, have"):
        list(survey(index, broken, paths, 2))
    assert index.missing() == [0]


# The pass


@pytest.mark.parametrize("fit", ["crop", "squash", "pad", "center"])
@pytest.mark.parametrize("layer", ["second", "head"])
def test_an_index_holds_what_a_plain_loop_over_photographs_finds(tmp_path, small, layer, fit):
    paths = write(tmp_path / "p", 35)
    index = complete(tmp_path / "home", small, paths, layer=layer, fit=fit)
    maps = np.stack([alone(small, layer, path, SIZE, fit) for path in paths])
    assert (index.manifest.rows, index.manifest.columns) == maps.shape[1:3]
    flat = maps.reshape(35, -1, maps.shape[-1])
    for filter in range(maps.shape[-1]):
        peaks = flat[..., filter].max(1)
        np.testing.assert_array_equal(index.column(filter), peaks.astype(np.float16))
        np.testing.assert_allclose(
            index.column(filter, "mean"), flat[..., filter].mean(1), rtol=2e-3, atol=0.5
        )
        place = np.unravel_index(flat[..., filter].argmax(1), maps.shape[1:3])
        np.testing.assert_array_equal(index.column(filter, "row"), place[0])
        np.testing.assert_array_equal(index.column(filter, "column"), place[1])
        order = np.argsort(-peaks.astype(np.float16), kind="stable")
        np.testing.assert_array_equal(strongest(index.column(filter), 20), order[:20])
    np.testing.assert_array_equal(index.firing_rate(), (flat > 0).mean((0, 1)))
    assert index.names() == [path.name for path in paths]
    assert [bytes(digest) for digest in index.digests()] == [
        hashlib.sha256(path.read_bytes()).digest() for path in paths
    ]


def test_the_manifest_names_the_map_and_its_receptive_field(tmp_path, small):
    paths = write(tmp_path / "p", 2)
    said = start(tmp_path / "home", small, paths).manifest
    assert (
        (said.rows, said.columns, said.filters)
        == (12, 11, 5)
        == shape(small, "second", (SIZE, SIZE))
    )
    assert said.field == receptive_field(small, "second")
    head = start(tmp_path / "home", small, paths, layer="head").manifest
    assert (head.rows, head.columns, head.filters, head.field) == (1, 1, 4, None)


def test_the_size_of_a_batch_and_broken_neighbours_change_no_value(tmp_path, small):
    paths = write(tmp_path / "p", 35)
    for bad in (0, 7, 8, 9, 33):
        paths[bad].write_bytes(b"no photograph")
    one, *others = (
        complete(tmp_path / f"home{batch}", small, paths, batch) for batch in (1, 3, 16, 99)
    )
    for other in others:
        ours, theirs = tree(one.folder), tree(other.folder)
        assert {n for n in ours if ours[n] != theirs[n]} <= {
            f"shards/{shard:06d}/{file}"
            for shard in range(3)
            for file in ("mean.npy", "shard.json")
        }
    assert list(one.skipped()) == [0, 7, 8, 9, 33]
    assert one.skipped()[7] == "not a JPEG, PNG, WebP, BMP, GIF or TIFF, or a broken one"


def test_a_pass_counts_photographs_and_those_set_aside(tmp_path, small):
    paths = write(tmp_path / "p", 21)
    paths[3].write_bytes(b"")
    index = start(tmp_path / "home", small, paths)
    assert list(survey(index, small, paths, 9)) == [(9, 1), (16, 1), (21, 1)]
    assert list(survey(index, small, paths, 9)) == []


def test_a_batch_and_a_shard_of_nothing_but_broken_files_are_set_aside(tmp_path, small):
    paths = write(tmp_path / "p", 34)
    for path in paths[16:32]:
        path.write_bytes(b"")
    index = complete(tmp_path / "home", small, paths)
    assert list(index.skipped()) == list(range(16, 32))
    assert np.isnan(index.column(0)).sum() == 16
    assert (index.histogram([2]).sum(), len(strongest(index.column(2), 99))) == (18 * 12 * 11, 18)


def test_parts_of_a_pass_together_make_the_same_index(tmp_path, small):
    paths = write(tmp_path / "p", 16 * 5 + 3)
    whole = complete(tmp_path / "whole", small, paths)
    index = start(tmp_path / "parts", small, paths)
    for part, left in ((1, [0, 2, 3, 5]), (2, [0, 3]), (0, [])):
        *_, last = survey(index, small, paths, 5, (part, 3))
        assert index.missing() == left
        assert last == ({0: 16 + 16, 1: 16 + 16, 2: 16 + 3}[part], 0)
    assert tree(index.folder) == tree(whole.folder)


@pytest.mark.parametrize(
    "batches", [5, *(pytest.param(batches, marks=pytest.mark.exhaustive) for batches in (1, 4, 9))]
)
def test_a_pass_that_stops_anywhere_goes_on_to_the_same_bits(tmp_path, vgg16, batches):
    paths = dataset.samples()[:9] * 5
    how = {"layer": "block1_conv2", "size": 24}
    whole = complete(tmp_path / "whole", vgg16, paths, **how)
    index = start(tmp_path / "stopped", vgg16, paths, **how)
    pass_ = survey(index, vgg16, paths, 5)
    for _ in range(batches):
        next(pass_)
    pass_.close()
    before = {path: path.stat().st_mtime_ns for path in index.folder.rglob("*.npy")}
    assert index.missing() == list(range(batches // 4, 3))
    list(survey(index, vgg16, paths, 5))
    assert tree(index.folder) == tree(whole.folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_another_job_finishes_meanwhile_is_left_out(tmp_path, small):
    paths = write(tmp_path / "p", 16 * 12)
    index = start(tmp_path / "home", small, paths)
    pass_ = survey(index, small, paths, 16)
    next(pass_)
    list(survey(find(tmp_path / "home", index.manifest.request), small, paths, 16))
    # What is being decoded already is finished, and left in favour of the other's.
    assert 0 < len(list(pass_)) < 11
    assert index.missing() == []


def test_a_damaged_shard_is_built_anew(tmp_path, small):
    paths = write(tmp_path / "p", 40)
    index = complete(tmp_path / "home", small, paths)
    before = tree(index.folder)
    path = index.path(1) / "peak.npy"
    path.write_bytes(path.read_bytes()[:-2] + b"\0\1")
    (index.path(2) / "histogram.npy").unlink()
    assert [bool(problem) for _, problem in index.repair()] == [False, True, True]
    *_, last = survey(index, small, paths, 5)
    assert last == (24, 0)
    assert tree(index.folder) == before


def test_other_weights_layers_sizes_fits_and_files_have_indices_of_their_own(tmp_path, small):
    paths = write(tmp_path / "p", 3)
    home = tmp_path / "home"
    folders = {
        start(home, small, paths).folder,
        start(home, tiny(1), paths).folder,
        start(home, small, paths, layer="first").folder,
        start(home, small, paths, size=14).folder,
        start(home, small, paths, fit="pad").folder,
        start(home, small, paths[:2]).folder,
    }
    paths[1].write_bytes(paths[2].read_bytes() + b"\0")
    folders.add(start(home, small, paths).folder)
    assert len(folders) == 7


def test_a_network_that_the_request_does_not_name_is_refused(tmp_path, small):
    paths = write(tmp_path / "p", 3)
    how = start(tmp_path / "home", small, paths).manifest.request
    with pytest.raises(ValueError, match="tiny with weights 0 in float32, the network given is"):
        begin(tmp_path, how, b"", tiny(1))
    with pytest.raises(ValueError, match=r"given is tiny with weights 0 in bfloat16"):
        begin(tmp_path, how, b"", network.cast(small, "bfloat16"))
    with pytest.raises(ValueError, match="The index is of vgg16"):
        begin(tmp_path, replace(how, model="vgg16"), b"", small)


JOB = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
from test_indexing import start
from convscope.activations.indexing import survey
from convscope.models.zoo.packaged import load
network = load("vgg16")
paths = sorted(Path(sys.argv[2]).iterdir())
index = start(Path(sys.argv[3]), network, paths, layer="block1_conv2", size=48)
for done, _ in survey(index, network, paths, 4):
    print(done, flush=True)
"""


@pytest.mark.exhaustive
def test_a_pass_of_the_real_network_that_is_killed_goes_on_to_the_same_bits(tmp_path, vgg16):
    paths = write(tmp_path / "p", 16 * 12)
    whole = complete(tmp_path / "whole", vgg16, paths, 4, layer="block1_conv2", size=48)
    command = [sys.executable, "-c", JOB, str(Path(__file__).parent), str(tmp_path / "p")]
    index, seen = None, {}
    for lines in (7, 19, None):  # batches of the four in each shard
        process = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.PIPE)
        for _ in range(lines or 0):
            process.stdout.readline()
        if lines:
            process.kill()
        process.communicate()
        assert process.returncode == (-9 if lines else 0)
        index = find(tmp_path / "killed", whole.manifest.request)
        assert bool(index.missing()) == bool(lines)
        now = {path: path.stat().st_mtime_ns for path in index.folder.rglob("*.npy")}
        assert now | seen == now and len(now) > len(seen)
        seen = {path: time for path, time in now.items() if "/." not in str(path)}
    assert tree(index.folder) == tree(whole.folder)
