"""Answer one question about one filter: compose the config, open the tracker, run one stage.

    python run.py stage=circuit layer=block4_conv3 filter=17

Exit codes: 0 done, 1 failed, 2 the request was wrong and nothing was done, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from string import Template
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from convscope.settings import TrackerSettings, read, setting_names, unknown
from convscope.stages import launch
from convscope.text import closest, listed
from convscope.tracking import multirun
from convscope.unit import label

# Hydra hands its errors over as they are, so that they can be said in one line here.
os.environ["HYDRA_FULL_ERROR"] = "1"

# A stage is a module with Settings, check(settings) and run(settings, tracker). It is imported
# when it is chosen, and imports TensorFlow only in run, so that a refusal takes no time.
STAGES = {
    "classify": "convscope.stages.classify",
    "layers": "convscope.stages.layers",
    "maximize": "convscope.stages.maximize",
    "rank": "convscope.stages.rank",
    "circuit": "convscope.stages.circuit",
}
GROUPS = {
    "layer",
    "filter",
    "seed",
    "model",
    "images",
    "ascent",
    "hypothesis",
}  # not every stage needs all

# The plugins of Hydra that an extra of this project installs, and which.
EXTRAS = {
    "optuna": "optuna", "joblib": "parallel", "submitit_slurm": "slurm", "submitit_local": "slurm",
    "ray": "ray",
}  # fmt: skip

CONF = Path(__file__).resolve().parent / "conf"
OUTCOMES: list[str] = []  # how each job ended: done, refused, failed or interrupted
SWEEPS: list[DictConfig] = []  # the config of the multirun, once Hydra has begun one


class Refusal(Exception):
    """The request is wrong; the text is the line that says so."""


@dataclass(frozen=True)
class Own:
    """The settings that are for this file and not for a stage."""

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


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(usage())
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no letter is worth a run's failure
    signal.signal(signal.SIGTERM, _interrupt)
    # For the processes of a launcher: they find the job by the name of this file.
    places = [str(CONF.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
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
            complain(_flags(told.getvalue()))
        elif isinstance(error, HydraException | OmegaConfBaseException | ValueError | OSError):
            complain(worded(error))
        else:
            raise error
    if len(outcomes) > 1:
        ends = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        where = os.path.relpath(left.folder) if left and error else ""
        kept = f" What is done is kept in {where}." if where else ""
        print(f"{len(outcomes)} jobs: {ends}.{kept}", file=sys.stderr if error else sys.stdout)
    code = 0 if not error else 1 if counts.keys() & {"failed", "interrupted"} else 2
    code = 130 if isinstance(error, KeyboardInterrupt) else code
    return max(code, summarized(left, SWEEPS[0])) if left else code


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float | None:
    """Run one job and return its activation, for a sweeper that searches.

    It says how the job ended and raises what ended it, for Hydra to know it too.
    """
    parts: Any = HydraConfig.get()
    sweep = parts.mode == RunMode.MULTIRUN
    header = f"job {parts.job.num}: {' '.join(parts.overrides.task)}" if sweep else ""
    folder: Path | None = None
    tracker = None
    with contextlib.redirect_stderr(sys.__stderr__):
        try:
            if sweep:
                print(header, flush=True)
                _again(parts)
                swept = _started(parts)
            request, stage, own, values = checked(cfg, parts.overrides.task)
            if sweep:
                request["sweep"] = swept
            folder = new_folder(request, own, parts)
            with opened(folder, own, request, cfg, parts) as tracker:
                if sweep:
                    _keep(folder, header)
                stage.run(values, tracker)
        except BaseException as error:
            if tracker is None and folder:
                _discard(folder, Path(own.outputs).resolve())
            elif tracker is None and sweep:
                with contextlib.suppress(OSError):  # Hydra made it; it stays if it is not empty
                    Path(parts.runtime.output_dir).rmdir()
            OUTCOMES.append(said(error, tracker))
            if sweep:
                why = "" if OUTCOMES[-1] == "interrupted" else _one_line(error)
                multirun.note(_home(parts), job=parts.job.num, status=OUTCOMES[-1], why=why)
            raise
        finally:
            gc.collect()  # graphs are full of cycles, of which a sweep would pile up gigabytes
        OUTCOMES.append("done")
        if sweep:
            multirun.note(_home(parts), job=parts.job.num, status="done")
        return multirun.activation(folder)


def checked(cfg: DictConfig, task: Sequence[str]) -> tuple[dict[str, Any], Any, Own, Any]:
    """Return the config as plain values, the stage's module, and both settings, all checked.

    `task` is what the command line says. What `conf/config.yaml` has for other stages is left out
    of the values, and refused where it was asked for.
    """
    try:
        request: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        chosen = request.get("stage")
        if chosen is None:
            raise Refusal(_no_stage())
        if chosen.get("name") not in STAGES:
            raise Refusal(
                f"There is no stage {chosen.get('name')!r}. The stages are {', '.join(STAGES)}."
            )
        stage = importlib.import_module(STAGES[chosen["name"]])
        mine, its = (list(setting_names(kind, request)) for kind in (Own, stage.Settings))
        for key in [key for key in request if key not in [*mine, *its]]:
            if key not in GROUPS:
                raise Refusal(unknown(key, [*its, *mine]))
            if given := [text for text in task if re.match(rf"{key}[.=]", text)]:
                raise Refusal(f"{given[0]} has no effect on stage={chosen['name']}. Leave it out.")
            del request[key]
        own = read(Own, {k: v for k, v in request.items() if k in mine})
        values = read(stage.Settings, {k: v for k, v in request.items() if k not in mine})
        request["model"]["name"] = values.model.called
        stage.check(values)
    except MissingMandatoryValue as error:
        key = error.full_key
        raise Refusal(f"{key} is missing. Add {key}=... to the command.") from error
    except (OmegaConfBaseException, ValueError, OSError, ImportError, RecursionError) as error:
        raise Refusal(_one_line(error)) from error
    return request, stage, own, values


def _with_folder(arguments: Sequence[str]) -> list[str]:
    """Return what the command line says, with images=folder where only images.root=PATH is said."""
    given = list(arguments)
    roots = [at for at, text in enumerate(given) if re.match(r"\+{0,2}images\.root=", text)]
    if roots and not any(re.match(r"\+{0,2}images=", text) for text in given):
        given.insert(roots[0], "images=folder")
    return given


def new_folder(request: Mapping[str, Any], own: Own, parts: Any) -> Path:
    """Make and return the folder of one run, never one that is in use."""
    if parts.mode == RunMode.MULTIRUN or parts.run.dir != ".":
        folder = Path(parts.runtime.output_dir)  # Hydra has made it
        if any(folder.iterdir()):
            raise Refusal(f"{os.path.relpath(folder)} is not empty. Give another folder.")
        return folder
    names = (request["stage"]["name"], request["model"]["name"], _unit(request, "-"))
    safe = [re.sub(r"[^\w.+-]", "_", name) for name in names if name]
    parent = Path(own.outputs).resolve().joinpath(*safe)
    now = time.strftime("%Y-%m-%d_%H-%M-%S")
    with _refusing(own):
        parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            folder = parent / (now if number == 1 else f"{now}-{number}")
            with contextlib.suppress(FileExistsError):  # another run was faster
                folder.mkdir()
                break
    return folder


@contextlib.contextmanager
def opened(
    folder: Path, own: Own, request: Mapping[str, Any], cfg: DictConfig, parts: Any
) -> Iterator[Any]:
    """Yield the tracker of a run, with Hydra's three files in its folder."""
    from convscope.tracking.tracker import track

    stage, model, task = request["stage"]["name"], request["model"]["name"], parts.overrides.task
    with contextlib.ExitStack() as stack:
        with read_write(parts), open_dict(parts):
            parts.runtime.output_dir = str(folder)
        files = {"config": cfg, "overrides": task, "hydra": {"hydra": parts}}
        with _refusing(own):
            (folder / ".hydra").mkdir()
            for name, content in files.items():
                (folder / ".hydra" / f"{name}.yaml").write_text(OmegaConf.to_yaml(content))
        try:
            tracker = stack.enter_context(
                track(
                    folder,
                    own.tracker,
                    config={**request, "overrides": list(task)},
                    stage=stage,
                    name=" ".join(filter(None, [stage, _unit(request, ":")])),
                    group=Path(parts.sweep.dir).name if parts.mode == RunMode.MULTIRUN else None,
                    tags=[*filter(None, [model, request.get("layer")])],
                )
            )
        except (ValueError, OSError) as error:
            raise Refusal(_one_line(error)) from error
        yield tracker


