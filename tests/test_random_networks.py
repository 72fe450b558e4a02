"""Networks drawn at random from Keras' layers, saved and read back, against Keras itself."""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from parts import contributions

from convscope.activations.predictions import predictor
from convscope.models.backend import keras, tf
from convscope.models.linear import linear, obstacle
from convscope.models.network import Network, head, layers, look, mapped, tap
from convscope.models.position import receptive_field
from convscope.models.zoo.keras_files import keras_file
from convscope.optvis import objectives

L = keras.layers
SEEDS = 12  # in every run of the tests; more where everything is asked for
MANY = 100


class Draw:
    """A network of 3 to 9 random parts and a random end."""

    def __init__(self, seed: int):
        """Draw it."""
        self.random = np.random.default_rng(seed)
        height, width = (int(side) for side in self.random.integers(24, 41, 2))
        height = width if self.random.random() < 0.5 else height
        self.size = (None, None) if self.random.random() < 0.5 else (height, width)
        image = value = keras.Input((*self.size, 1 if self.random.random() < 0.15 else 3))
        earlier: list[Any] = []
        for _ in range(self.random.integers(3, 10)):
            # What a random part cannot take, another may.
            with contextlib.suppress(ValueError, ZeroDivisionError):
                value = self.any(self.parts)(value, earlier)
                earlier.append(value)
        self.model = keras.Model(image, self.end(value, earlier), name=f"drawn_{seed}")
        for weight in self.model.weights:
            if "float" in weight.dtype:
                self.fill(weight)
        for layer in self.model._flatten_layers():
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()

    def any(self, choices: Any) -> Any:
        """Return one of some choices."""
        return choices[int(self.random.integers(len(choices)))]

    def fill(self, weight: Any) -> None:
        """Give a weight numbers that leave activations of any depth of a usual size."""
        fan = max(1, int(np.prod(weight.shape[:-1])))
        drawn = self.random.normal(0, 1.6 / np.sqrt(fan), weight.shape)
        if "variance" in weight.path:
            drawn = self.random.uniform(0.3, 2, weight.shape)
        elif "gamma" in weight.path:
            drawn = self.random.normal(0.3, 1, weight.shape)
        weight.assign(drawn)

    @property
    def parts(self) -> tuple[Callable[[Any, list[Any]], Any], ...]:
        """What may come next."""
        return (
            self.convolve,
            self.convolve,
            self.convolve,
            self.activate,
            self.normalize,
            self.pool,
            self.shift,
            self.enlarge,
            self.train,
            self.merge,
            self.nest,
            self.apply,
        )

    def convolve(self, value: Any, earlier: list[Any]) -> Any:
        """A convolution of any kind, with an activation of its own now and then."""
        kernel = tuple(int(one) for one in self.random.integers(1, 5, 2))
        padding, depth = self.any(("same", "valid")), int(value.shape[-1])
        stride, rate = (int(self.random.integers(1, 3)), 1)
        if stride == 1:
            rate = int(self.random.integers(1, 3))
        own = {
            "padding": padding,
            "use_bias": bool(self.random.random() < 0.7),
            "activation": self.any((None, "relu", "gelu", "silu", "tanh")),
        }
        made = self.any(
            (
                lambda: L.Conv2D(6, kernel, strides=stride, dilation_rate=rate, **own),
                lambda: L.Conv2D(2 * depth, kernel, groups=self.any((1, depth)), **own),
                lambda: L.DepthwiseConv2D(kernel, strides=stride, depth_multiplier=2, **own),
                lambda: L.SeparableConv2D(5, kernel, dilation_rate=rate, **own),
                lambda: L.Conv2DTranspose(4, max(kernel), strides=min(stride, max(kernel)), **own),
                lambda: L.SpectralNormalization(L.Conv2D(4, kernel, **own)),
                lambda: L.Dense(6, activation=own["activation"]),
            )
        )
        return made()(value)

    def activate(self, value: Any, earlier: list[Any]) -> Any:
        """An activation as a layer."""
        made = (
            L.ReLU(6.0),
            L.LeakyReLU(0.2),
            L.ELU(),
            L.PReLU(shared_axes=[1, 2]),
            L.Activation("hard_swish"),
            L.Activation("softsign"),
            L.Softmax(),
        )
        return self.any(made)(value)

    def normalize(self, value: Any, earlier: list[Any]) -> Any:
        """Something that scales channels."""
        made = (
            L.BatchNormalization,
            L.BatchNormalization,
            L.BatchNormalization,
            lambda: L.GroupNormalization(1),
            L.LayerNormalization,
            L.UnitNormalization,
            lambda: L.Rescaling(0.7, 0.1),
            L.Normalization,
        )
        return self.any(made)()(value)

    def pool(self, value: Any, earlier: list[Any]) -> Any:
        """A pooling."""
        kind, padding = self.any((L.MaxPooling2D, L.AveragePooling2D)), self.any(("same", "valid"))
        return kind(int(self.random.integers(2, 4)), self.any((None, 1, 2)), padding)(value)

    def shift(self, value: Any, earlier: list[Any]) -> Any:
        """Zeros added, or rows and columns cut off."""
        return self.any((L.ZeroPadding2D(((1, 2), (0, 3))), L.Cropping2D(((1, 0), (2, 1)))))(value)

    def enlarge(self, value: Any, earlier: list[Any]) -> Any:
        """A larger map."""
        made = (
            L.UpSampling2D(2),
            L.UpSampling2D((2, 3), interpolation="bilinear"),
            L.Resizing(19, 23),
            L.UpSampling2D(2, interpolation="bicubic"),
        )
        return self.any(made)(value)

    def train(self, value: Any, earlier: list[Any]) -> Any:
        """Something that works in training alone."""
        made = (
            L.Dropout(0.5),
            L.SpatialDropout2D(0.4),
            L.GaussianNoise(0.3),
            L.RandomFlip(),
            L.RandomRotation(0.2),
            L.RandomZoom(0.3),
            L.RandomContrast(0.4),
            L.RandomTranslation(0.2, 0.2),
            L.ActivityRegularization(0.1),
            L.Identity(),
        )
        return self.any(made)(value)

    def merge(self, value: Any, earlier: list[Any]) -> Any:
        """What came earlier, if it has the same places, added or laid beside."""
        alike = [one for one in [*earlier, value] if one.shape[1:3] == value.shape[1:3]]
        other = self.any(alike)
        if other.shape[1] is None:  # maps of unknown size need not fit
            other = value
        if other.shape[-1] == value.shape[-1] and self.random.random() < 0.7:
            kinds = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
            return self.any(kinds)()([value, L.Conv2D(int(value.shape[-1]), 1)(other)])
        return L.Concatenate()([other, value])

    def nest(self, value: Any, earlier: list[Any]) -> Any:
        """A model inside, used once or twice."""
        depth = int(value.shape[-1])
        parts = [
            L.Conv2D(depth, 3, padding="same", name="conv"),
            L.BatchNormalization(name="bn"),
            L.ReLU(name="relu"),
        ]
        block = keras.Sequential([keras.Input((None, None, depth)), *parts])
        found = block(value)
        return block(found) if self.random.random() < 0.5 else found

    def apply(self, value: Any, earlier: list[Any]) -> Any:
        """Operations that are no layers."""
        made = (
            lambda x: 2 * x - 1,
            keras.ops.relu,
            keras.ops.tanh,
            keras.ops.abs,
            lambda x: x / (1 + keras.ops.square(x)),
            lambda x: keras.ops.concatenate([x, -x], -1),
            lambda x: keras.ops.clip(x, -1, 1),
        )
        return self.any(made)(value)

    def end(self, value: Any, earlier: list[Any]) -> Any:
        """What the network gives: maps, features, classes, or two of them."""
        pooled = L.GlobalAveragePooling2D()(value)
        ends = (
            lambda: value,
            lambda: pooled,
            lambda: L.Dense(4)(pooled),
            lambda: L.Dense(4, activation="softmax")(pooled),
            lambda: L.Dense(1, activation="sigmoid")(pooled),
            lambda: L.Activation("sigmoid")(L.Dense(3)(L.Dropout(0.3)(pooled))),
            lambda: L.Softmax()(L.GlobalMaxPooling2D()(L.Conv2D(5, 1)(value))),
            lambda: L.Softmax()(L.Rescaling(0.3)(L.ReLU()(L.Dense(4)(pooled)))),
            lambda: [L.Dense(3, activation="softmax")(pooled), L.Conv2D(2, 1)(value)],
        )
        return self.any(ends)()


