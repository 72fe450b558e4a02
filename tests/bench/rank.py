"""What an activation index costs: the pass over the photographs, its memory, and a question.

    uv run python tests/bench/rank.py [throughput] [memory] [size] [--rounds 8] [--photographs 48]

throughput: the pass over real photographs, decoding and shards included, against the bare compiled
forward pass on the same batches in memory, in turn in one process; and the decoder alone on one
core. What all of ImageNet takes is reckoned from it. The share of the processor's time says the
same where other work on the machine disturbs the clock.
memory: the largest resident memory of a process that indexes 1,000 photographs, and 10,000.
size: made-up indices of 512 filters and up to 1,281,167 photographs (4.4 GB in the folder for
temporary files, removed at the end), asked by new processes for the top 100 of a filter.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.activations.index import (
    ActivationIndex,
    Manifest,
    Request,
    create,
    listing,
    request,
    strongest,
)
from convscope.activations.shard import Draft
from convscope.activations.statistics import Peaks
from convscope.data import dataset

PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "shared" / "images"
LAYER, SIZE, BATCH = "block4_conv3", 224, 16
IMAGENET = 1_281_167  # photographs of its training set
COUNTS = (1_000, 50_000, IMAGENET)
FILTERS, TOP = 512, 100


def main() -> None:
    """Run what is asked for, everything by default."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", nargs="*", default=["throughput", "memory", "size"])
    arguments.add_argument("--rounds", type=int, default=8)
    arguments.add_argument("--photographs", type=int, default=48)
    given = arguments.parse_args()
    if given.what[0] == "pass":  # a process of `memory`
        index_small(Path(given.what[1]))
    elif given.what[0] == "ask":  # a process of `size`
        ask(Path(given.what[1]), given.rounds)
    else:
        parts: dict[str, Callable[[], None]] = {
            "throughput": lambda: throughput(given.rounds, given.photographs),
            "memory": memory,
            "size": lambda: size(given.rounds),
        }
        for name in given.what:
            parts[name]()


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="convscope-") as folder:
        yield Path(folder)


def demand(network: object, paths: Sequence[Path], layer: str, size: int) -> tuple[Request, bytes]:
    """Return the request for some photographs, and their listing."""
    files = listing(paths, paths[0].parent)
    weights = network.weights.sha256  # type: ignore[attr-defined]
    how = request(
        model="vgg16", weights=weights, preprocess="none", layer=layer, size=size, fit="crop",
        files=files,
    )  # fmt: skip
    return how, files


# Throughput


def throughput(rounds: int, count: int) -> None:
    """Print images per second of the pass and of the bare forward, in turn."""
    from convscope.activations.indexing import begin, survey
    from convscope.models.backend import tf
    from convscope.models.network import look, preactivation
    from convscope.models.zoo.packaged import load

    network = load("vgg16")
    model = look(network, {LAYER: preactivation(network.model.get_layer(LAYER))})
    forward = tf.function(
        lambda pixels: model(pixels)[LAYER],
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)],
    )
    found = dataset.folder(PHOTOGRAPHS) if PHOTOGRAPHS.is_dir() else dataset.samples()
    endless = cycle(found)
    with scratch() as folder:

        def passed(paths: Sequence[Path]) -> tuple[float, float]:
            how, files = demand(network, paths, LAYER, SIZE)
            index = begin(folder / f"index{time.time_ns()}", how, files, network)
            start = clocks()
            *_, (_, skipped) = survey(index, network, paths, BATCH)
            took = since(start)
            if skipped or index.missing():
                sys.exit("photographs were set aside, or shards are missing")
            return took

        def bare(batches: Sequence[np.ndarray]) -> tuple[float, float]:
            start = clocks()
            for pixels in batches:
                forward(tf.constant(pixels)).numpy()
            return since(start)

        passed([copy_of(path, folder, 0) for path in islice(endless, BATCH)])  # traces the graph
        print(f"{len(found)} photographs, {SIZE} px, {LAYER}, {count} in each round, images/s")
        print(" ".join(f"{word:>8}" for word in ("pass", "bare", "share", "of CPU")))
        rates = []
        for number in range(rounds):
            paths = [
                copy_of(path, folder, number * count + at + BATCH)
                for at, path in enumerate(islice(endless, count))
            ]
            pixels = [batch.pixels for batch in dataset.batches(paths, SIZE, BATCH)]
            bare(pixels[:1])
            if number % 2:
                slow = passed(paths)
                fast = bare(pixels)
            else:
                fast = bare(pixels)
                slow = passed(paths)
            shares = [lesser / greater for lesser, greater in zip(fast, slow, strict=True)]
            rates.append((count / slow[0], count / fast[0], *shares))
            print("{:8.2f} {:8.2f} {:8.3f} {:8.3f}".format(*rates[-1]), flush=True)
        middle = [statistics.median(column) for column in zip(*rates, strict=True)]
        print("{:8.2f} {:8.2f} {:8.3f} {:8.3f}  median".format(*middle))
    arithmetic(middle[0], decoder(found))


