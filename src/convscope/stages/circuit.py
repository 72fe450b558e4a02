"""Which filters of the layer before excite or inhibit this one, and are a few of them enough?"""

from __future__ import annotations

import time
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
    ImageSettings,
    InputSettings,
    LayerName,
    ModelSettings,
    Range,
)
from convscope.stages import checks
from convscope.tracking.tracker import Tracker
from convscope.unit import IMAGE, Unit

if TYPE_CHECKING:
    from convscope.activations.recorder import Recording
    from convscope.circuits.attribution import Inputs, Sample
    from convscope.circuits.edges import Circuit
    from convscope.circuits.multihop import PathAnalysis
    from convscope.hypothesis.measurements import Measurements
    from convscope.models.network import Network
    from convscope.optvis.ascent import Optimum
    from convscope.units.profile import Profile

KERNEL_TILE = 48  # pixels of a kernel in W&B's table
ACTIVATIONS = ("activation_start", "activation", "activation_mean")  # of an optimum, in its table


@dataclass(frozen=True)
class CircuitSettings(InputSettings):
    """What is asked about a unit beside its inputs, and what is shown."""

    name: str
    objective: Literal["channel", "neuron"]
    hypothesis: str | None
    character: bool
    crops: Annotated[int, Range(ge=0)]


