"""Multiruns from the command line: what they leave in their folder and in W&B's files."""

import csv
import importlib.util
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from multiruns import multirun
from omegaconf import OmegaConf
from PIL import Image
from wandb_reader import OfflineRun

from convscope.settings import FilesTracker, WandbTracker
from convscope.stages.launch import summarize
from convscope.tracking.multirun import read

FILES = FilesTracker("files")
ONLINE = WandbTracker("wandb", "p", "online", None, ())
ROOT = Path(__file__).resolve().parents[2]
CHEAP = ("stage=maximize", "layer=block1_conv2", "filter=3", "ascent.steps=2", "ascent.size=32")


def sweep_folder(shell):
    (folder,) = (shell.folder / "outputs" / "sweeps").iterdir()
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# With a stage that is over at once; filter 13 fails, 15 waits


def test_a_multirun_sums_up_what_its_jobs_were_asked_and_reached(shell, say):
    ended = say("-m", "stage=circuit", "layer=block1,nope", "filter=13,3", "tracker=files")
    folder = sweep_folder(shell)
    assert ended.code == 1
    assert ended.out[-2:] == [
        f"Report  {folder.relative_to(shell.folder)}/sweep.html",
        f"Folder  {folder.relative_to(shell.folder)}",
    ]
    rows = table(folder)
    assert list(rows[0]) == ["job", "layer", "filter", "status", "activation", "seconds", "folder"]
    assert [list(row.values())[:5] for row in rows] == [
        ["0", "block1", "13", "failed", ""],
        ["1", "block1", "3", "done", "2.5"],
        ["2", "nope", "13", "refused", ""],
        ["3", "nope", "3", "refused", ""],
    ]
    assert [row["folder"] for row in rows] == ["0", "1", "", ""]
    assert {path.name for path in folder.iterdir()} == shell.SUMMARY | {"0", "1", "multirun.yaml"}
    found = summary(folder)
    assert found["status"] == "done"
    assert (found["sweep/jobs"], found["sweep/done"], found["sweep/refused"]) == (4, 1, 2)
    assert found["swept"] == {"layer": ["block1", "nope"], "filter": [13, 3]}
    page = (folder / "sweep.html").read_text()
    assert "unlucky number" in page
    assert "vgg16 has no layer &#39;nope&#39;" in page
    assert pixels(folder / "sweep.png").shape[-1] == 3


def test_an_interrupted_multirun_sums_up_what_is_done(shell):
    arguments = ("-m", "stage=circuit", "layer=block1", "filter=3,15,4", "seed=0")
    ended = shell.signalled(signal.SIGINT, *arguments)
    folder = sweep_folder(shell)
    assert ended.code == 130
    assert ended.err[0].startswith("Interrupted. Finished and kept in outputs/sweeps/")
    told = "2 jobs: 1 done, 1 interrupted. What is done is kept in outputs/"
    assert ended.err[1].startswith(told)
    assert {path.name for path in folder.iterdir()} >= shell.SUMMARY | {"0", "1"}
    assert [row["status"] for row in table(folder)] == ["done", "interrupted"]
    assert (folder / "sweep.html").exists()
    run = OfflineRun(folder)
    assert (run.job_type, run.exit_code) == ("sweep", 0)
    assert [OfflineRun(folder / job).exit_code for job in "01"] == [0, 130]


def test_a_multirun_of_a_single_job_is_summed_up_too(shell, say):
    ended = say("-m", "stage=circuit", "layer=block1", "filter=3", "tracker=files")
    assert (ended.code, ended.err) == (0, [])
    (row,) = table(sweep_folder(shell))
    assert list(row) == ["job", "status", "activation", "seconds", "folder"]


def test_whatever_its_spelling_what_all_jobs_share_is_not_swept(shell, say):
    shared = ("++seed=3", "ascent.size=[9, 7]", "ascent.view=null", "outputs='my outputs'")
    ended = say("-m", "stage=circuit", "layer=block1", "filter=3", "tracker=files", *shared,
                  "ascent.jitter=2,1.5")  # fmt: skip
    assert ended.code == 0, ended.err
    (folder,) = (shell.folder / "my outputs" / "sweeps").iterdir()
    sweep = read(folder)
    assert sweep.values == {"ascent.jitter": (2, 1.5)}
    assert sweep.fixed["seed"] == "3"
    assert sweep.fixed["ascent.size"] == "[9, 7]"


