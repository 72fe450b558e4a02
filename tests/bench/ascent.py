"""Our ascent against Lucid's published recipe and tf-keras-vis: one process, same units, in turn.

    uv run --group bench python tests/bench/ascent.py [--units 16] [--peers 4] [--steps 512]

Prints, for each unit and on average, the mean and the largest preactivation of the saved 8-bit
image and the seconds a unit took; when our images pass those of tf-keras-vis; and how near a step
comes to the speed of a matrix product of the same precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from convscope.models.backend import keras, tf
from convscope.models.network import Network, tap
from convscope.models.zoo import packaged
from convscope.optvis.ascent import Ascent, Goal, ascend
from convscope.optvis.parameterization import fourier
from convscope.optvis.recipe import aim, recipe
from convscope.settings import AscentSettings, read
from convscope.unit import Unit

LAYER = "block4_conv3"
FILTERS = (3, 17, 42, 77, 100, 133, 166, 200, 233, 266, 300, 333, 366, 400, 450, 500)
CONF = Path(__file__).parents[2] / "conf" / "ascent" / "fourier.yaml"


def lucid(network: Network, unit: Unit, steps: int, size: int, seed: int) -> np.ndarray:
    """Return the 8-bit image of Lucid's recipe, on the preactivation so that no unit is dead.

    Fourier image (decay 1, deviation 0.01), Adam 0.05, and its standard transforms, one draw a
    step: pad 12 in grey, crop by 8, resize by one of .90 ... 1.10, rotate, crop by 4.
    """
    draw = tf.random.Generator.from_seed(seed)
    angles = tf.constant([*range(-10, 11), 0, 0, 0, 0, 0], tf.float32)
    scales = tf.constant([0.90 + 0.02 * step for step in range(11)], tf.float32)
    spectrum = fourier(1.0, 0.01)
    numbers = tf.Variable(spectrum.initial(tf.constant([[seed, unit.filter]]), size, size))
    optimizer = tf.keras.optimizers.Adam(0.05)
    optimizer.build([numbers])
    model = tap(network, [unit.layer], pre=True)

    def crop(image: tf.Tensor, margin: int) -> tf.Tensor:
        offset = draw.uniform((2,), 0, margin + 1, tf.int32)
        shape = tf.shape(image)
        return tf.slice(
            image, [0, offset[0], offset[1], 0], [1, shape[1] - margin, shape[2] - margin, 3]
        )

    def transformed(image: tf.Tensor) -> tf.Tensor:
        image = tf.pad(image, [[0, 0], [12, 12], [12, 12], [0, 0]], constant_values=0.5)
        image = crop(image, 8)
        factor = scales[draw.uniform((), 0, 11, tf.int32)]
        side = tf.cast(tf.round(factor * tf.cast(tf.shape(image)[1], tf.float32)), tf.int32)
        image = tf.image.resize(image, (side, side))
        angle = angles[draw.uniform((), 0, 26, tf.int32)] * np.float32(np.pi / 180)
        centre = (tf.cast(side, tf.float32) - 1) / 2
        cosine, sine = tf.cos(angle), tf.sin(angle)
        shift = centre - cosine * centre
        matrix = [cosine, -sine, shift + sine * centre, sine, cosine, shift - sine * centre, 0, 0]
        image = tf.raw_ops.ImageProjectiveTransformV3(
            images=image, transforms=[tf.stack(matrix)], output_shape=tf.stack([side, side]),
            fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT",
        )  # fmt: skip
        return crop(image, 4)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            maps = model(transformed(spectrum.decode(numbers, size, size)))[unit.layer]
            loss = -tf.reduce_mean(maps[..., unit.filter])
        optimizer.apply([tape.gradient(loss, numbers)], [numbers])

    for _ in range(steps):
        step()
    return np.round(spectrum.decode(numbers, size, size).numpy() * 255).astype(np.uint8)


def keras_vis(network: Network, unit: Unit, size: int = 224) -> np.ndarray:
    """Return the 8-bit image of tf-keras-vis at its defaults, on the preactivation.

    Its image lies in [0, 255]; the network is wrapped, so that it gets what it expects.
    """
    from tf_keras_vis.activation_maximization import ActivationMaximization

    image = keras.Input((size, size, 3))
    maps = tap(network, [unit.layer], pre=True)(image / 255.0)[unit.layer]
    peer = ActivationMaximization(keras.Model([image], maps), clone=False)
    found = peer(lambda output: output[..., unit.filter])
    return np.clip(np.round(np.asarray(found)), 0, 255).astype(np.uint8)


def main() -> None:
    """Run all of them and print the tables."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--units", type=int, default=16)
    arguments.add_argument("--peers", type=int, default=4, help="units for tf-keras-vis; 0: none")
    arguments.add_argument("--steps", type=int, default=512, help="of Lucid's recipe")
    arguments.add_argument("--size", type=int, default=128)
    given = arguments.parse_args()
    network = packaged.load("vgg16")
    goals = [Goal(Unit(LAYER, filter)) for filter in FILTERS[: given.units]]
    settings = read(AscentSettings, OmegaConf.to_container(OmegaConf.load(CONF)), "ascent")
    climb = recipe(settings, network, aim("channel"), (given.size, given.size))
    before = climbed(climb, goals)
    copies = rivals(climb, goals, lambda unit: lucid(network, unit, given.steps, given.size, 0))
    after = climbed(climb, goals)  # once more behind it, for machines that change their pace
    ours = (before + after) / 2
    show(f"ours, {settings.steps} steps", ours)
    show(f"Lucid's, {given.steps} steps", copies)
    print(f"seconds a unit, ours / Lucid's: {ours[:, 2].mean() / copies[:, 2].mean():.3f}")
    if given.peers:
        peers = rivals(climb, goals[: given.peers], lambda unit: keras_vis(network, unit))
        show("tf-keras-vis", peers)
        step, seconds = passed(climb, goals[: given.peers], peers)
        ratio = seconds / peers[:, 2].mean()
        print(f"ours pass both at step {step}, {seconds:.2f} s a unit: {ratio:.4f} of its seconds")
    speeds(climb, goals)


