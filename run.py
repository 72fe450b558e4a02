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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from string import Template
from typing import Any

# Hydra hands its errors over as they are, so that they can be said in one line here.
os.environ["HYDRA_FULL_ERROR"] = "1"

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from convscope.settings import TrackerSettings, closest, read, setting_names, unknown

# A stage is a module with Settings, check(settings) and run(settings, tracker). It is imported
# when it is chosen, and imports TensorFlow only in run, so that a refusal takes no time.
STAGES = {"circuit": "convscope.stages.circuit"}

CONF = Path(__file__).resolve().parent / "conf"
OUTCOMES: list[str] = []  # how each job ended: done, refused, failed or interrupted


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


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(usage())
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no letter is worth a run's failure
    signal.signal(signal.SIGTERM, _interrupt)
    OUTCOMES.clear()
    told = io.StringIO()  # what Hydra says in many lines on stderr is said in one below
    error: BaseException | None = None
    try:
        with contextlib.redirect_stderr(told):
            job()
    except (Exception, KeyboardInterrupt, SystemExit) as caught:
        error = caught
    sweep = _tidy_sweep(error) if error else None
    counts = Counter(OUTCOMES)
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
    if len(OUTCOMES) > 1:
        ends = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        kept = f" What is done is kept in {os.path.relpath(sweep)}." if sweep else ""
        print(f"{len(OUTCOMES)} jobs: {ends}.{kept}", file=sys.stderr if error else sys.stdout)
    if isinstance(error, KeyboardInterrupt):
        return 130
    return (1 if counts["failed"] else 2) if error else 0


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> None:
    """Run one job; say how it ended and raise what ended it, for Hydra to know it too."""
    parts: Any = HydraConfig.get()
    sweep = parts.mode == RunMode.MULTIRUN
    header = f"job {parts.job.num}: {' '.join(parts.overrides.task)}" if sweep else ""
    folder: Path | None = None
    tracker = None
    with contextlib.redirect_stderr(sys.__stderr__):
        try:
            if sweep:
                print(header, flush=True)
            request, stage, own, values = checked(cfg)
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
            raise
        finally:
            gc.collect()  # graphs are full of cycles, of which a sweep would pile up gigabytes
        OUTCOMES.append("done")


def checked(cfg: DictConfig) -> tuple[dict[str, Any], Any, Own, Any]:
    """Return the config as plain values, the stage's module, and both settings, all checked."""
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
        mine, its = setting_names(Own), setting_names(stage.Settings)
        for key in request:
            if key not in [*mine, *its]:
                raise Refusal(unknown(key, [*its, *mine]))
        own = read(Own, {k: v for k, v in request.items() if k in mine})
        values = read(stage.Settings, {k: v for k, v in request.items() if k not in mine})
        stage.check(values)
    except MissingMandatoryValue as error:
        key = error.full_key
        raise Refusal(f"{key} is missing. Add {key}=... to the command.") from error
    except (OmegaConfBaseException, ValueError, OSError, ImportError, RecursionError) as error:
        raise Refusal(_one_line(error)) from error
    return request, stage, own, values


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
    from convscope.tracker import track

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
        line = f"Interrupted. {kept} The same command starts anew, in a folder of its own."
    else:
        line = f"failed: {_one_line(error)} ({type(error).__name__}; more in run.log). {kept}"
    complain(line)
    _keep(folder, line, "" if stopped else "".join(trace))
    return "interrupted" if stopped else "failed"


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
        near = closest(option, error.options)
        meant = f" Did you mean '{near}'?" if near else ""
        return f"There is no {group} '{option}'. {group} takes {', '.join(error.options)}.{meant}"
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
        return unknown(key[1], _dotted(tree))
    if twice := re.match(r"Multiple values for (\S+?)\.", text):
        return f"{twice[1]} is given more than once. Give it once."
    if text.startswith("Config group override must be"):
        named = [given for given in sys.argv[1:] if re.match(r"[\w/@]+=", given)]
        groups = [given for given in named if (CONF / given.partition("=")[0]).is_dir()]
        if groups:
            return f"{' '.join(groups)}: a group takes the name of an option; --help lists them."
    text = re.split(r"\s*\n?(?:Config search path|Search path):", text)[0]
    return " ".join(f"{text} {error.__cause__ or ''}".split())


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
    choices = " or ".join(f"stage={name}" for name in STAGES)
    return f"No stage is chosen. Add {choices}; --help shows an example for each."


def _unit(request: Mapping[str, Any], between: str) -> str:
    layer = request.get("layer")
    return f"{layer}{between}{request.get('filter')}" if layer is not None else ""


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


def _tidy_sweep(error: BaseException) -> Path | None:
    """Return the folder of a multirun that `error` has ended, or remove it if no job used it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if made := frame.f_locals.get("sweep_dir"):  # of Hydra's sweeper, which tells it no one
            folder = Path(str(made))
            if not folder.is_dir():
                return None
            if [path.name for path in folder.iterdir()] != ["multirun.yaml"]:
                return folder
            (folder / "multirun.yaml").unlink()
            folder.rmdir()
            if folder.parent.name == "sweeps" and not any(folder.parent.iterdir()):
                folder.parent.rmdir()
    return None


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
    sys.exit(main())
