"""Which filters of the layer before excite or inhibit this one, and are a few of them enough?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from convscope import text
from convscope.data import dataset
from convscope.hypothesis import preregistration
from convscope.hypothesis.preregistration import HypothesisSettings, Preregistration
from convscope.models.zoo import registry
from convscope.settings import (
    AscentSettings,
    Count,
    ImageSettings,
    ModelSettings,
    Range,
    Share,
)
from convscope.stages import checks
from convscope.tracking.tracker import Tracker
from convscope.unit import IMAGE, Unit

if TYPE_CHECKING:
    from convscope.activations.recorder import Recording
    from convscope.circuits.attribution import Sample
    from convscope.circuits.edges import Circuit, CircuitAnalysis
    from convscope.circuits.multihop import PathAnalysis
    from convscope.hypothesis.measurements import Measurements
    from convscope.models.linear import Linear
    from convscope.models.network import Network
    from convscope.optvis.ascent import Ascent, Goal, Optimum
    from convscope.units.profile import Profile


KERNEL_TILE = 48  # pixels of a kernel in W&B's table
DEEPEST = 3  # hops back that are followed


@dataclass(frozen=True)
class CircuitSettings:
    """Which inputs are shown and how many, how they are measured, and where a label begins."""

    name: str
    objective: Literal["channel", "neuron"]
    hypothesis: str | None
    character: bool
    by: Literal["l2", "top_shift", "covariance", "ablation", "greedy"]
    inputs: Count
    crops: Annotated[int, Range(ge=0)]
    positions: Count
    mixed: Share
    negligible: Share
    depth: Annotated[int, Range(ge=1, le=DEEPEST)]
    branches: Count


@dataclass(frozen=True)
class Settings:
    """Everything a circuit run is given."""

    layer: str
    filter: int
    seed: int
    stage: CircuitSettings
    model: ModelSettings
    images: ImageSettings
    ascent: AscentSettings
    hypothesis: HypothesisSettings

    @property
    def unit(self) -> Unit:
        """The filter that is explained."""
        return Unit(self.layer, self.filter)

    @property
    def claimed(self) -> HypothesisSettings:
        """The hypothesis, with the words that the stage was given."""
        if self.stage.hypothesis is None:
            return self.hypothesis
        return replace(self.hypothesis, text=self.stage.hypothesis)


def check(settings: Settings) -> None:
    """Raise for a request that cannot be answered, before TensorFlow is loaded.

    Raises:
        ValueError, FileNotFoundError: unknown layer or filter, missing or damaged weights, no
            photographs.
    """
    settings = checks.settled(settings)
    registry.check_units(settings.model, [settings.unit])
    registry.check_linear(settings.layer, settings.model)
    registry.check_canvas(settings.ascent, settings.model, settings.layer)
    checks.check_photographs(settings.images, settings.model, settings.layer)
    dataset.check_picture("ascent.start", settings.ascent.picture)
    if settings.stage.hypothesis is not None and settings.hypothesis.text is not None:
        raise ValueError(
            "stage.hypothesis and hypothesis.text are both given, and mean the same. Give one."
        )
    if settings.claimed.claims:
        from convscope.models.linear import linear

        found = linear(registry.network(settings.model).find(settings.layer), settings.filter)
        preregistration.check(settings.claimed, len(found.channels))


def run(settings: Settings, tracker: Tracker) -> None:
    """Measure every input of the unit, show what excites the strongest, and write the report."""
    settings = checks.settled(settings)
    unit = settings.unit
    with tracker.timer("load"):
        from convscope.hypothesis.evaluation import evaluate
        from convscope.hypothesis.measurements import Measurements
        from convscope.models.linear import linear
        from convscope.models.network import inputs_of
        from convscope.optvis.reliability import reliabilities
        from convscope.report.circuit import Report

        network = registry.network(settings.model)
        found = linear(network.find(unit.layer), unit.filter)
        every = inputs_of(network, unit.layer)
        sources = [every[channel] for channel in found.channels]
    tracker.say(f"{unit} of {network.weights.source}: {len(sources)} inputs")
    # Before any photograph is looked at.
    registered = Preregistration(settings.claimed, time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    tracker.document("hypothesis", registered.record())
    tracker.array("kernels", kernel=found.kernel, bias=np.asarray(found.bias, np.float32))
    with tracker.timer("index"):
        recording, sample = see(settings, network, sources, found, tracker)
    with tracker.timer("measure"):
        findings = measure(settings, sources, found, recording, sample)
    keys = dataset.labels(settings.images, recording.paths).keys
    measured = Measurements(network, findings, recording, settings.images, keys)
    with tracker.timer("hops"):
        hops = follow(settings, measured)
    measured = replace(measured, hops=hops)
    record_circuit(measured, hops, tracker)
    with tracker.timer("ascend"):
        optima, made = excite(settings, measured, tracker)
    measured = replace(measured, optima=optima)
    figure = None
    if settings.stage.character:
        character, figure = study(settings, measured, tracker)
        measured = replace(measured, character=character)
    with tracker.timer("case"):
        seen = reliabilities(network, recording, optima, settings.seed)
        measured = replace(measured, reliability=seen)
        evaluation = evaluate(registered, measured)
        record(tracker, "evidence", measured.evidence)
        record(tracker, "hypothesis", evaluation.rows)
        tracker.document("hypothesis", evaluation.record)
    with tracker.timer("report"):
        figures = measured.scalars() | evaluation.scalars() | hops.scalars()
        tracker.summarize(summary(settings, measured))
        tracker.summarize({f"circuit/{name}": value for name, value in figures.items()})
        report = Report(measured, evaluation, settings.stage.crops, figure)
        tracker.image("graph", report.graph)
        tracker.image("explorer", report.explorer())
        tracker.page("report", report.page(made, asdict(settings)))
    tracker.say(findings.sentence)
    if evaluation.sentence:
        tracker.say(evaluation.sentence)


def see(
    settings: Settings,
    network: Network,
    sources: Sequence[Unit],
    found: Linear,
    tracker: Tracker,
) -> tuple[Recording, Sample]:
    """Return the photographs and what the unit gets from its inputs; record the unreadable ones."""
    from convscope.activations.recorder import fill
    from convscope.circuits.attribution import Sampler

    paths, shown = dataset.photographs(settings.images), settings.images
    layers = [
        layer for layer in dict.fromkeys(source.layer for source in sources) if layer != IMAGE
    ]
    side, sampler = shown.side, None
    with tracker.progress("photographs", len(paths)) as update:
        for recording in fill(
            network, [settings.layer, *layers], paths, side, shown.batch, shown.fit
        ):
            update(len(recording.paths) + len(recording.skipped))
            if recording.latest is None:
                continue
            if sampler is None:
                size = (recording.latest.maps.shape[1], recording.latest.maps.shape[2])
                inside = recording.fields[settings.layer].inside(size, (side, side))
                sampler = Sampler(
                    found, settings.filter, settings.stage.positions, len(paths), settings.seed,
                    inside, size,
                )  # fmt: skip
            sampler.add(recording.latest, recording.halves[-len(recording.latest.maps) :].tolist())
    if sampler is None:
        raise ValueError("None of the photographs could be read.")
    for start in range(0, len(missing := sampler.missing()), shown.batch):
        part = missing[start : start + shown.batch]
        files = [recording.paths[number] for number in part]
        *_, seen = fill(network, [settings.layer], files, side, len(files), shown.fit)
        if seen.latest is not None and len(seen.paths) == len(part):
            sampler.again(seen.latest, part)
    if recording.skipped:
        rows = [(text.spelled(path), reason) for path, reason in recording.skipped]
        tracker.table("skipped", ("image", "reason"), rows)
        tracker.say(f"{dataset.aside(len(rows))}: see tables/skipped.csv")
    return recording, sampler.sample()


def measure(
    settings: Settings, sources: Sequence[Unit], found: Linear, recording: Recording, sample: Sample
) -> CircuitAnalysis:
    """Return what each input does, which matter most, and how much of the unit they explain."""
    from convscope.circuits import effects
    from convscope.circuits import weights as kernel_weights
    from convscope.circuits.edges import Circuit, CircuitAnalysis
    from convscope.circuits.faithfulness import faithfulness
    from convscope.stats import bootstrap

    stage, seed = settings.stage, settings.seed
    first, rest = sample.discovery, sample.confirmation
    table = kernel_weights.measure(found.kernel, stage.mixed, stage.negligible)
    weights = bootstrap.draws(rest.photographs, seed)
    reported = effects.measure(rest, stage.mixed, weights)
    known = reported
    if sample.apart:
        known = effects.measure(first, stage.mixed, bootstrap.draws(first.photographs, seed, 1))
    orders = effects.orders(table.l2, known, first, stage.inputs)
    lowest = recording.observation.lowest[found.channels]
    circuit = Circuit(
        settings.unit, found.kernel, found.bias, sources, table, reported, orders, lowest, stage.by,
        stage.inputs,
    )  # fmt: skip
    shown = np.array([edge.channel for edge in circuit.edges])
    inhibitory = [edge.channel for edge in circuit.edges if edge.functional_sign < 0]
    return CircuitAnalysis(
        circuit,
        sample,
        faithfulness(rest, orders, shown, reported.ablation_top, weights, seed),
        effects.agreements(orders, len(shown)),
        effects.silencing(rest, inhibitory),
        tuple(recording.paths[place] for place in sample.places),
    )


def follow(settings: Settings, measured: Measurements) -> PathAnalysis:
    """Return what lies beyond the unit's inputs: who reads it, and the paths that are asked for."""
    from convscope.circuits import multihop

    stage, paths = settings.stage, measured.recording.paths
    how = multihop.PathSettings(
        stage.depth, stage.branches, stage.mixed, stage.negligible, settings.seed
    )
    return multihop.analyze(measured.network, measured.findings, paths, settings.images, how)