def said(error: BaseException, tracker: Any) -> str:
    """Say in one line how a job ended, and return it in one word."""
    stopped, trace = isinstance(error, KeyboardInterrupt), traceback.format_exception(error)
    if isinstance(error, Refusal):
        complain(str(error))
        return "refused"
    if tracker is None:  # so early, what is no refusal is a fault of the code: all of it is shown
        complain("Interrupted before the run had started." if stopped else "".join(trace))
        return "interrupted" if stopped else "failed"
    folder = tracker.directory
    files = [str(path.relative_to(folder)) for path in tracker.written]
    files = [n for n in files if n not in ("summary.json", "run.log")] or ["nothing but the log"]
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    kept = f"Finished and kept in {os.path.relpath(folder)}: {', '.join(files[:5])}{more}."
    if stopped:
        way = "goes on from there" if tracker.resumes else "starts anew"
        line = f"Interrupted. {kept} The same command {way}, in a folder of its own."
    else:
        line = f"failed: {_one_line(error)} ({type(error).__name__}; more in run.log). {kept}"
    complain(line)
    _keep(folder, line, "" if stopped else "".join(trace))
    return "interrupted" if stopped else "failed"


def summarized(sweep: multirun.Sweep, config: DictConfig) -> int:
    """Write the summary of a multirun and return its exit code."""
    try:
        chosen = OmegaConf.to_container(config.tracker, resolve=True)
        own = read(Own, {"outputs": config.outputs, "tracker": chosen})
        if why := launch.summarize(sweep, own.tracker):
            complain(why)
    except KeyboardInterrupt:
        complain("Interrupted. The summary of the jobs is not finished.")
        return 130
    except Exception as error:
        complain(f"There is no summary of the jobs: {_one_line(error)} ({type(error).__name__})")
        return 1
    return 0


