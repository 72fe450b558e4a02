"""The command line, as a user meets it: no network and, but for the wording, a process a test."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from wandb_reader import OfflineRun

from convscope.data import dataset

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "run.py"
TIME = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"

GOOD = ("stage=circuit", "layer=block1", "filter=3", "tracker=files")


# Refusals


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            "",
            "No stage is chosen. Add stage=classify, stage=layers, stage=maximize, stage=rank or ",
        ),
        (
            "stage=circut",
            "There is no stage 'circut'. stage takes circuit, classify, layers, maximize, rank. ",
        ),
        (
            "model=vgg61",
            "There is no model 'vgg61'. model takes alexnet, application, effi",
        ),
        (
            "circuit",
            "'circuit' is no setting. Settings are given as key=value. Did you mean stage=",
        ),
        ("layr=3", "There is no setting 'layr'. At the top there are layer, filter, seed, outputs"),
        ("modle=vgg16", "There is no setting 'modle'."),
        ("learning_rate=1", "There is no setting 'learning_rate'. At the top there are layer,"),
        ("stage.inputs=3", "No stage is chosen. Add stage=classify, "),
        (
            "stage=circuit ascent.lerning_rate=1",
            "There is no setting 'ascent.lerning_rate'. ascent",
        ),
        ("stage=circuit filter=1,2", "filter=1,2 has several values. Add -m to run one job for"),
        ("stage=circuit filter=range(1,3)", "filter=range(1,3) has several values. Add -m"),
        ("images.root=/a=b", "'images.root=/a=b' cannot be read. A value with spaces, letters"),
        ("layer=(", "'layer=(' cannot be read."),
        ("model=null", "model=null: a group takes the name of an option; --help lists them."),
        (
            "--layer=3",
            "unrecognized arguments: --layer=3. Settings are given as key=value, without",
        ),
        ("stage=circuit -m filter=1,2", "unrecognized arguments: filter=1,2. Flags like -m stand"),
        ("--cfg job -p nope", "package 'nope' not found in config."),
        ("-m --cfg job", "Only one of --run, --multirun, --cfg"),
        ("hydra.nope=1", "There is no setting 'hydra.nope'. hydra has run, sweep,"),
        ("=3", "Config group override must be a string or a list."),
        ("-m stage=circuit outputs=/dev/null", "[Errno 20] Not a directory: '/dev/null/"),
        (
            "-m stage=circuit,nope",
            "There is no stage 'nope'. stage takes circuit, classify, layers, m",
        ),
        ("-m stage=circuit filter=interval(1,2)", "BasicSweeper does not support sweep type"),
    ],
)
def test_a_wrong_request_ends_in_one_line_before_any_stage_is_imported(arguments, told, shell, say):
    ended = say(*arguments.split(), stage="no_such_module")
    assert ended.line.startswith(told)
    assert (ended.code, ended.out) == (2, [])
    assert set(shell.files()) <= {"outputs"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("layr=3", "layer"),
        ("modle=vgg16", "model"),
        ("learning_rate=1", "ascent.learning_rate"),
        ("ascent.lerning_rate=1", "ascent.learning_rate"),
        ("ascnt.steps=1", "ascent.steps"),
    ],
)
def test_a_mistyped_key_is_answered_with_the_one_that_was_meant(given, meant, say):
    assert say(given).line.endswith(f" Did you mean '{meant}'?")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "layer and filter are missing. Add layer=... (text) filter=... (a whole number) to"),
        ("layer=block1", "filter is missing. Add filter=... (a whole number) to the command."),
        ("images=folder", "images.root is missing. Add images.root=... to the command."),
        ("layer=block1 filter=x", "filter='x' does not fit. It takes a whole number."),
        ("layer=block1 filter=true", "filter=true does not fit. It takes a whole number."),
        ("layer=7 filter=3", "layer=7 does not fit. It takes text."),
        ("layer=block1 filter=3 ascent.scale=nan", "ascent.scale=nan does not fit."),
        ("layer=block1 filter=3 ascent.steps=0", "ascent.steps=0 is too small."),
        ("layer=block1 filter=3 outputs=3", "outputs=3 does not fit. It takes text."),
        ("layer=block1 filter=3 outputs=", "outputs='' names no folder."),
        ("+layr=3", "There is no setting 'layr'."),
        ("++ascent.lerning_rate=1", "There is no setting 'ascent.lerning_rate'."),
        ("+tracker.mod=online", "There is no setting 'tracker.mod'."),
        ("+outputz=3", "There is no setting 'outputz'."),
        ("~ascent.steps layer=block1 filter=3", "ascent.steps is missing."),
        (
            "stage.name=zoo",
            "There is no stage 'zoo'. The stages are classify, layers, maximize, rank, c",
        ),
        ("layer=${nope}", "Interpolation key 'nope' not found"),
        ("layer=${layer}", "Recursive interpolation detected"),
        ("layer=nope filter=3", "vgg16 has no layer 'nope'. Did you mean 'block'?"),
        ("layer=block1 filter=3 tracker.mode=onlin", "tracker.mode='onlin' does not fit."),
    ],
)
def test_a_request_that_does_not_fit_ends_in_one_line_and_leaves_nothing(
    arguments, told, shell, say
):
    ended = say("stage=circuit", *arguments.split())
    assert ended.line.startswith(told)
    assert (ended.code, ended.out) == (2, [])
    assert shell.files() == []


@pytest.mark.parametrize("arguments", ["", "stage=circut", "layr=3", "-m stage=circuit,no"])
def test_a_wrong_request_ends_its_process_with_2(arguments, shell):
    ended = shell.real(*arguments.split())
    assert (ended.code, len(ended.err), ended.out) == (2, 1, [])


def test_a_place_that_cannot_be_written_to_is_told_and_left_as_it_was(shell, say):
    (shell.folder / "file").write_text("mine")
    ended = say(*GOOD, "outputs=file")
    assert ended.line == (
        "outputs=file cannot hold the results: Not a directory. Give a folder that can be written"
        " to with outputs=PATH."
    )
    assert (ended.code, shell.files()) == (2, ["file"])


def test_wandb_that_cannot_start_online_ends_in_one_line_and_leaves_nothing(shell):
    (shell.folder / "outputs" / "mine").mkdir(parents=True)
    ended = shell("stage=circuit", "layer=block1", "filter=3", "tracker.mode=online")
    assert ended.line.startswith("W&B did not start: No API key")
    assert ended.code == 2
    assert shell.files() == ["outputs", "outputs/mine"]
    assert list(shell.home.rglob("*")) == []


def test_an_empty_mode_in_the_environment_is_told_with_what_is_accepted(shell):
    shell.environment["WANDB_MODE"] = ""
    ended = shell("stage=circuit", "layer=block1", "filter=3")
    assert ended.line.startswith("tracker.mode='' does not fit. It takes offline, online or")
    assert ended.code == 2


def test_a_fault_of_the_code_is_not_taken_for_a_wrong_request(shell):
    ended = shell("stage=circuit", "layer=fault", "filter=3")
    assert ended.code == 1
    assert "TypeError: a fault of the code" in ended.err
    assert shell.files() == []


# A single run


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("images.root=cat.jpg",), "folder"),
        (("images.root=cat.jpg", "images.labels=mine.csv"), "folder"),
        (("images=imagenet_samples", "images.root=copy"), "imagenet_samples"),
        ((), "samples"),
    ],
)
def test_a_root_alone_is_a_folder_or_file_of_the_users_own(words, name, shell, say):
    assert say(*GOOD, *words).code == 0
    kept = OmegaConf.load(shell.run_folder() / ".hydra" / "config.yaml")
    assert kept.images.name == name


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("images=samples images.root=x", "images.root is a setting of images=folder or images=im"),
        ("images.root=x images=samples", "images.root is a setting of images=folder or images=im"),
        ("images.labels=x", "images.labels is a setting of images=folder or images=imagenet_sam"),
        ("model.path=x", "model.path is a setting of model=file. Leave it out, or add model=file."),
        ("ascent=maco ascent.decay=2", "ascent.decay is a setting of ascent=fourier. Leave it out"),
        (
            "+model.path=x",
            "There is no setting 'model.path'. model has kind, name, check and weights.",
        ),
        ("model.kind=files", "model.kind='files' does not fit. It takes packaged, application or"),
    ],
)
def test_a_setting_of_another_option_is_told_whose_it_is(words, told, say):
    ended = say(*GOOD, *words.split())
    assert ended.line.startswith(told)
    assert ended.code == 2


def test_a_run_leaves_its_folder_and_names_it_last(shell):
    ended = shell("stage=circuit", "layer=block1", "filter=3", "ascent.steps=4")
    folder = shell.run_folder()
    name = str(folder.relative_to(shell.folder))
    assert re.fullmatch(rf"outputs/circuit/vgg16/block1-3/{TIME}", name)
    assert ended.code == 0
    assert ended.err == []
    assert ended.out[:2] == [f"Report  {name}/report.html", f"Folder  {name}"]
    assert ended.out[2].startswith(f"W&B     offline; this uploads it: wandb sync {name}/wandb/")
    assert (folder / "run.log").read_text().splitlines() == ended.out
    assert {path.name for path in folder.iterdir()} == {
        *(".hydra", "images", "metrics.jsonl", "report.html", "run.log", "summary.json", "wandb")
    }
    assert json.loads((folder / "summary.json").read_text())["status"] == "done"
    assert list(shell.home.rglob("*")) == []

    saved: Any = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert (saved.layer, saved.ascent.steps) == ("block1", 4)
    overrides: Any = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    assert list(overrides) == ["stage=circuit", "layer=block1", "filter=3", "ascent.steps=4"]
    hydra: Any = OmegaConf.load(folder / ".hydra" / "hydra.yaml")
    assert hydra.hydra.runtime.output_dir == str(folder)

    run = OfflineRun(folder)
    assert run.exit_code == 0
    assert (run.name, run.job_type, run.group) == ("circuit block1:3", "circuit", "")
    assert sorted(run.tags) == ["block1", "vgg16"]
    assert run.config["ascent"]["steps"] == 4
    assert run.config["overrides"] == list(overrides)
    assert "sweep" not in run.config


def test_names_from_outside_stay_inside_the_folder_of_outputs(shell, say):
    ended = say("stage=circuit", "filter=3", "tracker=files", "layer=block/../../../x", "outputs=o")
    assert ended.code == 0
    name = str(shell.run_folder().relative_to(shell.folder))
    assert re.fullmatch(rf"o/circuit/vgg16/block_.._.._.._x-3/{TIME}", name)


def test_runs_that_start_in_the_same_second_get_a_folder_each(shell):
    processes = [shell.start(*GOOD, script=shell.fake) for _ in range(3)]
    assert [shell._end(process).code for process in processes] == [0, 0, 0]
    assert len(list(shell.folder.rglob("summary.json"))) == 3


def test_a_folder_that_is_given_is_used_once_and_never_overwritten(shell, say):
    first, second = (say(*GOOD, "hydra.run.dir=mine") for _ in range(2))
    assert first.code == 0
    assert first.out[-1] == "Folder  mine"
    assert (second.code, second.line) == (2, "mine is not empty. Give another folder.")
    assert (shell.folder / "mine" / "report.html").exists()


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (13, "failed: unlucky number (RuntimeError; more in run.log). "),
        (14, "failed: a wrong value inside (ValueError; more in run.log). "),
    ],
)
def test_a_run_that_fails_says_why_in_one_line_and_keeps_what_it_has(number, told, shell):
    ended = shell("stage=circuit", "layer=block1", f"filter={number}")
    folder = shell.run_folder()
    name = folder.relative_to(shell.folder)
    assert ended.code == 1
    assert ended.line == f"{told}Finished and kept in {name}: metrics.jsonl, images/unit-1.png."
    log = (folder / "run.log").read_text()
    assert log.startswith(ended.line)
    assert "Traceback (most recent call last)" in log
    assert json.loads((folder / "summary.json").read_text())["status"] == "failed"
    assert (folder / "images" / "unit-1.png").exists()
    assert OfflineRun(folder).exit_code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_names_what_is_finished(number, shell):
    ended = shell.signalled(number, "stage=circuit", "layer=block1", "filter=15")
    folder = shell.run_folder()
    assert ended.code == 130
    assert ended.line == (
        f"Interrupted. Finished and kept in {folder.relative_to(shell.folder)}: metrics.jsonl,"
        " images/unit-1.png. The same command starts anew, in a folder of its own."
    )
    assert (folder / "run.log").read_text().splitlines() == ["waiting", ended.line]
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert OfflineRun(folder).exit_code == 130


def test_a_run_goes_on_when_nobody_reads_what_it_shows(shell):
    with shell.start(*GOOD, script=shell.fake) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0
    assert (shell.run_folder() / "report.html").exists()


def test_a_terminal_of_few_letters_does_not_end_a_run(shell):
    shell.environment["PYTHONIOENCODING"] = "ascii"
    ended = shell(*GOOD, "outputs='größe'")
    assert ended.code == 0
    assert ended.out[-1].startswith(r"Folder  gr\xf6\xdfe/circuit/vgg16/block1-3/")


# Many runs


def test_in_a_multirun_a_bad_job_does_not_stop_the_others(shell):
    ended = shell("-m", "stage=circuit", "layer=block1,nope", "filter=13,3")
    (sweep,) = (shell.folder / "outputs" / "sweeps").iterdir()
    assert ended.code == 1
    assert ended.err == [
        "failed: unlucky number (RuntimeError; more in run.log). Finished and kept in"
        f" {sweep.relative_to(shell.folder)}/0: metrics.jsonl, images/unit-1.png.",
        "vgg16 has no layer 'nope'. Did you mean 'block'?",
        "vgg16 has no layer 'nope'. Did you mean 'block'?",
        "4 jobs: 1 failed, 1 done, 2 refused. What is done is kept in"
        f" {sweep.relative_to(shell.folder)}.",
    ]
    assert [line for line in ended.out if line.startswith("job ")] == [
        "job 0: stage=circuit layer=block1 filter=13",
        "job 1: stage=circuit layer=block1 filter=3",
        "job 2: stage=circuit layer=nope filter=13",
        "job 3: stage=circuit layer=nope filter=3",
    ]
    assert {path.name for path in sweep.iterdir()} == shell.SUMMARY | {
        "0",
        "1",
        "multirun.yaml",
        "wandb",
    }
    assert (sweep / "1" / ".hydra" / "overrides.yaml").exists()
    log = (sweep / "1" / "run.log").read_text().splitlines()
    assert log[0] == "job 1: stage=circuit layer=block1 filter=3"
    first, second = OfflineRun(sweep / "0"), OfflineRun(sweep / "1")
    assert first.group == second.group == sweep.name
    assert (first.exit_code, second.exit_code) == (1, 0)
    assert (first.config["filter"], second.config["filter"]) == (13, 3)


def test_a_multirun_without_a_good_job_ends_with_2_and_leaves_nothing(shell, say):
    ended = say("-m", "stage=circuit", "layer=no,nope", "filter=3")
    assert ended.code == 2
    assert ended.err[-1] == "2 jobs: 2 refused."
    assert shell.files() == ["outputs"]


def test_a_multirun_whose_jobs_all_end_well_ends_with_0(shell, say):
    ended = say("-m", *GOOD[:2], "filter=3,4", "tracker=files")
    (sweep,) = (shell.folder / "outputs" / "sweeps").iterdir()
    name = sweep.relative_to(shell.folder)
    assert (ended.code, ended.err) == (0, [])
    assert ended.out[-3:] == [
        "2 jobs: 2 done.",
        f"Report  {name}/sweep.html",
        f"Folder  {name}",
    ]


def test_hydra_knows_which_jobs_of_a_multirun_have_failed(shell, say, tmp_path):
    (tmp_path / "watcher.py").write_text(
        "from hydra.experimental.callback import Callback\n"
        "class Watcher(Callback):\n"
        "    def on_job_end(self, config, job_return, **_):\n"
        "        print('hydra:', job_return.status.name)\n"
    )
    watching = "+hydra.callbacks.watcher._target_=watcher.Watcher"
    ended = say("-m", *GOOD[:2], "filter=13,3", "tracker=files", watching)
    seen = [line for line in ended.out if line.startswith("hydra:")]
    assert seen == ["hydra: FAILED", "hydra: COMPLETED"]


# Looking before running


def test_the_help_names_stages_groups_and_how_to_sweep(shell):
    ended = shell.real("--help")
    text = "\n".join(ended.out)
    assert (ended.code, ended.err, shell.files()) == (0, [], [])
    assert "python run.py stage=circuit layer=block4_conv3 filter=17" in text
    assert "images   folder, imagenet_samples, samples" in text
    assert "python run.py -m " in text
    assert "$" not in text.replace('"$(python', "")
    assert shell.real("-h").out == ended.out


def test_the_config_is_shown_without_a_run(shell):
    ended = shell.real("stage=circuit", "filter=17", "--cfg", "job")
    shown: Any = OmegaConf.create("\n".join(ended.out))
    assert (ended.code, ended.err, shell.files()) == (0, [], [])
    assert (shown.filter, shown.stage.name, shown.ascent.steps > 0) == (17, "circuit", True)


def test_the_shell_completes_options_and_keys(shell):
    shell.environment["COMP_LINE"] = "python run.py stage="
    assert shell.real("-sc", "query=bash").out == [
        "stage=circuit stage=classify stage=layers stage=maximize stage=rank"
    ]
    shell.environment["COMP_LINE"] = "python run.py ascent.ste"
    assert shell.real("-sc", "query=bash").out == ["ascent.steps="]
    assert "complete -o nospace" in "".join(shell.real("-sc", "install=bash").out)


@pytest.mark.parametrize(
    "arguments",
    ["--help", "--cfg job", "-sc query=bash", "", "stage=circut", "layr=3", "-m stage=circuit,a"],
)
def test_what_is_answered_at_once_imports_nothing_heavy(arguments, shell):
    shell.environment["COMP_LINE"] = "python run.py stage="
    told = subprocess.run(
        [sys.executable, "-X", "importtime", str(RUN), *arguments.split()],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "convscope" in imported
    assert not imported & {"tensorflow", "keras", "wandb", "matplotlib", "numpy", "rich", "PIL"}


def test_a_request_that_its_stage_refuses_imports_nothing_heavy(shell):
    told = subprocess.run(
        [sys.executable, "-X", "importtime", str(RUN), "stage=circuit", "layer=x", "filter=3"],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
    )
    lines = told.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert told.returncode == 2
    assert not imported & {"tensorflow", "keras", "wandb", "matplotlib", "skimage"}
    assert [line for line in lines if not line.startswith("import time:")][-1].startswith(
        "vgg16 has"
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("images.root", ("stage=classify",)),
        ("images.labels", ("stage=classify", f'images.root="{dataset.samples()[0]}"')),
        ("model.weights", ("stage=layers",)),
        ("model.path", ("stage=layers", "model=file", "model.preprocess=none")),
        ("ascent.start", ("stage=maximize", "layer=block1_conv1", "filter=3")),
        ("stage.resume", ("stage=maximize", "layer=block1_conv1", "filter=3")),
        ("stage.image", ("stage=maximize", "layer=block1_conv1", "stage.objective=caricature")),
        ("stage.index", ("stage=rank", "layer=block1_conv1", "filter=3")),
        ("stage.optimum", ("stage=rank", "layer=block1_conv1", "filter=3")),
    ],
)
def test_the_home_of_nobody_is_refused_in_every_path(say, shell, setting, words):
    ended = say(*words, f'{setting}="~nobody-here/x"')
    assert (ended.code, ended.line) == (
        2,
        f"{setting}=~nobody-here/x cannot be found: there is no user 'nobody-here'. Give the full"
        " path.",
    )
    assert shell.files() == []
