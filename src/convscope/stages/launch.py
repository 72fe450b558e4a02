"""The life of a job: from the command line to a folder, a tracker, and the line that ends it."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from convscope.settings import FilesTracker, TrackerSettings, read, setting_names, unknown
from convscope.stages.refusals import Refusal, flags, in_one_line, no_stage, worded
from convscope.text import one_line
from convscope.tracking import multirun
from convscope.unit import label

if TYPE_CHECKING:
    from convscope.tracking.tracker import Tracker

GROUPS = {"layer", "filter", "seed", "model", "images", "ascent", "hypothesis"}
"""The settings that not every stage needs."""
OUTCOMES: list[str] = []  # how each job ended: done, refused, failed or interrupted
SWEEPS: list[DictConfig] = []  # the config of the multirun, once Hydra has begun one


@dataclass(frozen=True)
class Own:
    """The settings that are for a run itself and not for its stage."""

    outputs: str
    tracker: TrackerSettings

    def __post_init__(self) -> None:
        """Raise ValueError for an empty name, which would be the current folder."""
        if not self.outputs:
            raise ValueError("outputs='' names no folder. Give one, like outputs=outputs.")


class Announced(Callback):
    """What Hydra calls when a multirun begins. It tells no one else where that will lie."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Say in the folder of the multirun what is asked for: its jobs may be other processes."""
        SWEEPS.append(config)
        # What is wrong with the folder or the overrides, Hydra finds and says itself.
        with contextlib.suppress(OSError, HydraException, OmegaConfBaseException):
            parts, more = config.hydra, config.hydra.sweeper.get("params") or {}
            task = list(parts.overrides.task)
            given = _overrides([f"{key}={value}" for key, value in more.items()] + task)
            fixed = {
                key: str(override.input_line).partition("=")[2]
                for key, override in given.items()
                if not override.is_sweep_override()
            }
            own = [text for text in parts.overrides.hydra if not text.startswith("hydra.mode=")]
            folder = Path(parts.sweep.dir)
            folder.mkdir(parents=True, exist_ok=True)
            multirun.note(folder, asked=[*own, *task], fixed=fixed)


