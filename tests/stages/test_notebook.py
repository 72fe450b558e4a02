"""Convscope as a notebook uses it."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convscope
from convscope.stages import notebook


@pytest.mark.parametrize("name", convscope.__all__)
def test_the_example_of_each_function_says_what_happens(name, vgg16):
    function = getattr(convscope, name)
    names = {"convscope": convscope, "network": vgg16}
    found = doctest.DocTestFinder(recurse=False).find(function, name, globs=names)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    tried = [runner.run(example) for example in found]
    assert sum(one.attempted for one in tried) >= 1 and not any(one.failed for one in tried)


def test_to_import_it_loads_nothing_and_offers_what_there_is():
    code = (
        "import sys, convscope; before = set(sys.modules);"
        "assert not {'numpy', 'tensorflow', 'hydra'} & before;"
        "assert {'load', 'optimum', 'rank', 'circuit'} <= set(convscope.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'optimun'"):
        convscope.optimun  # noqa: B018


# Keras asks NumPy for an array in a way that NumPy is about to end.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_networks_are_found_by_name_and_by_file(tmp_path):
    import keras

    image = keras.Input((24, 24, 3))
    made = keras.Model(image, keras.layers.Conv2D(4, 3, name="conv")(image))
    made.save(tmp_path / "net.keras")
    network = convscope.load(str(tmp_path / "net.keras"), preprocess="none")
    assert network.name == "net"
    with pytest.raises(ValueError, match=r"model.preprocess is missing"):
        convscope.load(str(tmp_path / "net.keras"))
    with pytest.raises(ValueError, match="ResNet51"):
        convscope.load("ResNet51")
    with pytest.raises(ValueError, match=r"There is no setting 'model\.wieghts'"):
        convscope.load("vgg16", wieghts="x")


def test_a_request_that_cannot_be_answered_is_refused_as_a_command_is(vgg16, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'block4_conv3'"):
        convscope.optimum(vgg16, "block4_conv4", 17)
    with pytest.raises(ValueError, match="filters are numbered 0 to 63"):
        convscope.rank(vgg16, "block1_conv1", 64)
    with pytest.raises(ValueError, match=r"ascent\.steps=0 is too small"):
        convscope.optimum(vgg16, "block1_conv1", 3, steps=0)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        convscope.rank(vgg16, "block1_conv1", 3, tmp_path / "nowhere")


def test_results_are_what_the_packages_have_and_show_themselves(vgg16, tmp_path):
    best = convscope.optimum(vgg16, "block1_conv2", 5, seed=2, steps=4, size=24)
    shown = best._repr_html_()
    assert best.image.shape == (24, 24, 3) and "block1_conv2:5" in shown and "base64" in shown
    again = convscope.optimum(vgg16, "block1_conv2", 5, seed=2, steps=4, size=24)
    np.testing.assert_array_equal(best.image, again.image)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 60 * (number + 2), (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"<{number}>.png")
    found = convscope.rank(vgg16, "block1_conv2", 5, tmp_path, size=32, count=2)
    assert isinstance(found, notebook.Examples) and len(found) == 2
    assert [crop.activation for crop in found] == sorted(
        (crop.activation for crop in found), reverse=True
    )
    assert found._repr_html_().count("<img") == 2 and "<0>" not in found._repr_html_()


def test_a_circuit_shows_the_edges_that_it_holds(vgg16):
    found = convscope.circuit(vgg16, "block1_conv2", 5, inputs=3, size=48)
    shown, edges = found._repr_html_(), found.circuit.edges
    assert len(edges) == 3 == shown.count("<img") and found.sentence in shown
    assert [edge.l2 for edge in edges] == sorted((edge.l2 for edge in edges), reverse=True)
    for edge in edges:
        assert f"<td>{edge.source}</td>" in shown
    with pytest.raises(ValueError, match=r"stage\.by='best' does not fit"):
        convscope.circuit(vgg16, "block1_conv2", 5, by="best")
    with pytest.raises(ValueError, match=r"stage\.depth=2"):
        convscope.circuit(vgg16, "block1_conv2", 5, depth=2)
    with pytest.raises(ValueError, match=r"no setting 'images\.imputs'"):
        convscope.circuit(vgg16, "block1_conv2", 5, imputs=5)


def test_the_values_are_those_of_conf_in_a_clone_and_in_the_installed_package():
    assert notebook._defaults("ascent", "fourier")["steps"] == 96
    text = Path(notebook.__file__).parents[3].joinpath("pyproject.toml").read_text()
    assert 'conf = "convscope/conf"' in text