def clocks() -> tuple[float, float]:
    """Return the time, and the processor's time that went into this process."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    """Return what has passed of both."""
    now = clocks()
    return now[0] - start[0], now[1] - start[1]


def copy_of(path: Path, folder: Path, number: int) -> Path:
    """Return a link to a photograph, under a name of its own."""
    link = folder / f"{number:06d}-{path.name}"
    link.symlink_to(path)
    return link


def decoder(paths: Sequence[Path]) -> float:
    """Return how many photographs one thread decodes in a second."""
    rates = []
    for start in range(0, min(len(paths), 180), 60):
        chosen = paths[start : start + 60]
        begun = time.perf_counter()
        for _ in dataset.stream([chosen], SIZE, threads=1):
            rates.append(len(chosen) / (time.perf_counter() - begun))
    return statistics.median(rates)


def arithmetic(rate: float, decoded: float) -> None:
    """Print what all of ImageNet takes at these rates."""
    print(f"decoding: {decoded:.0f} images/s on one core")
    hours = IMAGENET / rate / 3600
    print(f"ImageNet, {IMAGENET:,} photographs: {hours:.1f} h on this machine;", end=" ")
    print(f"{hours / 8:.1f} h on 8 like it, {hours / 64:.2f} h on 64")
    for cores in (8, 16, 64):
        bound = IMAGENET / (decoded * cores) / 60
        print(f"a GPU that waits for {cores} cores to decode: {bound:.0f} min at least")


# Memory


def memory() -> None:
    """Print the largest resident memory for 1,000 and 10,000 photographs, in processes."""
    print(f"{'images':>8} {'MiB':>8} {'seconds':>8}")
    peaks = []
    with scratch() as folder:
        random = np.random.default_rng(0)
        for number in range(50):
            pixels = random.integers(0, 256, (12, 16, 3), np.uint8)
            Image.fromarray(pixels).resize((200, 150)).save(folder / f"{number}.jpg")
        for count in (1000, 10_000):
            home = folder / str(count)
            (home / "photographs").mkdir(parents=True)
            for number in range(count):
                (home / "photographs" / f"{number:05d}.jpg").hardlink_to(
                    folder / f"{number % 50}.jpg"
                )
            start = time.perf_counter()
            process = subprocess.Popen([sys.executable, __file__, "pass", str(home)])
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"a pass ended with status {os.waitstatus_to_exitcode(status)}")
            peaks.append(usage.ru_maxrss / 1024)
            seconds = time.perf_counter() - start
            print(f"{count:8,} {peaks[-1]:8.1f} {seconds:8.1f}", flush=True)
    print(f"ratio {peaks[1] / peaks[0]:.4f}")


def index_small(home: Path) -> None:
    """Index the photographs of a folder with an early layer at a small size."""
    from convscope.activations.indexing import begin, survey
    from convscope.models.zoo.packaged import load

    network = load("vgg16")
    paths = dataset.folder(home / "photographs")
    how, files = demand(network, paths, "block2_conv1", 48)
    index = begin(home, how, files, network)
    for _ in survey(index, network, paths, BATCH):
        pass
    index.where(7, strongest(index.column(7), TOP))


# Size


def size(rounds: int) -> None:
    """Print how long the top of a filter takes in indices up to ImageNet's, and its memory."""
    need, free = 4.5e9, shutil.disk_usage(tempfile.gettempdir()).free
    if free < 1.5 * need:
        sys.exit(
            f"{need / 1e9} GB are needed in {tempfile.gettempdir()}; {free / 1e9:.1f} are free"
        )
    for count in COUNTS:
        with scratch() as folder:
            start = time.perf_counter()
            index = made_up(folder, count)
            held = sum(path.stat().st_size for path in index.folder.rglob("*") if path.is_file())
            print(
                f"{index.count:,} photographs x {FILTERS} filters in {index.shards} shards,"
                f" {held / 1e9:.2f} GB, written in {time.perf_counter() - start:.0f} s",
                flush=True,
            )
            subprocess.run(
                [sys.executable, __file__, "ask", str(index.folder), "--rounds", str(rounds)],
                check=True,
            )