def climbed(climb: Ascent, goals: Sequence[Goal]) -> np.ndarray:
    """Return the mean, the maximum and the seconds of each unit `(units, 3)`, tracing included."""
    start = time.perf_counter()
    *_, last = ascend(replace(climb), goals, 0)  # a copy has nothing traced yet
    seconds = (time.perf_counter() - start) / len(goals)
    found = {optimum.goal: optimum for optimum in last.finished}
    return np.array(
        [[found[goal].activation_mean, found[goal].activation, seconds] for goal in goals]
    )


def rivals(climb: Ascent, goals: Sequence[Goal], make: Callable[[Unit], np.ndarray]) -> np.ndarray:
    """Return the same of another recipe, one unit after another, measured in the same way."""
    rows = []
    for goal in goals:
        start = time.perf_counter()
        image = make(goal.unit)
        seconds = time.perf_counter() - start
        (peak,), (mean,) = climb.measure(image, [goal])
        rows.append((mean, peak, seconds))
    return np.array(rows)


def passed(climb: Ascent, goals: Sequence[Goal], peers: np.ndarray) -> tuple[int, float]:
    """Return the step, and the seconds a unit, at which our images pass both averages of `peers`.

    The seconds are those of the updates, and of tracing them; looking at every image in between is
    left out.
    """
    once = replace(climb, chunk=1)
    spent, start = 0.0, time.perf_counter()
    for step in ascend(once, goals, 0, watch=True):
        spent += time.perf_counter() - start
        peaks, means = climb.measure(step.images, step.goals)
        if means.mean() > peers[:, 0].mean() and peaks.mean() > peers[:, 1].mean():
            return step.number, spent / len(goals)
        start = time.perf_counter()
    raise SystemExit("never passed")


def speeds(climb: Ascent, goals: Sequence[Goal]) -> None:
    """Print the speed of a step, of a matrix product, and their ratio."""
    for _ in ascend(replace(climb, steps=climb.chunk), goals, 0):
        pass  # traced
    product = max(multiplied(climb.precision) for _ in range(3))
    timed = list(stamped(climb, goals))
    product = (product + max(multiplied(climb.precision) for _ in range(3))) / 2
    done = 4 * multiply_adds(climb) * len(goals) * climb.chunk
    step = done / float(np.median(np.diff(timed[:-1])))
    print(
        f"{climb.precision}: a step {step / 1e9:.0f} GFLOP/s, a matrix product"
        f" {product / 1e9:.0f} GFLOP/s, ratio {step / product:.2f}"
    )


def stamped(climb: Ascent, goals: Sequence[Goal]) -> list[float]:
    """Return when each chunk of an ascent ended."""
    return [time.perf_counter() for _ in ascend(climb, goals, 0)]


def multiplied(precision: str, side: int = 4096) -> float:
    """Return the floating-point operations a second of a product of two square matrices."""
    matrix = tf.cast(tf.random.stateless_normal((side, side), (1, 2)), precision)
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    product()
    start = time.perf_counter()
    product().numpy()
    return 2 * side**3 / (time.perf_counter() - start)


def multiply_adds(climb: Ascent) -> int:
    """Return the multiply-adds of the convolutions forward for one image, as they are computed.

    Of the last layer that is one filter. Back to the image they are as many.
    """
    rows, columns, total = climb.height, climb.width, 0
    for layer in climb.network.model.layers:
        if isinstance(layer, keras.layers.MaxPooling2D):
            rows, columns = rows // 2, columns // 2
        if isinstance(layer, keras.layers.Conv2D):
            filters = 1 if layer.name == LAYER else layer.filters
            total += rows * columns * 9 * layer.kernel.shape[2] * filters
        if layer.name == LAYER:
            break
    return total


def show(name: str, values: np.ndarray) -> None:
    """Print the mean, the maximum and the seconds of each unit, and on average."""
    for index, word in enumerate(("mean", "max")):
        cells = " ".join(f"{value:6.1f}" for value in values[:, index])
        average = values.mean(axis=0)
        print(f"{name:>20} {word:>4} {cells} | {average[index]:7.1f} {average[2]:7.2f} s")


if __name__ == "__main__":
    main()