@dataclass(frozen=True)
class Settings:
    """Everything a circuit run is given."""

    layer: LayerName
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
        words = self.stage.hypothesis
        return self.hypothesis if words is None else replace(self.hypothesis, text=words)


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
    stage, unit, shown, seed = settings.stage, settings.unit, settings.images, settings.seed
    with tracker.timer("load"):
        from convscope.circuits import attribution, edges, multihop
        from convscope.hypothesis.evaluation import evaluate
        from convscope.hypothesis.measurements import Measurements
        from convscope.optvis.reliability import reliabilities
        from convscope.report.circuit import Report

        network = registry.network(settings.model)
        inputs = attribution.read_by(network, unit)
    tracker.say(f"{unit} of {network.weights.source}: {len(inputs.sources)} inputs")
    # Before any photograph is looked at.
    registered = Preregistration(settings.claimed, time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    tracker.document("hypothesis", registered.record())
    with tracker.timer("index"):
        recording, sample = see(network, inputs, settings, tracker)
    with tracker.timer("measure"):
        findings = edges.analyze(inputs, recording, sample, stage, seed)
    files = recording.paths
    with tracker.timer("hops"):
        hops = multihop.analyze(network, findings, files, shown, stage, seed)
    keys = dataset.labels(shown, files).keys
    measured = Measurements(network, findings, recording, shown, keys, hops)
    record_circuit(measured, hops, tracker)
    with tracker.timer("ascend"):
        optima, made = excite(settings, measured, tracker)
    measured = replace(measured, optima=optima)
    if stage.character:
        measured = replace(measured, character=study(settings, measured, tracker))
    with tracker.timer("case"):
        measured = replace(measured, reliability=reliabilities(network, recording, optima, seed))
        evaluation = evaluate(registered, measured)
        tracker.records("evidence", measured.evidence)
        tracker.records("hypothesis", evaluation.rows)
        tracker.document("hypothesis", evaluation.record)
    with tracker.timer("report"):
        figures, skipped = measured.scalars() | evaluation.scalars(), len(recording.skipped)
        tracker.summarize(
            {"stage": "circuit", **vars(unit), "seed": seed, "check/field": recording.outside}
            | checks.provenance(network, shown, files, skipped, settings.ascent.precision)
            | {f"circuit/{name}": value for name, value in figures.items()}
        )
        report = Report(measured, evaluation, stage.crops)
        if report.tuning is not None:
            tracker.image("character", report.tuning)
        tracker.image("graph", report.graph)
        tracker.image("explorer", report.explorer())
        tracker.page("report", report.page(made, asdict(settings)))
    for sentence in filter(None, (findings.sentence, evaluation.sentence)):
        tracker.say(sentence)


def see(
    network: Network, inputs: Inputs, settings: Settings, tracker: Tracker
) -> tuple[Recording, Sample]:
    """Return the photographs and what the unit gets from its inputs; record the unreadable ones."""
    from convscope.circuits.attribution import observe

    shown, positions, seed = settings.images, settings.stage.positions, settings.seed
    paths = dataset.photographs(shown)
    with tracker.progress("photographs", len(paths)) as update:
        recording, sample = observe(network, inputs, paths, shown, positions, seed, update)
    checks.set_aside([(text.spelled(path), why) for path, why in recording.skipped], tracker)
    return recording, sample


def record_circuit(measured: Measurements, hops: PathAnalysis, tracker: Tracker) -> None:
    """Write all that was measured of the inputs and beyond: tables, pictures, and plain data."""
    from convscope.report.figures.charts import faithfulness_picture

    circuit, findings = measured.circuit, measured.findings
    record_kernels(circuit, tracker)
    for name, rows in (findings.tables() | hops.tables()).items():
        tracker.records(name, rows)
    picture = faithfulness_picture(str(circuit.root), findings.curves, circuit.by)
    tracker.image("faithfulness", picture)
    tracker.document("circuit", circuit.document() | hops.document())


def record_kernels(circuit: Circuit, tracker: Tracker) -> None:
    """Write all kernel slices as a table, and those of the edges as pictures."""
    from convscope.report.figures.canvas import kernel_tile

    tracker.array("kernels", kernel=circuit.kernel, bias=np.array(circuit.bias, np.float32))
    slices = np.moveaxis(circuit.kernel, -1, 0)
    tiles = [kernel_tile(kernel, circuit.limit, KERNEL_TILE) for kernel in slices]
    tracker.records("kernels", circuit.rows, {"kernel": tiles})
    for edge in circuit.edges:
        tracker.image(f"kernel-{edge.source.slug}", kernel_tile(edge.kernel, circuit.limit))


def study(settings: Settings, measured: Measurements, tracker: Tracker) -> Profile:
    """Return what the unit is tuned to and what it ignores, and record what may be said of it."""
    from convscope.activations.dataset_examples import gather
    from convscope.units import profile, properties

    network, unit, seed = measured.network, settings.unit, settings.seed
    with tracker.timer("character"), tracker.progress("character", 1) as update:
        exemplars = gather(network, unit, measured.recording, measured.keys, seed=seed)
        mean = measured.findings.sample.confirmation.center
        found = properties.described(profile.study(network, unit, exemplars, mean, seed), seed)
        update(1)
    tracker.records("traits", [asdict(trait) for trait in found.properties])
    return found


def excite(
    settings: Settings, measured: Measurements, tracker: Tracker
) -> tuple[dict[Unit, Optimum], list[dict[str, object]]]:
    """Return the image that excites each unit most, and how each was made; record both."""
    from convscope.optvis import recipe
    from convscope.stages.optima import Optimization

    network, ascent, edges = measured.network, settings.ascent, measured.circuit.edges
    units = [measured.unit, *(edge.source for edge in edges if edge.source.layer != IMAGE)]
    optima, made = {}, {}
    how = Optimization(tracker, settings.seed, ascent.attempts, lambda goal: str(goal.unit))
    sizes = {unit: recipe.canvas_size(ascent, network, unit.layer) for unit in units}
    for size in sorted(set(sizes.values())):
        climb = recipe.recipe(ascent, network, recipe.aim(settings.stage.objective), size)
        alike = [unit for unit in units if sizes[unit] == size]
        together = recipe.batch_size(ascent, network, [*{unit.layer for unit in alike}], size)
        batches = recipe.batches(recipe.goals(alike, (1,), 1), together, 1)
        for reached in how.optima(climb, batches):
            best, unit = reached.optimum, reached.optimum.unit
            optima[unit] = best
            if best.alive:
                kind = "unit" if unit == settings.unit else "input"
                tracker.image(f"{kind}-{unit.slug}", best.image)
            made[unit] = {
                **vars(unit),
                "sample": 0,
                "objective": settings.stage.objective,
                "size": text.sized(size),
                "steps": ascent.steps,
                **{name: getattr(best, name) for name in ACTIVATIONS},
                "quantile": measured.recording.observation.below(unit, best.activation),
                "alive": best.alive,
                "attempt": best.attempt,
                "seconds": reached.seconds,
            }
    records = [made[unit] for unit in units]
    tracker.records("optima", records)
    for dead in (unit for unit in units if not optima[unit].alive):
        tracker.say(f"{dead} is not alive after {ascent.attempts} starts: no picture")
    return optima, records