def test_each_job_tells_wandb_its_swept_values_and_one_run_tells_of_all(shell):
    ended = shell("-m", "stage=circuit", "layer=block1", "filter=3", "ascent.jitter=1,2", "seed=0")
    assert (ended.code, ended.err) == (0, [])
    folder = sweep_folder(shell)
    first, second, whole = (OfflineRun(folder / name) for name in ("0", "1", ""))
    assert {run.group for run in (first, second, whole)} == {folder.name}
    assert (first.config["sweep"], second.config["sweep"]) == (
        {"ascent.jitter": 1},
        {"ascent.jitter": 2},
    )
    assert (whole.job_type, whole.name) == ("sweep", "sweep ascent.jitter")
    assert whole.config["sweep"] == {"ascent.jitter": [1, 2]}
    assert whole.config["overrides"][-2:] == ["ascent.jitter=1,2", "seed=0"]
    assert sorted(whole.tags) == ["block1", "circuit"]
    upload = f"wandb sync {folder.relative_to(shell.folder)}/wandb/offline-run-"
    assert ended.out[-1].startswith(f"W&B     offline; this uploads it: {upload}")
    assert list(shell.home.rglob("*wandb*")) == []


def test_a_second_multirun_leaves_the_first_one_in_its_folder_as_it_is(shell, say):
    given = ("-m", "stage=circuit", "layer=block1", "tracker=files", "hydra.sweep.dir=mine")
    assert say(*given, "filter=3,4").code == 0
    before = {name: (shell.folder / "mine" / name).read_bytes() for name in shell.SUMMARY}
    ended = say(*given, "filter=5,6")
    assert ended.code == 2
    assert ended.err[0] == "mine/0 is not empty. Give another folder."
    assert "mine already holds a run" in ended.err[-1]
    assert {name: (shell.folder / "mine" / name).read_bytes() for name in shell.SUMMARY} == before


def test_jobs_in_other_folders_than_their_number_are_found(shell, say):
    ended = say("-m", "stage=circuit", "layer=block1", "filter=3,4", "tracker=files",
        "hydra.sweep.subdir='filter ${filter}'",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    folder = sweep_folder(shell)
    assert [row["folder"] for row in table(folder)] == ["filter 3", "filter 4"]
    assert 'href="filter%203/report.html"' in (folder / "sweep.html").read_text()


# Of made-up folders


def test_the_summary_is_in_files_where_wandb_is_out_of_reach(shell, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = multirun(tmp_path / "sweep", {"seed": [0, 1]})
    assert summarize(read(folder), ONLINE).startswith("W&B did not start: No API key")
    assert {path.name for path in folder.iterdir()} >= shell.SUMMARY
    assert len(table(folder)) == 2


def test_a_folder_that_has_a_summary_gets_no_other(tmp_path: Path) -> None:
    folder = multirun(tmp_path / "sweep", {"seed": [0, 1]})
    assert summarize(read(folder), FILES) == ""
    with pytest.raises(FileExistsError, match="already holds a run"):
        summarize(read(folder), FILES)


# A sweep of W&B


def test_wandb_turns_the_sweep_into_commands_that_hydra_takes(shell):
    from wandb.sdk.launch.sweeps import utils

    given: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "wandb_sweep.yaml"))
    assert (ROOT / given["program"]).is_file()
    drawn = {"seed": 2, "ascent.learning_rate": 0.3, "ascent.decay": 1.25}
    assert drawn.keys() == given["parameters"].keys()
    values = utils.create_sweep_command_args(
        {"args": {key: {"value": value} for key, value in drawn.items()}}
    )
    words = {"env": [], "program": [str(ROOT / "run.py")]} | values
    command: list[str] = []
    for part in utils.create_sweep_command(list(given["command"])):
        command += words[part[2:-1]] if part.startswith("${") else [part]
    assert command[0] == "python"
    assert command[-3:] == ["seed=2", "ascent.learning_rate=0.3", "ascent.decay=1.25"]
    ended = shell.real(*command[2:], "--cfg", "job")
    assert (ended.code, ended.err) == (0, [])
    shown: Any = OmegaConf.create("\n".join(ended.out))
    assert (shown.seed, shown.ascent.learning_rate, shown.tracker.mode) == (2, 0.3, "online")
    assert given["metric"]["name"] == f"{shown.stage.name}/activation"


