"""Every stage on a network whose images are no squares, against Keras."""

import csv
import warnings

import asked
import numpy as np
import pytest
from PIL import Image

from convscope.data import dataset, photograph
from convscope.models.backend import keras
from convscope.stages import circuit, classify, layers, maximize, rank

L = keras.layers
SIDES = 20, 34


def rows(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network with a layer that is bound to its size, and its file."""
    keras.utils.set_random_seed(3)
    parts = [
        L.Conv2D(6, 3, activation="relu", name="early"), L.MaxPooling2D(),
        L.Conv2D(4, 3, name="late"), L.Flatten(), L.Dense(3, activation="softmax", name="end"),
    ]  # fmt: skip
    made = keras.Sequential([keras.Input((*SIDES, 3)), *parts])
    path = tmp_path_factory.mktemp("oblong") / "oblong.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras writes, which NumPy 2 warns of
        made.save(path)
    return made, path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Photographs that are wider, higher and as wide as the network's images."""
    home = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(5)
    for at, (height, width) in enumerate([(40, 90), (71, 52), (41, 69), (20, 34), (33, 33)] * 3):
        pixels = random.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
        Image.fromarray(pixels).resize((width, height)).save(home / f"{at:02}.png")
    return home


@pytest.fixture
def words(model, pictures):
    return (
        "model=file", f"model.path={model[1]}", "model.preprocess=none", "images=folder",
        f"images.root={pictures}",
    )  # fmt: skip


def test_predictions_are_those_of_keras(model, pictures, words, tmp_path):
    folder = asked.run(classify, tmp_path / "run", *words, "stage.top=3")
    fit = asked.settings(classify, *words).images.fit
    for row in rows(folder, "predictions"):
        seen, _ = dataset.shown(photograph.load(pictures / row["image"]), SIDES, fit)
        own = np.asarray(model[0](seen[None], training=False))[0]
        place = np.argsort(-own)[int(row["rank"]) - 1]
        assert float(row["probability"]) == pytest.approx(own[place], abs=1e-6)
    assert "20 x 34" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("layer", "fit"),
    [("early", "crop"), ("late", "pad"), ("late", "crop"), ("end", "squash"), ("end", "center")],
)
def test_activations_are_those_of_keras(model, pictures, words, tmp_path, layer, fit):
    words = *words, f"layer={layer}", "filter=2", f"images.fit={fit}", "stage.permutations=99"
    folder = asked.run(rank, tmp_path / "run", *words, f"stage.index={tmp_path / 'index'}")
    tap = keras.Model(model[0].inputs[0], model[0].get_layer(layer).output)
    if layer == "end":
        tap.layers[-1].activation = keras.activations.linear
    for row in rows(folder, "top_images"):
        seen, _ = dataset.shown(photograph.load(pictures / row["image"]), SIDES, fit)
        own = np.asarray(tap(seen[None], training=False))[0]
        if layer != "end":
            own = own.reshape(-1, own.shape[-1]).max(0)
        assert float(row["activation"]) == pytest.approx(own[2], rel=1e-3)


@pytest.mark.parametrize("ascent", ["fourier", "maco"])
def test_the_canvas_of_a_bound_layer_has_its_shape(words, tmp_path, ascent):
    more = () if ascent == "fourier" else ("ascent.view=null", "ascent.size=[20,34]")
    words = *words, "layer=end", "filter=1", f"ascent={ascent}", "ascent.steps=6", *more
    folder = asked.run(maximize, tmp_path / "run", *words, "stage.objective=logit")
    (made,) = (folder / "images").glob("end-1-*.png")
    with Image.open(made) as picture:
        assert picture.size == SIDES[::-1]


def test_a_circuit_is_followed_and_layers_say_the_size(words, tmp_path):
    folder = asked.run(
        circuit, tmp_path / "run", *words, "layer=late", "filter=1", "ascent.steps=4"
    )
    assert len(rows(folder, "kernels")) == 6
    folder = asked.run(layers, tmp_path / "layers", *words[:3])
    assert [row["size"] for row in rows(folder, "layers")] == ["", "", "20x34"]