def same(wanted: Any, found: Any) -> None:
    """Hold numbers against Keras' own, by the largest of them."""
    wanted = np.asarray(wanted)
    near = 1e-4 * max(5e-2, float(np.abs(wanted).max()))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=near)


def boxes(network: Network, name: str, size: tuple[int, int], random: Any) -> None:
    """Hold the boxes of a layer against the support of gradients, at corners and elsewhere."""
    field = receptive_field(network, name, size)
    if field is None or field.whole:
        return
    model = look(network, {name: network.find(name).output})
    pixels = tf.constant(random.random((1, *size, 3), np.float32))
    rows, columns = mapped(model(pixels)[name]).shape[1:3]

    # As a graph, which leaves out the gradient for the kernels: TensorFlow's own writes beside its
    # memory for a kernel of 1 x 1 with a stride of 2.
    @tf.function
    def slope(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            value = tf.reduce_sum(mapped(model(pixels)[name])[0, row, column])
        return tape.gradient(value, pixels)

    for row, column in [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)]:
        found = slope(tf.constant(row), tf.constant(column)).numpy()
        seen = np.argwhere(found[0].any(axis=-1))
        if len(seen):
            box = field.box(row, column)
            assert (seen.min(0) >= (box.top, box.left)).all(), (name, row, column)
            assert (seen.max(0) < (box.bottom, box.right)).all(), (name, row, column)


