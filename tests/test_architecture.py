"""The import rule, and the other lines that the code does not cross."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "convscope"

# From top to bottom; a module imports only modules of lower levels. "stages" is each of its files.
LEVELS = (
    {"run"},
    {"stages", "multirun"},
    {"account", "passage", "likeness"},
    {
        "dossier", "overview", "catalogue", "studio", "exhibit", "census", "evidence",
        "recognition",
    },
    {"case", "beyond"},
    {"character", "testimony"},
    {"findings", "hops"},
    {
        "circuit", "hypothesis", "report", "parallel", "gallery", "sheet", "quilt", "distribution",
        "directory", "answers", "arguments", "traits",
    },
    {"album", "page", "sweep", "recipes", "plan", "card", "survey", "example", "roster", "spread",
     "inventory", "lineup", "curves", "witness", "diagram"},
    {"faithfulness", "vetoes"},
    {"rankings"},
    {"effects"},
    {"sample"},
    {"expansion"},
    {"paths", "reduction", "clients"},
    {"cascade"},
    {
        "ascent", "activations", "selectivity", "attribution", "kernels", "predictor", "prediction",
        "probe", "tuning", "invariance", "equivariance", "polysemanticity",
    },
    {"trial"},
    {"verdict", "material", "registration"},
    {"claims", "intervention"},
    {"subject"},
    {"readings", "memory", "index", "outline", "nouns"},
    {"packaged", "applications", "keras_file"},
    {
        "network", "objectives", "receptive", "precision", "optimizers", "panel", "shard",
        "manifest", "linear", "published", "accuracy",
    },
    {"flow", "preprocess", "layout"},
    {"graph"},
    {
        "unit", "weights", "images", "labels", "parameterization", "draws", "transforms",
        "penalties", "spectrum", "figures", "explorer", "folder", "tracker", "settings", "journal",
        "views", "photograph", "label_table", "field", "density", "auroc", "pruning", "fetch",
        "whole", "class_names", "weight_file", "bootstrap", "pattern", "resampling", "game",
        "circular", "stimuli",
    },
    {"torch_file"},
    {"backend", "pickles", "architectures"},
    {"quiet"},
)  # fmt: skip

# The only imports inside one level: (who, whom).
BESIDE = {
    ("probe", "activations"),
    ("invariance", "tuning"),
    ("equivariance", "tuning"),
    ("receptive", "network"),
    ("images", "views"),
    ("images", "photograph"),
    ("labels", "label_table"),
    ("class_names", "labels"),
    ("explorer", "figures"),
    ("parameterization", "spectrum"),
    ("parameterization", "draws"),
    ("transforms", "draws"),
    ("tracker", "folder"),
    ("tracker", "settings"),
}

# Packages that one file alone knows about. Those that are slow to load wait inside a function.
HOMES = {
    "hydra": "run", "omegaconf": "run", "wandb": "tracker", "rich": "tracker", "jinja2": "page",
    "markupsafe": "page", "matplotlib": "figures",
    "skimage": "",  # located for its photographs, never imported
}  # fmt: skip
LATE = {"wandb", "matplotlib"}

# Modules that return or yield what they find: they show, write and time nothing.
PURE = {
    "hypothesis", "circuit", "album", "ascent", "activations", "selectivity", "attribution",
    "kernels", "network", "objectives", "receptive", "precision", "unit", "weights", "images",
    "labels", "label_table", "parameterization", "draws", "transforms", "penalties", "spectrum",
    "figures", "explorer", "sweep", "parallel", "overview", "readings", "memory", "subject",
    "optimizers",
    "recipes", "plan", "card", "sheet", "catalogue", "field", "density", "auroc", "pruning",
    "views", "photograph", "panel", "manifest", "survey", "example", "roster", "spread", "quilt",
    "distribution",
    "preprocess", "packaged", "graph", "layout", "flow", "linear", "outline",
    "exhibit", "census", "evidence", "account",
    "applications", "keras_file", "class_names", "weight_file",
    "torch_file", "pickles", "architectures", "inventory", "directory", "accuracy",
    "prediction", "predictor", "lineup", "answers", "recognition",
    "sample", "effects", "rankings", "faithfulness", "vetoes", "bootstrap", "pattern", "curves",
    "findings",
    "claims", "nouns", "verdict", "trial", "resampling", "intervention",
    "game", "witness", "arguments", "material", "registration",
    "circular", "stimuli", "probe", "tuning", "invariance", "equivariance", "polysemanticity",
    "character", "traits", "likeness", "case", "testimony",
    "clients", "cascade", "paths", "expansion", "reduction", "hops", "diagram",
    "beyond",
}  # fmt: skip
OUTSIDE = {"time", "datetime", "logging", "hydra", "omegaconf", "wandb", "rich"}
WRITING = {first + last for first in "wax" for last in ("", "b", "t", "+")} | {"r+", "r+b"}
WRITERS = {"write_text", "write_bytes", "mkdir", "touch", "save", "savez", "savez_compressed"}

EMPTY_WORDS = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}


def sources() -> dict[str, str]:
    """Return the text of run.py and of every module, by dotted name without the package's."""
    home = ROOT / "src" / PACKAGE
    names = {path: path.relative_to(home).with_suffix("").parts for path in home.rglob("*.py")}
    found = {".".join(parts): path.read_text() for path, parts in names.items()}
    return found | {"run": (ROOT / "run.py").read_text()}


