"""Our ascent against Lucid's published recipe: same weights, same units, one process, in turn.

    python tests/bench/ascent.py [--units 8] [--steps 128] [--size 128]

Prints, for each unit and on average, the mean and the largest preactivation of the saved 8-bit
image and the seconds a unit took, ours once at the stage's own canvas and once at the recipe's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from convscope import network as networks
from convscope.ascent import Ascent, ascend, recipe
from convscope.backend import tf
from convscope.network import Network, tap
from convscope.parameterization import fourier
from convscope.receptive import canvas, receptive_field
from convscope.settings import AscentSettings, read
from convscope.unit import Unit

UNITS = (3, 17, 42, 77, 100, 200, 300, 450)
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


def main() -> None:
    """Run both on the same units and print a table."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--units", type=int, default=8)
    arguments.add_argument("--steps", type=int, default=128)
    arguments.add_argument("--size", type=int, default=128)
    given = arguments.parse_args()
    network = networks.vgg16()
    units = tuple(Unit("block4_conv3", filter) for filter in UNITS[: given.units])
    settings = read(AscentSettings, OmegaConf.to_container(OmegaConf.load(CONF)), "ascent")
    climbs: dict[str, Ascent] = {
        f"ours, {size} px": recipe(settings, network, size)
        for size in (canvas(receptive_field(network, "block4_conv3")), given.size)
    }
    first = next(iter(climbs.values()))
    recipes = f"Lucid, {given.steps} steps"
    rows = {name: [climbed(climb, units)] for name, climb in climbs.items()}
    rows[recipes] = [np.array([copied(first, network, unit, given) for unit in units])]
    for name, climb in climbs.items():  # once more behind it, for machines that change their pace
        rows[name].append(climbed(climb, units))
    print(f"{'':>20} " + " ".join(f"{unit.filter:>6}" for unit in units) + "     all  s/unit")
    means = {name: np.mean(parts, axis=0) for name, parts in rows.items()}
    for name, values in means.items():
        for index, word in enumerate(("mean", "max")):
            cells = " ".join(f"{value:6.1f}" for value in values[:, index])
            average = values.mean(axis=0)
            print(f"{name:>15} {word:>4} {cells} {average[index]:7.1f} {average[2]:7.2f}")
    for name in climbs:
        ratio = means[name][:, 2].mean() / means[recipes][:, 2].mean()
        print(f"seconds a unit, {name} / {recipes}: {ratio:.2f}")


def climbed(climb: Ascent, units: Sequence[Unit]) -> np.ndarray:
    """Return the mean, the maximum and the seconds of each unit `(units, 3)`, tracing included."""
    start = time.perf_counter()
    *_, last = ascend(replace(climb), units, 0)  # a copy has nothing traced yet
    seconds = (time.perf_counter() - start) / len(units)
    found = {optimum.unit: optimum for optimum in last.finished}
    return np.array(
        [[found[unit].activation_mean, found[unit].activation, seconds] for unit in units]
    )


def copied(
    climb: Ascent, network: Network, unit: Unit, given: argparse.Namespace
) -> tuple[float, float, float]:
    """Return the same of the recipe for one unit, measured in the same way."""
    start = time.perf_counter()
    image = lucid(network, unit, given.steps, given.size, 0)
    seconds = time.perf_counter() - start
    (peak,), (mean,) = climb.measure(image, [unit])
    return mean, peak, seconds


if __name__ == "__main__":
    main()
