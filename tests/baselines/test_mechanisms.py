"""The mechanisms of other papers: published sizes, and the property that defines each."""

import math

import keras
import numpy as np
import pytest
import subprocesses
from keras import ops

from not_so_clevr import benchmark
from not_so_clevr.baselines import fields, padded_conv, vit
from not_so_clevr.baselines.layers import ReadCoords
from not_so_clevr.benchmark import registry
from not_so_clevr.dataset import tasks

pytestmark = pytest.mark.slow  # There are many, and each builds a network.

MECHANISMS = {
    "broadcast_decoder": ["classification", "rendering"],
    "coordgate": ["classification", "regression", "rendering", "localisation"],
    "difference": ["classification", "rendering"],
    "dsnt": ["regression", "localisation"],
    "fourier": ["classification", "rendering"],
    "hypernetwork": ["classification", "rendering"],
    "mlp": list(tasks.TASKS),
    "no_training": ["classification", "regression", "localisation"],
    "padded_conv": ["regression", "localisation"],
    "separable": ["classification", "rendering"],
    "siren": ["classification", "rendering"],
    "soft_argmax": ["regression", "localisation"],
    "unet": ["classification", "rendering", "painting", "detection"],
    "vit": ["regression", "localisation"],
}


def build(name, task, size=16, **options):
    keras.utils.set_random_seed(0)
    return registry.find(name).build(tasks.as_task(task, size), **options)


def predict(network, x):
    """Returns what `predict` does, without the time that TensorFlow takes to trace a graph."""
    answers = network(ops.convert_to_tensor(np.asarray(x, np.float32)))
    return (
        [*map(ops.convert_to_numpy, answers)]
        if isinstance(answers, list)
        else ops.convert_to_numpy(answers)
    )


def random_inputs(task):
    return np.random.RandomState(0).uniform(0, 1, (3, *task.input_shape)).astype(np.float32)


def one_hots(height, width=None):
    """Returns the images of all pixels, `[H * W, H, W, 1]`."""
    width = width or height
    return np.eye(height * width, dtype=np.float32).reshape(-1, height, width, 1)


def all_coordinates(task):
    return task.scaled(np.argwhere(np.ones((task.height, task.width))))


def set_weights(layer, **places):
    """Sets the weights of a layer to zero, but for the places {index: value} of each by name."""
    for variable in layer.weights:
        values = np.zeros(variable.shape, np.float32)
        for index, value in places.get(variable.name, {}).items():
            values[index] = value
        variable.assign(values)


def convolution(inputs, filters, size=3):
    return size**2 * inputs * filters + filters


@pytest.mark.parametrize("size", [16, (16, 24)])
@pytest.mark.parametrize(("name", "tasks_of_it"), MECHANISMS.items())
def test_each_answers_on_squares_and_rectangles(name, tasks_of_it, size):
    assert registry.find(name).tasks == tasks_of_it
    for task in (tasks.as_task(task, size) for task in tasks_of_it):
        answers = predict(build(name, task.name, size), random_inputs(task))
        assert answers.shape == (3, *task.output_shape)
        assert np.isfinite(answers).all()


@pytest.mark.parametrize(
    ("name", "task", "options"),
    [
        *((name, of_it[0], {}) for name, of_it in MECHANISMS.items()),
        ("coordgate", "regression", {}),
        ("no_training", "regression", {}),
        ("padded_conv", "regression", {"padding": "reflect"}),
        ("vit", "regression", {"positions": "learned"}),
        ("vit", "regression", {"positions": "rotary"}),
    ],
)
def test_each_is_saved_and_loaded(name, task, options, tmp_path):
    network = build(name, task, (16, 24), **options)
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = random_inputs(tasks.as_task(task, (16, 24)))
    np.testing.assert_allclose(predict(loaded, x), predict(network, x), atol=1e-5)