def command(job: Callable[[], object], conf: Path, stages: Collection[str]) -> int:
    """Let Hydra run the jobs that the command line asks for, and return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no letter is worth a run's failure
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # For the processes of a launcher: they find the job by the name of its file.
    places = [str(conf.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    sys.argv[1:] = _with_folder(sys.argv[1:])
    OUTCOMES.clear()
    SWEEPS.clear()
    told = io.StringIO()  # what Hydra says in many lines on stderr is said in one below
    error: BaseException | None = None
    try:
        with contextlib.redirect_stderr(told):
            job()
    except (Exception, KeyboardInterrupt, SystemExit) as caught:
        error = caught
    sweep = _sweep()
    # Where jobs are other processes, only their folder tells how they ended.
    outcomes = OUTCOMES or [job.status for job in sweep.jobs] if sweep else OUTCOMES
    left = sweep if sweep and any(job.folder for job in sweep.jobs) else None
    counts = Counter(outcomes)
    if error and counts.keys() <= {"done"}:  # no job has said why
        if isinstance(error, KeyboardInterrupt):
            complain("Interrupted before a run had started.")
        elif isinstance(error, SystemExit):
            if not error.code:  # --version and the like
                return 0
            complain(flags(told.getvalue()))
        elif isinstance(error, HydraException | OmegaConfBaseException | ValueError | OSError):
            complain(worded(error, conf, list(stages)))
        else:
            raise error
    if len(outcomes) > 1:
        ends = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        where = os.path.relpath(left.folder) if left and error else ""
        kept = f" What is done is kept in {where}." if where else ""
        print(f"{len(outcomes)} jobs: {ends}.{kept}", file=sys.stderr if error else sys.stdout)
    code = 0 if not error else 1 if counts.keys() & {"failed", "interrupted"} else 2
    code = 130 if isinstance(error, KeyboardInterrupt) else code
    return max(code, _summarized(left)) if left else code


def usage(conf: Path) -> str:
    """Return what --help shows. Hydra would do the same after a look into 75 groups."""
    groups = {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in sorted(conf.iterdir())
        if folder.is_dir() and folder.name != "hydra"
    }
    lines = "\n".join(f"  {name:<8} {', '.join(options)}" for name, options in groups.items())
    template = OmegaConf.load(conf / "hydra" / "help" / "convscope.yaml").template
    return Template(template).substitute(APP_CONFIG_GROUPS=lines.strip()).strip()


class Job:
    """One run of a command.

    Attributes:
        overrides: what the command line says of it.
        swept: its values of what a multirun varies; None outside of one.
        folder: where its results go, once its request has passed the check.
        tracker: what writes them, once the stage runs.
    """

    def __init__(self, cfg: DictConfig) -> None:
        """Take the config that Hydra has composed."""
        parts: Any = HydraConfig.get()
        self._cfg, self._parts = cfg, parts
        self.overrides: list[str] = list(parts.overrides.task)
        self.swept: dict[str, object] | None = None
        self.folder: Path | None = None
        self.tracker: Tracker | None = None
        self._top: Path | None = None
        self.home = Path(parts.runtime.cwd, parts.sweep.dir)
        self.header = ""
        if parts.mode == RunMode.MULTIRUN:
            self.header = f"job {parts.job.num}: {' '.join(self.overrides)}"

    def note(self, **content: object) -> None:
        """Add a line on this job to those of its multirun, if it belongs to one."""
        if self.header:
            multirun.note(self.home, job=self._parts.job.num, **content)

    def begin(self) -> None:
        """Say that the job begins, and with which of the swept values."""
        if not self.header:
            return
        print(self.header, flush=True)
        first, sweep = Path(self._parts.runtime.output_dir), multirun.read(self.home)
        killed = {job.number for job in sweep.jobs if job.status == "interrupted"}
        if self._parts.job.num in killed and any(first.iterdir()):  # its launcher tries again
            with read_write(self._parts), open_dict(self._parts):
                self._parts.runtime.output_dir = str(_new_folder(first, 2))
        given = _overrides(self.overrides)
        self.swept = {key: one.value() for key, one in given.items() if key not in sweep.fixed}
        place = os.path.relpath(self._parts.runtime.output_dir, self.home)
        self.note(folder=place, swept=self.swept)

    @contextlib.contextmanager
    def opened(self, values: dict[str, Any], own: Own) -> Iterator[Tracker]:
        """Yield the tracker of the run, with Hydra's three files in its folder."""
        from convscope.tracking.tracker import track

        parts, task = self._parts, self.overrides
        stage, model = values["stage"]["name"], values["model"]["name"]
        more = {} if self.swept is None else {"sweep": self.swept}
        with contextlib.ExitStack() as stack:
            try:
                self._top = Path(own.outputs).resolve()
                self.folder = self._made(values)
                with read_write(parts), open_dict(parts):
                    parts.runtime.output_dir = str(self.folder)
                (self.folder / ".hydra").mkdir()
                files = {"config": self._cfg, "overrides": task, "hydra": {"hydra": parts}}
                for name, content in files.items():
                    text = OmegaConf.to_yaml(content)
                    (self.folder / ".hydra" / f"{name}.yaml").write_text(text)
            except OSError as error:
                raise Refusal(
                    f"outputs={own.outputs} cannot hold the results: {error.strerror}. Give a"
                    " folder that can be written to with outputs=PATH."
                ) from error
            with in_one_line():
                self.tracker = stack.enter_context(
                    track(
                        self.folder,
                        own.tracker,
                        config={**values, **more, "overrides": task},
                        stage=stage,
                        name=" ".join(filter(None, [stage, _unit(values, ":")])),
                        group=Path(parts.sweep.dir).name if self.header else None,
                        tags=[
                            str(tag)
                            for tag in (model, values.get("layer"))
                            if tag not in ("", None)
                        ],
                    )
                )
            if self.header:
                self.tracker.line("run.log", self.header)
            yield self.tracker

    def _made(self, values: Mapping[str, Any]) -> Path:
        """Return the new folder of the run, never one that is in use."""
        if self.header or self._parts.run.dir != ".":
            folder = Path(self._parts.runtime.output_dir)  # Hydra has made it
            if any(folder.iterdir()):
                raise Refusal(f"{os.path.relpath(folder)} is not empty. Give another folder.")
            return folder
        names = (values["stage"]["name"], values["model"]["name"], _unit(values, "-"))
        safe = [re.sub(r"[^\w.+-]", "_", name) for name in names if name]
        parent = Path(str(self._top)).joinpath(*safe)
        parent.mkdir(parents=True, exist_ok=True)
        return _new_folder(parent / time.strftime("%Y-%m-%d_%H-%M-%S"), 1)

    def discard(self) -> None:
        """Remove the folder of a job that has not started, and the empty ones above it."""
        if self.folder and self._top:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                for parent in (one for one in self.folder.parents if self._top in one.parents):
                    parent.rmdir()
        elif self.header:
            with contextlib.suppress(OSError):  # Hydra made it; it stays if it is not empty
                Path(self._parts.runtime.output_dir).rmdir()

    def end(self, error: BaseException) -> str:
        """Say in one line what ended the job, and return it in one word."""
        stopped, trace = isinstance(error, KeyboardInterrupt), traceback.format_exception(error)
        if isinstance(error, Refusal):
            complain(str(error))
            return "refused"
        if self.tracker is None:  # so early, it is a fault of the code: all is shown
            complain("Interrupted before the run had started." if stopped else "".join(trace))
            return "interrupted" if stopped else "failed"
        folder, logs = self.tracker.directory, {"summary.json", "run.log"}
        written = [str(path.relative_to(folder)) for path in self.tracker.written]
        files = [name for name in written if name not in logs]
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        named = ", ".join(files[:5]) or "nothing but the log"
        kept = f"Finished and kept in {os.path.relpath(folder)}: {named}{more}."
        if stopped:
            way = "goes on from there" if self.tracker.resumes else "starts anew"
            line = f"Interrupted. {kept} The same command {way}, in a folder of its own."
        else:
            line = f"failed: {one_line(error)} ({type(error).__name__}; more in run.log). {kept}"
        complain(line)
        with contextlib.suppress(OSError):  # the disk may be full
            self.tracker.line("run.log", line if stopped else f"{line}\n{''.join(trace)}")
        return "interrupted" if stopped else "failed"