def level(module: str) -> int | None:
    """Return how far below the top a module stands; None where it has no place."""
    name = "stages" if module.startswith("stages.") else module
    return next((depth for depth, names in enumerate(LEVELS) if name in names), None)


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield each imported dotted name, and whether it waits inside a function.

    What stands below `if TYPE_CHECKING` counts like any other: types point downwards too.
    """
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    late = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = "." * node.level + (node.module or "")
            yield from ((f"{parent}.{alias.name}", id(node) in late) for alias in node.names)


def inner_imports(tree: ast.Module, modules: set[str]) -> set[str]:
    """Return the modules of this code base among the imports."""
    found = set()
    for name, _ in imports(tree):
        parts = name.split(".")
        if parts[0] == "run":
            found.add("run")
        elif parts[0] == PACKAGE:
            names = [".".join(parts[1:end]) for end in range(len(parts), 1, -1)]
            found.add(next((name for name in names if name in modules), ".".join(parts[1:])))
    return found


def import_complaints(module: str, tree: ast.Module, modules: set[str]) -> Iterator[str]:
    """Yield where a module imports what it may not."""
    mine = level(module)
    if mine is None:
        yield f"{module} has no level"
        return
    for other in sorted(inner_imports(tree, modules)):
        its = level(other)
        if its is None:
            yield f"{module} imports {other}, which has no level"
        elif its < mine or (its == mine and (module, other) not in BESIDE):
            yield f"{module} imports {other}, which is not below it"
    for name, late in imports(tree):
        package = name.split(".")[0]
        if not package:
            yield f"{module} imports {name} relatively"
        if HOMES.get(package, module) != module:
            yield f"{module} imports {package}, which belongs to {HOMES[package] or 'no one'}"
        if package in LATE and not late:
            yield f"{module} imports {package} before it is needed"


def pure_complaints(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield where a module that only computes shows, writes or times something."""
    for name, _ in imports(tree):
        if name.split(".")[0] in OUTSIDE or name.startswith(
            (f"{PACKAGE}.tracker", f"{PACKAGE}.folder")
        ):
            yield f"{module} imports {name}, but it only computes"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            yield f"{module} uses {ast.unparse(node)}, but it only computes"
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        given = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
        words = {argument.value for argument in given if isinstance(argument, ast.Constant)}
        writes = called == "open" and words & WRITING
        if called == "print" or called in WRITERS or writes:
            yield f"{module} calls {called}, but it only computes"