def made_up(folder: Path, count: int) -> ActivationIndex:
    """Write an index with random activations."""
    files = b'["n00000000_00000.JPEG",100000,0]\n' * count
    digest = hashlib.sha256(files).hexdigest()
    how = Request("vgg16", "", "none", LAYER, (SIZE, SIZE), "crop", digest, count, {})
    index = create(folder, Manifest(how, FILTERS, 28, 28, None, "none"), files)
    random = np.random.default_rng(0)
    for number in index.missing():
        draft = Draft(index.layout(number))
        units = (draft.layout.count, FILTERS)
        peaks = Peaks(
            values=random.normal(0, 30, units).astype(np.float32),
            rows=random.integers(0, 28, units, np.uint8),
            columns=random.integers(0, 28, units, np.uint8),
            means=np.zeros(units, np.float32),
            histogram=random.integers(0, 9, (FILTERS, 512)),
        )
        places = range(draft.layout.first, draft.layout.first + draft.layout.count)
        draft.add(places, peaks, [bytes(32)] * len(places), [(375, 500)] * len(places))
        draft.write(index.path(number))
    return index


def ask(folder: Path, rounds: int) -> None:
    """Print the milliseconds of questions, cold and warm, in this new process."""
    before = resident()
    index = ActivationIndex(folder, Manifest.read(folder))
    print(f"{'filter':>8} {'cold ms':>8} {'warm ms':>8}  files that stayed in memory when cold")
    for filter in range(3, 3 + 37 * rounds, 37):
        left = forget(index)
        cold = timed(index, filter)
        warm = statistics.median(timed(index, filter) for _ in range(9))
        print(f"{filter:8} {cold:8.1f} {warm:8.1f}  {left:.1%}", flush=True)
    print(f"memory: {resident():.1f} MiB at most, of which {before:.1f} before the first question")


def timed(index: ActivationIndex, filter: int) -> float:
    """Return the milliseconds of a question."""
    start = time.perf_counter()
    places = strongest(index.column(filter), TOP)
    index.where(filter, places)
    if len(places) != TOP:
        sys.exit("the answer is not complete")
    return 1000 * (time.perf_counter() - start)


def forget(index: ActivationIndex) -> float:
    """Drop the index from the system's memory; return the share of files that stay there."""
    os.sync()
    paths = list(index.folder.rglob("*.npy"))
    stay = 0
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:  # without waiting for the disk: it succeeds only for what is in memory
            stay += os.preadv(file, [bytearray(1)], path.stat().st_size // 2, os.RWF_NOWAIT)
        except BlockingIOError:
            pass
        finally:
            os.close(file)
    return stay / len(paths)


def resident() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    # Not what `resource` says, which begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024


if __name__ == "__main__":
    main()