def worded(error: BaseException) -> str:
    """Return one line for an error of Hydra's: what was given, what is accepted, what to do."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        given = error.override
        if "=" not in given:
            near = closest(given, list(STAGES))
            meant = f" Did you mean stage={near}?" if near else ""
            return f"{given!r} is no setting. Settings are given as key=value.{meant}"
        return (
            f"{given!r} cannot be read. A value with spaces, letters beyond a-z or any of"
            " ,=:()[]{}'\" is quoted twice, as in 'images.root=\"/my photos (1)\"'."
        )
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        if extra := EXTRAS.get(option):
            return _absent(group, option, extra)
        near = closest(option, error.options)
        meant = f" Did you mean '{near}'?" if near else ""
        return f"There is no {group} '{option}'. {group} takes {', '.join(error.options)}.{meant}"
    absent = re.search(r"Could not load 'hydra/(sweeper|launcher)/(\w+)'", text)
    if absent and (extra := EXTRAS.get(absent[2])):
        return _absent(f"hydra/{absent[1]}", absent[2], extra)
    if several := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+)'", text):
        key, _, value = several[1].partition("=")
        return (
            f"{several[1]} has several values. Add -m to run one job for each, or write"
            f" '{key}=[{value}]' if it is one list."
        )
    cause = getattr(error.__cause__, "parent_node", None)
    if (key := re.match(r"Could not override '(.+?)'", text)) and cause is not None:
        tree: Any = OmegaConf.to_container(cause._get_root(), resolve=False)
        if key[1].startswith("stage.") and "stage" not in tree:
            return _no_stage()
        if not key[1].startswith("hydra."):
            del tree["hydra"]
        return _elsewhere(key[1]) or unknown(key[1], _dotted(tree))
    if twice := re.match(r"Multiple values for (\S+?)\.", text):
        return f"{twice[1]} is given more than once. Give it once."
    if text.startswith("Config group override must be"):
        named = [given for given in sys.argv[1:] if re.match(r"[\w/@]+=", given)]
        groups = [given for given in named if (CONF / given.partition("=")[0]).is_dir()]
        if groups:
            return f"{' '.join(groups)}: a group takes the name of an option; --help lists them."
    text = re.split(r"\s*\n?(?:Config search path|Search path):", text)[0]
    return " ".join(f"{text} {error.__cause__ or ''}".split())


def _absent(group: str, option: str, extra: str) -> str:
    return f"{group}={option} is not installed. Install it with: uv sync --extra {extra}"


def usage() -> str:
    """Return what --help shows. Hydra would do the same after a look into 75 groups."""
    groups = {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in sorted(CONF.iterdir())
        if folder.is_dir() and folder.name != "hydra"
    }
    lines = "\n".join(f"  {name:<8} {', '.join(options)}" for name, options in groups.items())
    template = OmegaConf.load(CONF / "hydra" / "help" / "convscope.yaml").template
    return Template(template).substitute(APP_CONFIG_GROUPS=lines.strip()).strip()


def complain(line: str) -> None:
    """Say one line on stderr."""
    print(line, file=sys.stderr, flush=True)


def _keep(folder: Path, *lines: str) -> None:
    """Add lines to the run.log of a folder, if its disk lets it."""
    with contextlib.suppress(OSError), (folder / "run.log").open("a", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in lines if line)


def _no_stage() -> str:
    *others, last = [f"stage={name}" for name in STAGES]
    choices = f"{', '.join(others)} or {last}"
    return f"No stage is chosen. Add {choices}; --help shows an example for each."


def _unit(request: Mapping[str, Any], between: str) -> str:
    layer = request.get("layer")
    return label(layer, request.get("filter"), between) if layer is not None else ""


@contextlib.contextmanager
def _refusing(own: Own) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(
            f"outputs={own.outputs} cannot hold the results: {error.strerror}. Give a folder that"
            " can be written to with outputs=PATH."
        ) from error


def _discard(folder: Path, top: Path) -> None:
    """Remove a folder that this job has made, and the empty ones above it, below `top`."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in folder.parents if top in folder.parents else ():
        with contextlib.suppress(OSError):
            if parent != top:
                parent.rmdir()
                continue
        return