def kernels(network: Network, name: str, pixels: np.ndarray) -> None:
    """Hold bias and contributions of some filters against the layer's preactivation."""
    layer = network.find(name)
    if obstacle(layer):
        return
    given = mapped(look(network, {"given": layer.input})(pixels)["given"]).numpy()
    made = mapped(tap(network, [name], pre=True)(pixels)[name]).numpy()
    for filter in (0, made.shape[-1] - 1):
        found = linear(layer, filter)
        same(made[..., filter], contributions(given, found).sum(-1) + found.bias)


def climbs(network: Network, name: str, pixels: np.ndarray) -> None:
    """Hold what the ascent reads of one filter, and its gradient, against the whole layer."""
    reading = objectives.Reading(name)
    read = objectives.reader(network, [reading])
    image, filters = tf.constant(pixels), tf.constant([0, 1][: len(pixels)])
    whole = tap(network, [name], pre=True)

    @tf.function
    def slope(ours: bool) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            values = (
                read([image], filters)[reading]
                if ours
                else tf.gather(whole(image)[name], filters, axis=-1, batch_dims=1)
            )
            total = tf.reduce_sum(values)
        return total, tape.gradient(total, image, unconnected_gradients="zero")

    for wanted, found in zip(slope(False), slope(True), strict=True):
        same(wanted, found)


def judge(seed: int, folder: Any) -> None:
    """Draw a network, save and read it, and hold all that is said of it against Keras."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = Draw(seed)
        # Keras itself reads no operations back from .h5.
        old = all(isinstance(one, keras.Layer) for one in drawn.model.operations)
        path = folder / f"drawn.{'h5' if old and seed % 2 else 'keras'}"
        drawn.model.save(path)
        network = keras_file(path, "none", "drawn", None, False)
    assert network.error is not None and network.error < 1e-3
    random = drawn.random
    size = drawn.size if drawn.size[0] else (33, 41)
    pixels = random.random((2, *size, 3), np.float32)
    taken = np.asarray(network.preprocess(pixels))
    wanted = keras.tree.flatten(drawn.model(taken, training=False))
    graph = network.graphs[-1]
    model = keras.Model(
        network.graphs[-1][next(iter(graph))].output,
        [graph[name].output for name in network.ends.values()],
    )
    for one, other in zip(wanted, keras.tree.flatten(model(taken)), strict=True):
        same(one, other)
    if (last := head(network)) and last.classes:
        own = next(np.asarray(one) for one in wanted if one.shape[1:] == (last.filters,))
        own = keras.ops.softmax(own).numpy() if last.kind == "linear" else own
        own = np.hstack([1 - own, own]) if last.kind == "binary" else own
        np.testing.assert_allclose(predictor(network)(pixels), own, atol=1e-4)
    names = [name for name in layers(network) if name in network.graphs[0] or drawn.size[0]]
    for name in random.permutation(names)[:5]:
        boxes(network, name, size, random)
        kernels(network, name, pixels)
    maps = [
        name
        for name in names
        if len(network.find(name).output.shape) == 4 and network.find(name).output.shape[-1] > 1
    ]
    for name in random.permutation(maps)[:2]:
        climbs(network, name, pixels)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_network_drawn_at_random_is_told_as_keras_runs_it(seed, tmp_path):
    judge(seed, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(SEEDS, MANY, 8))
def test_a_hundred_networks_drawn_at_random_are_told_as_keras_runs_them(first, tmp_path):
    for seed in range(first, min(first + 8, MANY)):
        judge(seed, tmp_path)
