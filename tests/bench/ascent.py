"""Our ascent against Lucid's published recipe: same weights, same units, one process, in turn.

    python tests/bench/ascent.py [--units 8] [--steps 128] [--size 128]

Prints, for each unit and on average, the mean and the largest preactivation of the saved 8-bit
image and the seconds a unit took, ours once at the stage's own canvas and once at the recipe's.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import tensorflow as tf
from omegaconf import OmegaConf
from pathlib import Path

from convscope import network as networks
from convscope.ascent import Ascent, ascend
from convscope.network import Network, tap
from convscope.objectives import channel
from convscope.parameterization import fourier
from convscope.stages.circuit import canvas, recipe
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
    rows: dict[str, list[np.ndarray]] = {}
    climbs: dict[str, Ascent] = {
        f"ours, {size} px": recipe(settings, network, size)
        for size in (canvas(settings, network, "block4_conv3"), given.size)
    }
    for name, climb in climbs.items():
        start = time.perf_counter()
        *_, last = ascend(climb, units, 0)
        seconds = (time.perf_counter() - start) / len(units)
        rows[name] = [
            np.array([o.activation_mean, o.activation, seconds])
            for o in sorted(last.finished, key=lambda o: units.index(o.unit))
        ]
    rows[f"Lucid, {given.steps} steps"] = []
    for unit in units:
        start = time.perf_counter()
        image = lucid(network, unit, given.steps, given.size, 0)
        seconds = time.perf_counter() - start
        (peak,), (mean,) = next(iter(climbs.values())).measure(image, [unit])
        rows[f"Lucid, {given.steps} steps"].append(np.array([mean, peak, seconds]))
    print(f"{'':>18} " + " ".join(f"{unit.filter:>7}" for unit in units) + "     all  s/unit")
    for name, values in rows.items():
        for index, word in enumerate(("mean", "max")):
            cells = " ".join(f"{value[index]:7.1f}" for value in values)
            average = np.mean(values, axis=0)
            print(f"{name:>13} {word:>4} {cells} {average[index]:7.1f} {average[2]:7.2f}")
    ours, theirs = rows[f"ours, {given.size} px"], rows[f"Lucid, {given.steps} steps"]
    print(
        f"seconds a unit, ours / Lucid: {np.mean(ours, 0)[2] / np.mean(theirs, 0)[2]:.2f} "
        f"at {given.size} px"
    )


if __name__ == "__main__":
    main()
