"""How much of a strong response ten inputs recover, by each way to choose them.

    uv run python tests/bench/faithfulness.py FOLDER [--layer block4_conv3] [--filters 32]

FOLDER holds photographs. Filter 17 and others drawn at random are measured in one pass; inputs are
chosen on one half of the photographs, and the figures are those of the other.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from convscope.activations.recorder import fill
from convscope.circuits import effects
from convscope.circuits import weights as kernel_weights
from convscope.circuits.attribution import Sample, Sampler
from convscope.circuits.faithfulness import Faithfulness, faithfulness
from convscope.data import dataset
from convscope.models.linear import linear
from convscope.models.zoo.packaged import load
from convscope.stats import bootstrap

SIZE, BATCH, POSITIONS, COUNT = 224, 8, 128, 10
ORDER = ("random", "l2", "covariance", "ablation", "top_shift", "greedy_variance", "greedy", "best")


def main() -> None:
    """Print the table, and how many filters each ranking serves at least as well as L2."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--layer", default="block4_conv3")
    arguments.add_argument("--filters", type=int, default=32)
    given = arguments.parse_args()
    network, start = load("vgg16"), time.process_time()
    layer = network.find(given.layer)
    others = np.random.default_rng(0).permutation(layer.filters)
    filters = [17, *(int(one) for one in others if one != 17)][: given.filters]
    paths = dataset.folder(given.folder)
    samplers: list[Sampler] = []
    for recording in fill(network, [given.layer], paths, SIZE, BATCH):
        if recording.latest is None:
            continue
        if not samplers:
            size = recording.latest.maps.shape[1:3]
            inside = recording.fields[given.layer].inside(size, (SIZE, SIZE))
            samplers = [
                Sampler(linear(layer, one), one, POSITIONS, len(paths), 0, inside, size)
                for one in filters
            ]
        for sampler in samplers:
            sampler.add(recording.latest, recording.halves[-len(recording.latest.maps) :].tolist())
    late = sum(bool(sampler.missing()) for sampler in samplers)
    rows = []
    for sampler in samplers:
        sample = sampler.sample()
        found, jaccard = measured(sampler, sample)
        rows.append({name: (*row(found, name), jaccard[name]) for name in ORDER})
    print(f"{len(filters)} filters of {given.layer}, {len(recording.paths)} photographs,")
    print(
        f"{time.process_time() - start:.0f} s of processor time, second pass for {late} filters\n"
    )
    print("| chosen by | recovery | at least L2's | R² | necessity | AUROC | N | shared with L2 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in ORDER:
        table = np.array([one[name] for one in rows], float)
        wins = np.mean(table[:, 0] >= np.array([one["l2"][0] for one in rows]) - 1e-9)
        recovery, r2, necessity, auroc, normal, jaccard = np.nanmean(table, axis=0)
        print(
            f"| {effects.TITLES[name]} | {recovery:.3f} | {100 * wins:.0f} % | {r2:.3f} | "
            f"{necessity:.3f} | {auroc:.3f} | {normal:.2f} | {jaccard:.2f} |"
        )


def measured(sampler: Sampler, sample: Sample) -> tuple[Faithfulness, dict[str, float]]:
    """Return the curves of one filter, and what each ranking's ten share with those by L2."""
    first, rest = sample.discovery, sample.confirmation
    weights = bootstrap.draws(rest.photographs, 0, 200)
    known = effects.measure(first, 0.2, bootstrap.draws(first.photographs, 0, 1))
    l2 = kernel_weights.measure(sampler.linear.kernel, 0.2, 0.05).l2
    orders = effects.orders(l2, known, first, COUNT)
    shown = orders["l2"][:COUNT]
    found = faithfulness(rest, orders, shown, known.ablation_top, weights, 0)
    jaccard = {"random": COUNT / (2 * len(l2) - COUNT), "l2": 1.0}
    jaccard |= {
        one.other: one.jaccard for one in effects.agreements(orders, COUNT) if one.one == "l2"
    }
    return found, jaccard


def row(found: Faithfulness, name: str) -> tuple[float, ...]:
    """Return the figures of one ranking at ten inputs."""
    curve, at = found.curves[name], found.at
    measures = (curve.recovery, curve.r2, curve.necessity, curve.auroc)
    return (*(float(one[at]) for one in measures), curve.normalized.value)


if __name__ == "__main__":
    main()