def shape_complaints(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield what is wrong with a module's name, its docstring or the way it loads others."""
    for word in set(module.replace(".", "_").split("_")) & EMPTY_WORDS:
        yield f"{module} is named {word}, which says nothing"
    if not ast.get_docstring(tree):
        yield f"{module} has no docstring"
    if module.endswith("__init__") and len(tree.body) > 1:
        yield f"{module} holds code"
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if module != "run" and called & {"importlib.import_module", "import_module", "__import__"}:
        yield f"{module} imports by a name that cannot be read here"


def complaints(texts: Mapping[str, str]) -> list[str]:
    """Return a line for each thing that the modules may not do."""
    lines: list[str] = []
    for module, text in texts.items():
        tree = ast.parse(text)
        lines += shape_complaints(module, tree)
        if not module.endswith("__init__"):
            lines += import_complaints(module, tree, set(texts))
        if module in PURE:
            lines += pure_complaints(module, tree)
    return lines


def loaded(code: str) -> set[str]:
    """Return the slow packages that are loaded after `code` ran in a new interpreter."""
    slow = {"tensorflow", "keras", "wandb", "matplotlib", "skimage"}
    ask = f"{code}\nimport sys; print(*({slow!r} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split())


def test_the_code_keeps_to_its_architecture():
    assert complaints(sources()) == []


def test_every_import_inside_a_level_is_needed_and_they_form_no_cycle():
    texts = sources()
    trees = {module: ast.parse(text) for module, text in texts.items()}
    used = {(a, b) for a in trees for b in inner_imports(trees[a], set(texts))}
    assert used >= BESIDE
    assert all(level(a) == level(b) for a, b in BESIDE)
    TopologicalSorter({a: {b for x, b in BESIDE if x == a} for a, _ in BESIDE}).prepare()


def test_a_cycle_would_be_noticed():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_no_level_repeats_a_module_and_only_known_modules_are_pure():
    placed = [name for names in LEVELS for name in names]
    assert len(placed) == len(set(placed))
    assert set(placed) >= PURE | {name for name in HOMES.values() if name}


@pytest.mark.parametrize("module", ["run", "convscope.stages.circuit"])
def test_a_refused_request_waits_for_no_slow_package(module):
    assert loaded(f"import {module}") == set()


def test_a_slow_package_would_be_noticed():
    assert loaded("import matplotlib") == {"matplotlib"}


@pytest.mark.parametrize(
    ("module", "code", "complaint"),
    [
        ("unit", "import convscope.network", "imports network, which is not below it"),
        ("unit", "from convscope import network", "imports network, which is not below it"),
        ("unit", "from convscope.network import tap", "imports network, which is not below it"),
        ("unit", "def f():\n import convscope.network", "imports network, which is not below it"),
        ("unit", "if TYPE_CHECKING:\n from convscope import network", "which is not below it"),
        (
            "network",
            "from convscope.receptive import window",
            "imports receptive, which is not below",
        ),
        ("figures", "import convscope.explorer", "imports explorer, which is not below it"),
        ("report", "import run", "imports run, which is not below it"),
        ("stages.rank", "from convscope.stages import circuit", "imports stages.circuit, which is"),
        ("stages.rank", "import convscope.colours", "imports colours, which has no level"),
        ("colours", "", "colours has no level"),
        ("network", "from . import unit", "relatively"),
        ("network", "from .unit import Unit", "relatively"),
        ("stages.rank", "from omegaconf import OmegaConf", "omegaconf, which belongs to run"),
        ("tracker", "import hydra", "hydra, which belongs to run"),
        ("stages.rank", "def f():\n import wandb", "wandb, which belongs to tracker"),
        ("tracker", "import wandb", "wandb before it is needed"),
        ("tracker", "try:\n from wandb import Image\nexcept ImportError:\n pass", "before it is"),
        ("figures", "from matplotlib.figure import Figure", "matplotlib before it is needed"),
        ("images", "def f():\n import skimage", "skimage, which belongs to no one"),
        ("ascent", "from convscope.tracker import Tracker", "convscope.tracker.Tracker, but it"),
        ("ascent", "import rich.progress", "imports rich.progress, but it only computes"),
        ("ascent", "from time import perf_counter", "time.perf_counter, but it only computes"),
        ("kernels", "print(1)", "calls print, but it only computes"),
        ("kernels", "open('table.csv', 'w')", "calls open, but it only computes"),
        ("kernels", "path.open(mode='a')", "calls open, but it only computes"),
        ("kernels", "path.write_text('')", "calls write_text, but it only computes"),
        ("figures", "Image.fromarray(page).save(path)", "calls save, but it only computes"),
        ("kernels", "sys.stderr.write('')", "uses sys.stderr, but it only computes"),
        ("stages.utils", "", "is named utils, which says nothing"),
        ("image_helpers", "", "is named helpers, which says nothing"),
        ("stages.__init__", "from convscope.stages import circuit", "holds code"),
        ("report", "importlib.import_module('run')", "by a name that cannot be read here"),
    ],
)
def test_what_crosses_a_line_is_named(module, code, complaint):
    texts = sources() | {module: f'"""Bad."""\n{code}\n'}
    assert any(complaint in line and module in line for line in complaints(texts))


def test_a_module_without_docstring_is_named():
    assert complaints({"unit": "import math\n"}) == ["unit has no docstring"]


def test_reading_a_file_is_no_crime():
    code = '"""Good."""\nopen("a.csv")\nopen("a.csv", "rb")\nImage.open(path)\n'
    assert complaints({"images": code}) == []