@contextlib.contextmanager
def job(cfg: DictConfig) -> Iterator[Job]:
    """Yield a job that has begun; say how it ends, and note that in the folder of its multirun."""
    this = Job(cfg)
    with contextlib.redirect_stderr(sys.__stderr__):
        try:
            this.begin()
            yield this
        except BaseException as error:
            if this.tracker is None:
                this.discard()
            OUTCOMES.append(this.end(error))
            why = "" if OUTCOMES[-1] == "interrupted" else one_line(error)
            this.note(status=OUTCOMES[-1], why=why)
            raise
        finally:
            gc.collect()  # graphs are full of cycles, of which a sweep would pile up gigabytes
        OUTCOMES.append("done")
        this.note(status="done")


def plain(cfg: DictConfig, stages: Collection[str]) -> dict[str, Any]:
    """Return the config as plain values, of which the stage is one of `stages`."""
    values: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    if (chosen := values.get("stage")) is None:
        raise Refusal(no_stage(list(stages)))
    if (name := chosen.get("name")) not in stages:
        raise Refusal(f"There is no stage {name!r}. The stages are {', '.join(stages)}.")
    return dict(values)


def read_settings(
    values: dict[str, Any], settings: type, overrides: Iterable[str]
) -> tuple[Own, Any]:
    """Return the settings of a run and of its stage.

    What `conf/config.yaml` has for other stages is taken out of the values, and refused where the
    command line asks for it.
    """
    mine, its = (list(setting_names(kind, values)) for kind in (Own, settings))
    for key in [key for key in values if key not in [*mine, *its]]:
        if key not in GROUPS:
            raise Refusal(unknown(key, [*its, *mine]))
        if given := [text for text in overrides if re.match(rf"{key}[.=]", text)]:
            stage = values["stage"]["name"]
            raise Refusal(f"{given[0]} has no effect on stage={stage}. Leave it out.")
        del values[key]
    own = read(Own, {key: value for key, value in values.items() if key in mine})
    made: Any = read(settings, {key: value for key, value in values.items() if key not in mine})
    values["model"]["name"] = made.model.called
    return own, made