def record_circuit(measured: Measurements, hops: PathAnalysis, tracker: Tracker) -> None:
    """Write all that was measured of the inputs and beyond: tables, pictures, and plain data."""
    from convscope.report.figures.charts import faithfulness_picture

    circuit, findings = measured.circuit, measured.findings
    record_kernels(circuit, tracker)
    for name, rows in (findings.tables() | hops.tables()).items():
        record(tracker, name, rows)
    picture = faithfulness_picture(str(circuit.root), findings.curves, circuit.by)
    tracker.image("faithfulness", picture)
    tracker.document("circuit", circuit.document() | hops.document())


def record_kernels(circuit: Circuit, tracker: Tracker) -> None:
    """Write all kernel slices as a table, and those of the edges as pictures."""
    from convscope.report.figures.canvas import kernel_tile

    slices = np.moveaxis(circuit.kernel, -1, 0)
    tiles = [kernel_tile(kernel, circuit.limit, KERNEL_TILE) for kernel in slices]
    record(tracker, "kernels", circuit.rows, {"kernel": tiles})
    for edge in circuit.edges:
        tracker.image(f"kernel-{edge.source.slug}", kernel_tile(edge.kernel, circuit.limit))


def record(
    tracker: Tracker,
    name: str,
    rows: Sequence[Mapping[str, object]],
    pictures: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> None:
    """Write a table of rows that all have the same keys; one without rows is not written."""
    if rows:
        tracker.table(name, list(rows[0]), [list(row.values()) for row in rows], pictures)


def study(
    settings: Settings, measured: Measurements, tracker: Tracker
) -> tuple[Profile, np.ndarray]:
    """Return what the unit is tuned to and what it ignores, and that as a picture; record both."""
    from convscope.activations.dataset_examples import gather
    from convscope.report.figures.tuning import tuning_figure
    from convscope.units import profile, properties

    unit, seed = settings.unit, settings.seed
    with tracker.timer("character"), tracker.progress("character", 1) as update:
        exemplars = gather(measured.network, unit, measured.recording, measured.keys, seed=seed)
        mean = measured.findings.sample.confirmation.center
        found = profile.study(measured.network, unit, exemplars, mean, seed)
        character = properties.described(found, seed)
        update(1)
    record(tracker, "traits", [asdict(found) for found in character.properties])
    figure = tuning_figure(character)
    tracker.image("character", figure)
    split = character.split
    tracker.summarize(
        {
            "circuit/osi": character.measure("osi"),
            "circuit/polysemantic_p": split.p if split else None,
            "circuit/traits": [trait.word for trait in character.properties if trait.holds],
        }
    )
    return character, figure


def excite(
    settings: Settings, measured: Measurements, tracker: Tracker
) -> tuple[dict[Unit, Optimum], list[dict[str, object]]]:
    """Return the image that excites each unit most, and how each was made; record both."""
    from convscope.optvis import recipe

    network, recording = measured.network, measured.recording
    edges = measured.circuit.edges
    units = [measured.unit, *(edge.source for edge in edges if edge.source.layer != IMAGE)]
    optima, made = {}, {}
    aim = recipe.aim(settings.stage.objective)
    sizes = {
        unit: recipe.canvas_size(settings.ascent, network, unit.layer)
        for unit in dict.fromkeys(units)
    }
    for size in sorted(set(sizes.values())):
        climb = recipe.recipe(settings.ascent, network, aim, size)
        alike = [unit for unit in units if sizes[unit] == size]
        layers = {unit.layer for unit in alike}
        together = recipe.batch_size(settings.ascent, network, [*layers], size)
        for batch in recipe.batches(recipe.goals(alike, (1,), 1), together, 1):
            start = time.perf_counter()
            found = _climbed(climb, batch, settings, tracker)
            seconds = (time.perf_counter() - start) / len(batch)
            for optimum in found:
                optima[optimum.unit] = optimum
                kind = "unit" if optimum.unit == settings.unit else "input"
                if optimum.alive:
                    tracker.image(f"{kind}-{optimum.unit.slug}", optimum.image)
                below = recording.observation.below(optimum.unit, optimum.activation)
                made[optimum.unit] = _made(optimum, settings, size, seconds, below)
    records = [made[unit] for unit in units]
    record(tracker, "optima", records)
    for unit in units:
        if not optima[unit].alive:
            tracker.say(f"{unit} is not alive after {settings.ascent.attempts} starts: no picture")
    return optima, records


def _climbed(
    climb: Ascent, batch: Sequence[Goal], settings: Settings, tracker: Tracker
) -> tuple[Optimum, ...]:
    """Return the optima of one batch, and show and record how the scores rise."""
    from convscope.optvis.ascent import ascend

    words = f"ascent of {len(batch)} unit{'s' * (len(batch) > 1)} on {climb.width} x {climb.height}"
    with tracker.progress(words, settings.ascent.steps) as update:
        for step in ascend(climb, batch, settings.seed, settings.ascent.attempts):
            again = f", attempt {step.attempt}" if step.attempt > 1 else ""
            update(step.number, f"score {step.curve[-1].mean():.1f}{again}")
            names = [f"ascent/{goal.unit}" for goal in step.goals]
            for number, scores in enumerate(step.curve, step.total - len(step.curve) + 1):
                tracker.log(dict(zip(names, scores, strict=True)), number)
    return step.finished


def _made(
    optimum: Optimum,
    settings: Settings,
    size: tuple[int, int],
    seconds: float,
    quantile: float | None,
) -> dict[str, object]:
    """Return the row of `optima.csv`."""
    from convscope.optvis import recipe

    return {
        "layer": optimum.unit.layer,
        "filter": optimum.unit.filter,
        "sample": 0,
        "objective": settings.stage.objective,
        "size": recipe.named(size),
        "steps": settings.ascent.steps,
        "activation_start": optimum.activation_start,
        "activation": optimum.activation,
        "activation_mean": optimum.activation_mean,
        "quantile": quantile,
        "alive": optimum.alive,
        "attempt": optimum.attempt,
        "seconds": round(seconds, 2),
    }


def summary(settings: Settings, measured: Measurements) -> dict[str, object]:
    """Return every scalar result and the provenance of all of them."""
    from convscope.circuits.weights import LABELS

    unit, circuit, recording = measured.unit, measured.circuit, measured.recording
    optima, best = measured.optima, measured.optima[unit]
    labels = [edge.label for edge in circuit.edges]
    return {
        "stage": "circuit",
        "layer": unit.layer,
        "filter": unit.filter,
        "seed": settings.seed,
        **checks.provenance(
            measured.network, settings.images, recording.paths, len(recording.skipped),
            settings.ascent.precision,
        ),
        "circuit/activation": best.activation,
        "circuit/activation_mean": best.activation_mean,
        "circuit/picture": f"images/unit-{unit.slug}.png" if best.alive else None,
        "circuit/alive": sum(optimum.alive for optimum in optima.values()),
        "circuit/optima": len(optima),
        "circuit/bias": circuit.bias,
        "circuit/firing_rate": float(recording.observation.firing_rate[unit.filter]),
        "circuit/inputs": len(circuit.sources),
        "circuit/share_shown": sum(edge.share for edge in circuit.edges),
        **{f"circuit/{word}": labels.count(word) for word in LABELS},
        **{f"circuit/{name}": value for name, value in measured.findings.scalars().items()},
    }  # fmt: skip