def test_an_agent_of_wandb_gets_the_run_it_has_started(shell, tmp_path):
    parameters = tmp_path / "config.yaml"
    parameters.write_text("wandb_version: 1\nascent.jitter:\n  value: 3\n")
    shell.environment |= {
        "WANDB_SWEEP_ID": "sweep1",
        "WANDB_RUN_ID": "run1",
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
        "PYTHONWARNINGS": "ignore",
    }
    ended = shell("stage=circuit", "layer=block1", "filter=3", "ascent.jitter=3")
    run = OfflineRun(shell.run_folder())
    assert ended.code == 0
    assert run.path.name == "run-run1.wandb"
    assert run.config["ascent"]["jitter"] == run.config["ascent.jitter"] == 3


# With the real network


@pytest.mark.exhaustive
def test_four_real_jobs_and_their_summary_are_one_group_in_wandb(shell):
    ended = shell.real("-m", *CHEAP, "ascent.learning_rate=0.05,0.8",
                 "ascent.total_variation=0,1e-2")  # fmt: skip
    assert ended.code == 0, ended.err
    folder = sweep_folder(shell)
    runs = [OfflineRun(folder / str(number)) for number in range(4)]
    whole = OfflineRun(folder)
    assert {run.group for run in (*runs, whole)} == {folder.name}
    assert {run.job_type for run in runs} == {"maximize"}
    assert {run.exit_code for run in (*runs, whole)} == {0}
    assert [tuple(run.config["sweep"].values()) for run in runs] == [
        (rate, variation) for rate in (0.05, 0.8) for variation in (0, 1e-2)
    ]

    rows = table(folder)
    measured = [summary(folder / str(number))["maximize/activation"] for number in range(4)]
    assert [float(row["activation"]) for row in rows] == measured
    assert [run.summary["maximize/activation"] for run in runs] == measured
    best = int(np.argmax(measured))
    assert (whole.summary["sweep/jobs"], whole.summary["sweep/best"]) == (4, best)

    logged = whole.table("tables/sweep")
    assert logged["columns"][:3] == ["job", "ascent.learning_rate", "ascent.total_variation"]
    assert logged["columns"][-1] == "picture"
    assert [row[4] for row in logged["data"]] == measured
    assert len({row[-1]["sha256"] for row in logged["data"]}) == 4
    sheet = pixels(whole.files / whole.logged("images/sweep")["path"])
    assert np.array_equal(sheet, pixels(folder / "sweep.png"))
    page = whole.files / whole.logged("sweep")["path"]
    assert page.read_text() == (folder / "sweep.html").read_text()
    assert page.read_text().count('<figure class="job') == 4


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins") is None
    or importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None,
    reason="Optuna is an extra: uv sync --extra optuna",
)
def test_optuna_searches_for_the_highest_activation(shell):
    ended = shell.real("-m", *CHEAP, "tracker=files", "hydra/sweeper=search",
                 "hydra.sweeper.n_trials=4", "hydra.sweeper.sampler.seed=1",
                 "ascent.learning_rate=tag(log,interval(0.01,1))")  # fmt: skip
    assert (ended.code, ended.err) == (0, [])
    folder = sweep_folder(shell)
    rows = table(folder)
    best = max(rows, key=lambda row: float(row["activation"]))
    told: Any = OmegaConf.load(folder / "optimization_results.yaml")
    assert len({row["ascent.learning_rate"] for row in rows}) == 4
    assert told.best_value == float(best["activation"])
    assert told.best_params["ascent.learning_rate"] == float(best["ascent.learning_rate"])
    assert summary(folder)["sweep/best"] == int(best["job"])


def test_a_search_without_optuna_says_how_to_install_it(shell):
    if importlib.util.find_spec("optuna"):
        pytest.skip("Optuna is installed")
    ended = shell.real("-m", "stage=maximize", "hydra/sweeper=search")
    assert ended.code == 2
    assert ended.line == (
        "hydra/sweeper=optuna is not installed. Install it with: uv sync --extra optuna"
    )
    assert shell.files() == []