def complain(line: str) -> None:
    """Say one line on stderr."""
    print(line, file=sys.stderr, flush=True)


def summarize(sweep: multirun.Sweep, settings: TrackerSettings) -> str:
    """Write table, picture and page of a multirun, and show them to W&B as one run of its group.

    Returns:
        Why W&B has none of it, "" unless it was asked for and is out of reach.

    Raises:
        FileExistsError: the folder holds the summary of another multirun.
    """
    # Here, because numpy, Pillow and jinja2 are not needed before the last job has ended.
    from convscope.report import sweep as sweeps
    from convscope.tracking.tracker import track

    pictures, why = sweeps.pictures(sweep), ""
    for chosen in (settings, FilesTracker("files")):
        try:
            with track(
                sweep.folder,
                chosen,
                config={"overrides": list(sweep.asked), "sweep": sweep.values},
                stage="sweep",
                name=" ".join(["sweep", *sweep.keys]),
                group=sweep.folder.name,
                tags=[sweep.fixed[key] for key in ("stage", "layer") if key in sweep.fixed],
                flat=True,
            ) as tracker:
                tracker.summarize(multirun.summary(sweep))
                columns, rows = multirun.rows(sweep)
                tracker.table("sweep", columns, rows, {"picture": sweeps.tiles(sweep, pictures)})
                tracker.image("sweep", sweeps.sheet(sweep, pictures))
                tracker.page("sweep", sweeps.page(sweep, pictures))
            return why
        except ConnectionError as error:
            why = " ".join(str(error).split())
    return why


def _summarized(sweep: multirun.Sweep) -> int:
    """Write the summary of a multirun and return its exit code."""
    try:
        config = SWEEPS[0]
        chosen = OmegaConf.to_container(config.tracker, resolve=True)
        own = read(Own, {"outputs": config.outputs, "tracker": chosen})
        if why := summarize(sweep, own.tracker):
            complain(why)
    except KeyboardInterrupt:
        complain("Interrupted. The summary of the jobs is not finished.")
        return 130
    except Exception as error:
        complain(f"There is no summary of the jobs: {one_line(error)} ({type(error).__name__})")
        return 1
    return 0


def _sweep() -> multirun.Sweep | None:
    """Return the multirun that Hydra has begun, if any; where no job left a thing, remove it."""
    with contextlib.suppress(IndexError, OmegaConfBaseException):
        sweep = multirun.read(Path(SWEEPS[0].hydra.sweep.dir).resolve())
        multirun.remove_empty(sweep.folder)
        return sweep
    return None


def _with_folder(arguments: Sequence[str]) -> list[str]:
    """Return what the command line says, with images=folder where only images.root=PATH is said."""
    given = list(arguments)
    roots = [at for at, text in enumerate(given) if re.match(r"\+{0,2}images\.root=", text)]
    if roots and not any(re.match(r"\+{0,2}images=", text) for text in given):
        given.insert(roots[0], "images=folder")
    return given


def _new_folder(path: Path, first: int) -> Path:
    """Make a folder of this name, or of this name with a number if it is taken, and return it."""
    folder = path if first == 1 else path.with_name(f"{path.name}-{first}")
    try:
        folder.mkdir()
    except FileExistsError:  # another run was faster
        return _new_folder(path, first + 1)
    return folder


def _unit(values: Mapping[str, Any], between: str) -> str:
    layer = values.get("layer")
    return label(layer, values.get("filter"), between) if layer is not None else ""


def _overrides(texts: Iterable[str]) -> dict[str, Override]:
    """Return overrides by their key, without the sign in front of it."""
    parsed = OverridesParser.create().parse_overrides(list(texts))
    return {override.get_key_element().lstrip("+~"): override for override in parsed}
