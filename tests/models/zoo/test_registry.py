"""What is known of a network before and after it is loaded, and what cannot be asked."""

from dataclasses import replace

import asked
import pytest

from convscope.models.backend import keras
from convscope.models.zoo import registry
from convscope.models.zoo.packaged import PACKAGED
from convscope.models.zoo.registry import (
    check_linear,
    check_units,
    network,
    outline,
)
from convscope.unit import Unit

# Of Keras, while it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
L = keras.layers
LITE0 = asked.model("efficientnet_lite0")


def own(folder, *parts, size=(None, None), **changed):
    """The settings of a network of the user's own, of some layers in a row."""
    image = value = keras.Input((*size, 3))
    for part in parts:
        value = part(value)
    keras.Model(image, value).save(folder / "own.keras")
    path = str(folder / "own.keras")
    return asked.model(None, "file", path=path, preprocess="none", **changed)


@pytest.mark.parametrize("name", list(PACKAGED))
def test_the_outline_of_a_packaged_network_is_that_of_the_network(name, packaged):
    found, loaded = outline(asked.model(name)), packaged(name)
    drawn = registry._drawn(loaded)
    assert (found.layers, found.classifier) == (drawn.layers, drawn.classifier)
    assert (found.name, found.weights, found.size) == (loaded.name, loaded.weights, loaded.size)
    for layer in list(found.layers)[:: max(1, len(found.layers) // 5)]:
        assert found.least(layer) == drawn.least(layer)
        assert found.demands(layer) is drawn.demands(layer) is None


def test_a_packaged_network_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"^model\.name=vgg17 is no packaged .* mean 'vgg16'\?$"):
        outline(asked.model("vgg17", "vgg16"))


def test_a_network_is_loaded_once_until_its_file_changes(tmp_path):
    settings = own(tmp_path, L.Conv2D(4, 3, name="a"))
    first = network(settings)
    assert network(settings) is first
    own(tmp_path, L.Conv2D(5, 3, name="b"))
    assert outline(settings).layers == {"b": 5}


def test_a_file_has_its_own_name_unless_it_is_given_one(tmp_path):
    assert own(tmp_path, L.Conv2D(4, 3)).called == "own"
    assert asked.model("mine", "file", path="x.keras", preprocess="tf").called == "mine"


def test_the_least_size_leaves_one_position_and_a_fixed_network_has_one_size(tmp_path):
    found = outline(own(tmp_path, L.Conv2D(4, 7, strides=2, name="a"), L.Conv2D(4, 5, name="b")))
    assert (found.least("a"), found.least("b"), found.size) == (7, 15, None)
    parts = (L.Conv2D(4, 3, name="a"), L.Flatten(), L.Dense(3, name="end"))
    found = outline(own(tmp_path, *parts, size=(9, 9)))
    assert (found.demands("a"), found.demands("end")) == (None, (9, 9))
    assert (found.size, found.classifier) == ((9, 9), "end")


def test_positions_are_those_of_the_map():
    assert outline(asked.model("alexnet")).positions("conv1", (224, 227)) == (55, 56)
    assert outline(LITE0).positions("block3b_add", (224, 225)) == (28, 29)


def test_a_layer_that_passes_on_channels_names_the_one_to_ask_for():
    for name, made, does in (
        ("stem_activation", "stem_conv", "only passes on the channels of"),
        ("block2b_project_bn", "block2b_project_conv", "is folded into"),
        ("avg_pool", "top_conv", "only passes on the channels of"),
    ):
        message = f"^{name} of efficientnet_lite0 {does} {made}. Ask for that: layer={made}.$"
        with pytest.raises(ValueError, match=message):
            check_units(LITE0, [Unit(name, 0)])
    with pytest.raises(ValueError, match=r"has no layer 'nothing'\. .* stage=layers lists them\."):
        check_units(LITE0, [Unit("nothing", 0)])
    with pytest.raises(ValueError, match="has no filter 1000"):
        check_units(LITE0, [Unit("predictions", 1000)])
    check_units(LITE0, [Unit("predictions", 999)])


def test_a_layer_without_kernel_says_so_before_a_run():
    check_linear("block2b_dwconv", LITE0)
    with pytest.raises(ValueError, match=r"^block2b_add has no kernel: it adds "):
        check_linear("block2b_add", LITE0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (asked.model("vgg16"), []),
        (asked.model("alexnet", weights="w.ckpt"), ["model=alexnet", "model.weights=w.ckpt"]),
        (asked.model("ResNet50", "application"), ["model=application", "model.name=ResNet50"]),
        (
            asked.model(None, "file", path="n.keras", preprocess="tf", custom=True),
            ["model=file", "model.path=n.keras", "model.preprocess=tf", "model.custom=true"],
        ),
    ],
    ids=["vgg16", "alexnet", "application", "file"],
)
def test_a_command_says_which_network_is_meant(settings, words):
    assert registry.asked(settings) == words


@pytest.mark.parametrize(
    ("option", "changed", "message"),
    [
        (
            "file",
            {"path": None, "preprocess": "tf"},
            r"^model\.path is missing\. Add model\.path=\.\.\. \(text\)",
        ),
        ("file", {"path": "a", "preprocess": None}, r"^model\.preprocess is missing\. Add"),
        ("file", {"path": "a", "preprocess": "tf", "weights": "b"}, r"no setting 'model\.weights'"),
        ("vgg16", {"labels": "a"}, r"no setting 'model\.labels'\. model has"),
        ("application", {"name": None}, r"^model\.name is missing\. Add model\.name=\.\.\."),
    ],
)
def test_settings_of_a_model_that_do_not_belong_together_are_refused(option, changed, message):
    values = {**asked.values_of("model", option), **changed}
    with pytest.raises(ValueError, match=message):
        asked.read(asked.ModelSettings, values, "model")


def test_of_several_outputs_that_classify_one_is_named_as_the_setting_takes_it(tmp_path):
    image = keras.Input((9, 9, 3))
    pooled = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(image))
    ends = {name: L.Dense(3, activation="softmax")(pooled) for name in ("kind", "colour")}
    ends["mask"] = L.Conv2D(1, 3)(image)
    keras.Model(image, ends).save(tmp_path / "own.keras")
    settings = asked.model(None, "file", path=str(tmp_path / "own.keras"), preprocess="none")
    with pytest.raises(ValueError) as caught:
        registry.check_classifier(settings)
    assert str(caught.value) == (
        "own classifies in each of its outputs colour and kind. Say which one is asked, with"
        " model.output=colour."
    )
    assert registry.check_classifier(replace(settings, output="colour")) is not None
    assert registry.check_classifier(replace(settings, output="mask")) is None