@pytest.mark.parametrize("name", ["fourier", "padded_conv", "siren", "vit"])
def test_the_seed_decides_the_weights(name):
    one, other = (build(name, MECHANISMS[name][0]).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    keras.utils.set_random_seed(1)
    third = registry.find(name).build(tasks.as_task(MECHANISMS[name][0], 16)).get_weights()
    assert not np.array_equal(one[0], third[0])


@pytest.mark.parametrize(
    ("name", "task", "size", "options", "parameters"),
    [
        ("broadcast_decoder", "classification", 64, {}, 7_569),
        # 64 filters, as in the paper (table of section B)
        (
            *("broadcast_decoder", "rendering", 64, {"filters": 64}),
            convolution(4, 64) + 3 * convolution(64, 64) + 65,
        ),
        ("coordgate", "regression", 64, {}, 9 * 8 + (2 * 16 + 16 + 16 * 8 + 8) + 8 * 2),
        (
            *("coordgate", "classification", 64, {}),
            3 * 32 + 2 * (3 * 16 + 17 * 32) + 3 * 33 * 32 + 33,
        ),
        ("difference", "classification", 64, {}, 65),
        ("difference", "rendering", 64, {}, 65),
        ("dsnt", "regression", 64, {}, 672),
        ("fourier", "classification", 64, {}, 16_641),
        ("hypernetwork", "classification", 64, {}, 3 * 64 + 65 * 64 + 65 * (4 * 16 + 1)),
        ("mlp", "classification", 32, {}, 3 * 128 + 129 * 128 + 129 * 32**2),
        ("mlp", "regression", 32, {}, (32**2 + 1) * 128 + 129 * 128 + 129 * 2),
        *(
            ("mlp", task, 32, {}, (32**2 + 1) * 128 + 129 * 128 + 129 * 32**2)
            for task in ("painting", "detection")
        ),
        ("no_training", "classification", 64, {}, 0),
        ("no_training", "regression", 64, {}, 0),
        *(
            ("padded_conv", "regression", 64, {"padding": padding}, 7_154)
            for padding in ("zero", "circular", "reflect", "valid")
        ),
        ("separable", "classification", 32, {}, 41_792),
        ("separable", "classification", 32, {"mixed": True}, 41_792 + 2 * 128),
        ("siren", "classification", 64, {}, 8_705),
        ("soft_argmax", "regression", 64, {}, 1),
        (
            *("unet", "rendering", 64, {"coordinates": False}),
            sum(convolution(a, b) for a, b in [(2, 8), (8, 16), (16, 32), (32, 64)])
            + sum(2 * convolution(n, n) for n in (8, 16, 32))
            + convolution(64, 64)
            + sum(convolution(2 * n, n) + convolution(2 * n, n, 2) for n in (8, 16, 32))
            + 9,
        ),
        # Two blocks: two normalisations, the attention, an MLP of 128 hidden units
        *(
            (
                *("vit", "regression", 32, {"positions": positions}),
                17 * 64
                + 2 * (4 * 64 + 4 * 65 * 64 + 65 * 128 + 129 * 64)
                + (2 * 64 + 65 * 2)
                + 64 * 64 * (positions == "learned"),
            )
            for positions in ("none", "learned", "sinusoid", "rotary")
        ),
    ],
)
def test_the_sizes_are_as_cited(name, task, size, options, parameters):
    assert registry.parameters(build(name, task, size, **options)) == parameters


def test_a_broadcast_decoder_without_coordinates_sees_the_same_everywhere():
    """Its convolutions are not padded, so no border tells where a pixel is."""
    network = build("broadcast_decoder", "rendering")
    kernel = network.trainable_variables[0]
    values = ops.convert_to_numpy(kernel).copy()
    assert np.ptp(predict(network, [[0.2, -0.4]])) > 0.01
    values[:, :, 2:] = 0
    kernel.assign(values)
    assert np.ptp(predict(network, [[0.2, -0.4]])) < 1e-5


@pytest.mark.parametrize("size", [16, (8, 20)])
def test_the_soft_argmax_of_a_hot_pixel_tends_to_its_coordinates(size):
    task = tasks.Regression(size)
    network = build("soft_argmax", "regression", size)
    (weight,) = network.trainable_variables
    images, exact = one_hots(task.height, task.width), all_coordinates(task)
    count = len(images)
    for inverse_temperature in (0.0, 1.0, 3.0, 30.0):
        weight.assign([[inverse_temperature]])
        # The hot pixel has the share e^b of e^b + N - 1; the coordinates of all add up to 0.
        share = (math.exp(inverse_temperature) - 1) / (math.exp(inverse_temperature) + count - 1)
        np.testing.assert_allclose(predict(network, images), share * exact, atol=1e-5)


def test_each_channel_has_a_soft_argmax_of_its_own():
    logits = np.zeros((1, 5, 9, 2), np.float32)
    logits[0, 0, 8, 0] = logits[0, 4, 2, 1] = 50
    np.testing.assert_allclose(ReadCoords()(logits)[0], [-1, 1, 1, -0.5], atol=1e-5)


def test_fourier_features_are_cosines_and_sines_of_random_frequencies():
    keras.utils.set_random_seed(1)
    layer = fields.FourierFeatures(500, 0.3)
    points = np.random.RandomState(0).uniform(-1, 1, (7, 4)).astype(np.float32)
    features = ops.convert_to_numpy(layer(points))
    matrix = ops.convert_to_numpy(layer.matrix)
    assert not layer.trainable_variables
    assert matrix.std() == pytest.approx(0.3, rel=0.1)
    angles = 2 * np.pi * points @ matrix
    np.testing.assert_allclose(features[:, :500], np.cos(angles), atol=1e-5)
    np.testing.assert_allclose(features[:, 500:], np.sin(angles), atol=1e-5)


@pytest.mark.parametrize("w0", [5.0, 30.0])
def test_a_siren_starts_as_the_paper_says(w0):
    """First kernel within 1/n, others within sqrt(6/n) / w0, so that sines get deviation 1."""
    network = build("siren", "classification", 32, w0=w0)
    first, *others = (layer for layer in network.layers if isinstance(layer, keras.layers.Dense))
    for layer, limit in ((first, 1 / 4), *((each, math.sqrt(6 / 64) / w0) for each in others)):
        largest = np.abs(ops.convert_to_numpy(layer.kernel)).max()
        assert 0.8 * limit < largest <= limit

    sines = [layer for layer in network.layers if isinstance(layer, fields.Sine)]
    x = np.float32([[0.3, -0.7], [-0.1, 0.9]])
    before, after = predict(keras.Model(network.input, [sines[1].input, sines[1].output]), x)
    np.testing.assert_allclose(after, np.sin(w0 * before), atol=1e-4)
    for layer in others:  # Without them: the paper is about the kernels
        layer.bias.assign(0 * layer.bias)
    last = keras.Model(network.input, sines[2].input)
    assert (w0 * predict(last, x)).std() == pytest.approx(1, rel=0.35)


def test_a_hypernetwork_makes_a_network_for_each_target():
    keras.utils.set_random_seed(0)
    height, width, hidden = 3, 5, 4
    weights = np.random.RandomState(0).normal(size=(2, 4 * hidden + 1)).astype(np.float32)
    pixels = all_coordinates(tasks.Classification((height, width)))
    expected = []
    for own in weights:
        kernel, bias, output, offset = np.split(own, [2 * hidden, 3 * hidden, 4 * hidden])
        units = np.maximum(pixels @ kernel.reshape(2, hidden) + bias, 0)
        expected.append(units @ output + offset)
    layer = fields.GeneratedNetwork(height, width, hidden)
    np.testing.assert_allclose(layer(weights), expected, rtol=1e-4, atol=1e-5)

    network = build("hypernetwork", "classification")
    made = keras.Model(network.input, network.layers[-2].input)
    a, b = predict(made, [[0, 0], [0.5, -0.5]])
    assert made.output_shape == (None, 65)
    assert np.abs(a - b).max() > 0.1


def patches_shuffled(images, size=4):
    """Returns images whose patches are in another order."""
    rows, columns = images.shape[1] // size, images.shape[2] // size
    cut = images.reshape(-1, rows, size, columns, size).transpose(0, 1, 3, 2, 4)
    cut = cut.reshape(-1, rows * columns, size, size)
    cut = cut[:, np.random.RandomState(0).permutation(rows * columns)]
    cut = cut.reshape(-1, rows, columns, size, size).transpose(0, 1, 3, 2, 4)
    return cut.reshape(images.shape)


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoid", "rotary"])
def test_only_positions_tell_a_transformer_the_order_of_its_patches(positions):
    network = build("vit", "regression", (16, 24), positions=positions)
    images = np.random.RandomState(1).normal(size=(4, 16, 24, 1)).astype(np.float32)
    moved = np.abs(predict(network, images) - predict(network, patches_shuffled(images))).max()
    assert moved < 1e-5 if positions == "none" else moved > 1e-3


def test_rotary_scores_depend_on_the_displacement_alone():
    rows, columns, size = 5, 7, 16
    random = np.random.RandomState(0)
    query, key = (
        np.tile(random.normal(size=size), (rows * columns, 1)).astype(np.float32) for _ in "qk"
    )
    angles = vit.rotary_angles(rows, columns, size)
    q, k = (ops.convert_to_numpy(vit.rotate(each, angles)) for each in (query, key))
    np.testing.assert_allclose((q**2).sum(-1), (query**2).sum(-1), rtol=1e-4)
    scores = (q @ k.T).reshape(rows, columns, rows, columns)
    np.testing.assert_allclose(scores[1:, 2:, 1:, 2:], scores[:-1, :-2, :-1, :-2], atol=1e-4)
    assert np.ptp(scores[0, 0]) > 1


def test_sinusoids_are_those_of_big_vision():
    table = vit.sinusoid(3, 5, 8)  # Two frequencies: 1 and 1 / 10,000
    row, column = 2, 4
    slow = [place / 10_000 for place in (column, row)]
    expected = [
        *(math.sin(column), math.sin(slow[0]), math.cos(column), math.cos(slow[0])),
        *(math.sin(row), math.sin(slow[1]), math.cos(row), math.cos(slow[1])),
    ]
    np.testing.assert_allclose(table[row * 5 + column], expected, atol=1e-6)


@pytest.mark.parametrize(("mode", "of_numpy"), [("circular", "wrap"), ("reflect", "reflect")])
def test_padding_is_that_of_numpy(mode, of_numpy):
    canvas = np.random.RandomState(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    padded = padded_conv.Pad(3, mode)(canvas)
    expected = np.pad(canvas, [(0, 0), (3, 3), (3, 3), (0, 0)], of_numpy)
    np.testing.assert_array_equal(ops.convert_to_numpy(padded), expected)
    assert padded_conv.Pad(3, mode).compute_output_shape(canvas.shape) == expected.shape


@pytest.mark.parametrize("padding", ["zero", "circular", "reflect", "valid"])
def test_a_circle_has_no_border_to_tell_the_position(padding):
    network = build("padded_conv", "regression", 16, padding=padding)
    answers = predict(network, 100 * one_hots(16))
    spread = np.ptp(answers, axis=0).max()
    assert spread < 1e-4 if padding == "circular" else spread > 1e-2


@pytest.mark.parametrize("mixed", [False, True])
def test_logits_of_rows_and_columns_add_up(mixed):
    network = build("separable", "classification", (16, 24), mixed=mixed)
    one, other = predict(network, [[0.2, -0.4], [0.2, 0.9]]).reshape(2, 16, 24)
    for logits in (one, other):
        crossed = logits - logits[:1] - logits[:, :1] + logits[0, 0]
        np.testing.assert_allclose(crossed, 0, atol=1e-5)
    rows = [logits[:, 0] - logits[0, 0] for logits in (one, other)]
    changed = np.abs(rows[0] - rows[1]).max()  # By the column alone
    assert changed > 0.01 if mixed else changed < 1e-5


def test_a_gate_can_hold_the_coordinates():
    """Weights by hand: gates i + 1, j + 1 and 1, and a sum that takes the third away."""
    task = tasks.Regression((8, 12))
    network = build("coordgate", "regression", task.canvas_size)
    _, convolution, gate, out = network.layers[:4]
    set_weights(convolution, kernel={(1, 1, 0, channel): 1 for channel in range(3)})
    set_weights(gate.encoder, kernel={(0, 0): 1, (1, 1): 1}, bias={0: 1, 1: 1})
    set_weights(gate.gate, kernel={(0, 0): 1, (1, 1): 1}, bias={2: 1})
    set_weights(out, kernel={(0, 0): 1, (1, 1): 1, (2, 0): -1, (2, 1): -1})
    np.testing.assert_allclose(
        predict(network, one_hots(8, 12)), all_coordinates(task), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("task", ["classification", "rendering"])
def test_a_u_net_whose_coordinates_weigh_nothing_is_the_plain_one(task):
    plain, other = (build("unet", task, coordinates=each) for each in (False, True))
    first, *others = plain.get_weights()
    none = np.zeros((3, 3, 2, first.shape[-1]), np.float32)
    other.set_weights([np.concatenate([first, none], axis=2), *others])
    x = [[0.2, -0.4], [0.9, 0.1]]
    np.testing.assert_allclose(predict(plain, x), predict(other, x), atol=1e-5)


def test_dense_layers_do_not_know_which_pixels_are_neighbours():
    network = build("mlp", "regression")
    images = np.random.RandomState(0).normal(size=(3, 16, 16, 1)).astype(np.float32)
    order = np.random.RandomState(1).permutation(16 * 16)
    before = predict(network, images)
    kernel = network.trainable_variables[0]
    kernel.assign(ops.convert_to_numpy(kernel)[order])
    shuffled = images.reshape(3, -1)[:, order].reshape(images.shape)
    np.testing.assert_allclose(predict(network, shuffled), before, atol=1e-4)


def test_a_network_of_differences_looks_alike_on_opposite_sides_of_the_target():
    (logits,) = predict(build("difference", "rendering", 17), [[0, 0]])
    np.testing.assert_allclose(logits, logits[::-1], atol=1e-5)
    np.testing.assert_allclose(logits, logits[:, ::-1], atol=1e-5)
    assert np.ptp(logits) > 0.01


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_solution_without_a_weight_is_right(task):
    result = benchmark.run("no_training", task=task, config="rows_14x30_square5", data="memory")
    assert (result.perfect, result.parameters) == (True, 0)


@pytest.mark.parametrize(
    ("name", "task", "size", "options", "sentence"),
    [
        ("vit", "regression", 16, {"positions": "x"}, "positions='x' is unknown; expected one of"),
        ("vit", "regression", 18, {}, "canvas_size=18 cannot be cut into patches of 4x4 pixels"),
        ("padded_conv", "regression", 16, {"padding": "x"}, "padding='x' is unknown; expected one"),
        ("padded_conv", "regression", 12, {}, "canvas_size=12 is too small; expected at least 13"),
        ("unet", "rendering", 20, {}, "canvas_size=20 cannot be halved 3 times"),
    ],
)
def test_bad_options_give_one_sentence(name, task, size, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(name, task, size, **options)


@pytest.mark.parametrize("backend", subprocesses.other_backends())
def test_on_the_other_backends(backend):
    """Sizes, files and sentences are the same on all."""
    of_all = ("other_backends", "saved_and_loaded", "sizes", "bad_options")
    subprocesses.run_tests(__file__, f"not ({' or '.join(of_all)})", backend)