def _sweep() -> multirun.Sweep | None:
    """Return the multirun that Hydra has begun, if any; where no job left a thing, remove it."""
    with contextlib.suppress(IndexError, OmegaConfBaseException):
        sweep = multirun.read(Path(SWEEPS[0].hydra.sweep.dir).resolve())
        folder, ours = sweep.folder, {"multirun.yaml", multirun.JOBS}
        if folder.is_dir() and {path.name for path in folder.iterdir()} <= ours:
            for name in ours:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
            if folder.parent.name == "sweeps" and not any(folder.parent.iterdir()):
                folder.parent.rmdir()
        return sweep
    return None


def _home(parts: Any) -> Path:
    """Return the folder of the multirun that a job belongs to."""
    return Path(parts.runtime.cwd, parts.sweep.dir)


def _again(parts: Any) -> None:
    """Give a job whose process was killed, and that its launcher starts again, a second folder."""
    first, jobs = Path(parts.runtime.output_dir), multirun.read(_home(parts)).jobs
    killed = {job.number for job in jobs if job.status == "interrupted"}
    if parts.job.num not in killed or not any(first.iterdir()):
        return
    for number in count(2):
        folder = first.with_name(f"{first.name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    with read_write(parts), open_dict(parts):
        parts.runtime.output_dir = str(folder)


def _started(parts: Any) -> dict[str, object]:
    """Say in the folder of the multirun that this job has begun; return its swept values."""
    fixed = multirun.fixed(_home(parts))
    given = _overrides(parts.overrides.task)
    swept: dict[str, object] = {
        key: override.value() for key, override in given.items() if key not in fixed
    }
    place = os.path.relpath(parts.runtime.output_dir, _home(parts))
    multirun.note(_home(parts), job=parts.job.num, folder=place, swept=swept)
    return swept


def _overrides(texts: Iterable[str]) -> dict[str, Override]:
    """Return overrides by their key, without the sign in front of it."""
    parsed = OverridesParser.create().parse_overrides(list(texts))
    return {override.get_key_element().lstrip("+~"): override for override in parsed}


def _elsewhere(key: str) -> str:
    """Return the sentence for a setting that only other options of its group have, or ""."""
    group, _, name = key.partition(".")
    trees = {path.stem: OmegaConf.load(path) for path in sorted((CONF / group).glob("*.yaml"))}
    options = [f"{group}={option}" for option, tree in trees.items() if name in list(tree)]
    return (
        f"{key} is a setting of {listed(options, 'or')}. Leave it out, or add {options[0]}."
        if options
        else ""
    )


def _dotted(tree: Any, place: str = "") -> list[str]:
    names = []
    for key, value in tree.items() if isinstance(tree, dict) else ():
        names += [f"{place}{key}", *_dotted(value, f"{place}{key}.")]
    return names


def _flags(told: str) -> str:
    """Return one line for what argparse says about flags in several."""
    last = re.sub(r"^\S+: error: ", "", told.strip().rpartition("\n")[2])
    if re.match(r"unrecognized arguments: [^-]", last):
        return f"{last}. Flags like -m stand before all settings or after them."
    return f"{last}. Settings are given as key=value, without dashes; --help shows them."


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Not main() itself: conf/ and the processes of a launcher find things by the name of this file.
    sys.exit(importlib.import_module("run").main())
