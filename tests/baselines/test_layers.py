import doctest

import keras
import numpy as np
import pytest
import subprocesses
from keras import ops

from not_so_clevr.baselines import layers
from not_so_clevr.baselines.layers import (
    AddCoords,
    CoordConv1D,
    CoordConv2D,
    CoordConv3D,
    ReadCoords,
)

CONV = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
COORD_CONV = {1: CoordConv1D, 2: CoordConv2D, 3: CoordConv3D}
SPATIAL = {1: (7,), 2: (7, 10), 3: (5, 6, 7)}
DATA_FORMATS = ["channels_last", "channels_first"]


def random_input(rank, data_format="channels_last", channels=3):
    shape = (
        (*SPATIAL[rank], channels) if data_format == "channels_last" else (channels, *SPATIAL[rank])
    )
    return np.random.RandomState(0).randn(2, *shape).astype("float32")


def coordinates_by_hand(spatial, radius):
    axes = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else [0.0] for n in spatial), indexing="ij")
    return np.stack(
        [*axes, np.sqrt(sum(axis**2 for axis in axes))][: len(spatial) + radius], axis=-1
    )


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("radius", [False, True])
@pytest.mark.parametrize("spatial", [(7,), (1,), (7, 10), (10, 1), (5, 6, 7)])
def test_coordinates_run_from_minus_one_to_one_along_their_own_axis(spatial, radius, data_format):
    inputs = np.random.RandomState(0).randn(2, *spatial, 3).astype("float32")
    first = np.moveaxis(inputs, -1, 1) if data_format == "channels_first" else inputs
    layer = AddCoords(radius=radius, data_format=data_format)
    outputs = ops.convert_to_numpy(layer(first))
    assert layer.compute_output_shape(first.shape) == outputs.shape
    outputs = np.moveaxis(outputs, 1, -1) if data_format == "channels_first" else outputs
    np.testing.assert_array_equal(outputs[..., :3], inputs)
    for example in outputs[..., 3:]:
        np.testing.assert_allclose(example, coordinates_by_hand(spatial, radius), atol=1e-6)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("radius", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": "same", "activation": "relu"},
        {"kernel_size": 2, "padding": "same", "strides": 2},
        {"kernel_size": 3, "strides": 2, "use_bias": False},
        {"kernel_size": 2, "padding": "same", "dilation_rate": 2},
        {"kernel_size": 3, "dilation_rate": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_coord_conv_is_the_convolution_of_the_literal_concatenation(
    rank, arguments, radius, data_format
):
    inputs = random_input(rank, data_format)
    layer = COORD_CONV[rank](
        4, radius=radius, data_format=data_format, bias_initializer="ones", **arguments
    )
    literal = CONV[rank](4, data_format=data_format, **arguments)
    concatenated = AddCoords(radius=radius, data_format=data_format)(inputs)
    literal.build(concatenated.shape)
    outputs = layer(inputs)
    literal.set_weights(layer.get_weights())
    expected = ops.convert_to_numpy(literal(concatenated))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(inputs.shape) == expected.shape
    assert layer.kernel.shape[-2] == 3 + rank + radius


def test_causal_padding_and_groups_are_those_of_the_literal_concatenation():
    for arguments in (
        {"padding": "causal", "kernel_size": 3, "dilation_rate": 2},
        {"groups": 2, "kernel_size": 3},
    ):
        inputs = random_input(1)
        layer, literal = CoordConv1D(4, **arguments), keras.layers.Conv1D(4, **arguments)
        concatenated = AddCoords()(inputs)
        literal.build(concatenated.shape)
        outputs = layer(inputs)
        literal.set_weights(layer.get_weights())
        expected = ops.convert_to_numpy(literal(concatenated))
        np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3},
        {"kernel_size": 2},
        {"kernel_size": 5, "strides": 2},
        {"kernel_size": 3, "strides": 3},
        {"kernel_size": 1, "strides": 2},
        {"kernel_size": 3, "dilation_rate": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("rank", "padding", "data_format", "radius"),
    [
        (1, "causal", "channels_first", True),
        (1, "valid", "channels_last", False),
        (1, "same", "channels_first", False),
        (2, "valid", "channels_first", True),
        (2, "same", "channels_last", True),
        (3, "valid", "channels_last", False),
        (3, "same", "channels_first", True),
    ],
)
def test_a_separate_filter_is_a_full_one_that_sees_only_the_coordinates_of_the_middle(
    rank, padding, arguments, data_format, radius
):
    inputs = random_input(rank, data_format)
    common = {"padding": padding, "data_format": data_format, "radius": radius, **arguments}
    separate, full = COORD_CONV[rank](4, separate=True, **common), COORD_CONV[rank](4, **common)
    outputs = ops.convert_to_numpy(separate(inputs))
    full.build(inputs.shape)
    kernel = np.zeros(full.kernel.shape, "float32")
    kernel[..., :3, :] = ops.convert_to_numpy(separate.kernel)
    size = arguments["kernel_size"]
    middle = (size - 1 if padding == "causal" else (size - 1) // 2,) * rank
    kernel[middle][3:] = ops.convert_to_numpy(separate.coordinate_kernel).reshape(rank + radius, 4)
    full.set_weights([kernel, ops.convert_to_numpy(separate.bias)])
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(full(inputs)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_separate_filter_is_drawn_apart_from_the_other(rank):
    """A stateless initializer gives the same numbers each time, up to a factor."""
    layer = COORD_CONV[rank](8, 1, separate=True)
    layer.build((None, *SPATIAL[rank], rank))
    a, b = (
        ops.convert_to_numpy(kernel).ravel() for kernel in (layer.kernel, layer.coordinate_kernel)
    )
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.95


def test_a_regularizer_is_of_both_kernels():
    layer = CoordConv2D(4, 3, separate=True, kernel_regularizer=keras.regularizers.L2(0.5))
    layer.build((None, 7, 10, 3))
    squares = sum(
        np.square(ops.convert_to_numpy(kernel)).sum()
        for kernel in (layer.kernel, layer.coordinate_kernel)
    )
    assert float(sum(layer.losses)) == pytest.approx(0.5 * squares, rel=1e-5)


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
@pytest.mark.parametrize("separate", [False, True])
def test_a_layer_that_was_not_built_is_saved(separate, tmp_path):
    keras.Sequential([CoordConv2D(4, 3, separate=separate)]).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    assert model(random_input(2)).shape == (2, 5, 8, 4)


@pytest.mark.parametrize(
    ("separate", "weights"), [(False, (3 + 3) * 4 * 25), (True, 3 * 4 * 25 + 3 * 4)]
)
def test_the_number_of_weights_is_the_published_one(separate, weights):
    layer = CoordConv2D(4, 5, radius=True, separate=separate, use_bias=False)
    layer.build((None, 9, 9, 3))
    assert layer.count_params() == weights


@pytest.mark.parametrize("separate", [False, True])
def test_unknown_batch_and_spatial_sizes(separate):
    layer = CoordConv2D(4, 3, strides=2, padding="same", separate=separate)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layer(image))
    assert model.output_shape == (None, None, None, 4)
    for shape in ((2, 7, 10, 3), (3, 12, 5, 3)):
        inputs = np.random.RandomState(0).randn(*shape).astype("float32")
        np.testing.assert_allclose(
            model.predict(inputs, verbose=0),
            ops.convert_to_numpy(layer(inputs)),
            rtol=1e-4,
            atol=1e-5,
        )


def test_integer_inputs_and_mixed_precision():
    ones = np.ones((2, 7, 10, 3))
    layer = CoordConv2D(4, 3)
    expected = ops.convert_to_numpy(layer(ones.astype("float32")))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(ones.astype("uint8"))), expected)
    assert AddCoords()(ones.astype("int64")).dtype == layer(ones.astype("float32")).dtype
    for separate in (False, True):
        mixed = CoordConv2D(4, 3, separate=separate, dtype="mixed_bfloat16")
        assert keras.backend.standardize_dtype(mixed(ones).dtype) == "bfloat16"
        assert keras.backend.standardize_dtype(mixed.kernel.dtype) == "float32"
    half = ops.convert_to_numpy(ops.cast(AddCoords(dtype="bfloat16")(ones), "float32"))
    exact = ops.cast(ops.cast(coordinates_by_hand((7, 10), False), "bfloat16"), "float32")
    np.testing.assert_array_equal(
        half[0, ..., 3:], ops.convert_to_numpy(exact)
    )  # Rounded once, from float32


@pytest.mark.parametrize("separate", [False, True])
def test_a_model_is_saved_and_loaded_without_custom_objects(tmp_path, separate):
    model = keras.Sequential(
        [
            keras.Input((7, 10, 3)),
            AddCoords(radius=True),
            CoordConv2D(4, 3, radius=True, separate=separate, name="layer"),
        ]
    )
    model.save(tmp_path / "model.keras")
    inputs = random_input(2)
    np.save(tmp_path / "inputs.npy", inputs)
    code = f"""
import keras, not_so_clevr.baselines.layers, numpy as np
model = keras.models.load_model({str(tmp_path / "model.keras")!r})
np.save({str(tmp_path / "outputs.npy")!r}, model.predict(np.load({str(tmp_path / "inputs.npy")!r}), verbose=0))
print(model.get_layer("layer").get_config()["separate"])
"""
    assert subprocesses.run(code, KERAS_BACKEND=keras.backend.backend()).endswith(str(separate))
    np.testing.assert_allclose(
        np.load(tmp_path / "outputs.npy"), model.predict(inputs, verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_training_reaches_the_weights_of_the_coordinates():
    image = keras.Input((8, 12, 1))
    model = keras.Model(image, CoordConv2D(2, 1, kernel_initializer="zeros")(image))
    model.compile(keras.optimizers.Adam(0.1), "mse")
    targets = np.broadcast_to(coordinates_by_hand((8, 12), False), (4, 8, 12, 2))
    model.fit(np.zeros((4, 8, 12, 1)), targets, epochs=200, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][0, 0, 1:], np.eye(2), atol=1e-2)


def test_a_constraint_is_of_both_kernels():
    layer = CoordConv2D(4, 3, separate=True, kernel_constraint="non_neg")
    layer.build((None, 9, 9, 3))
    assert (
        layer.kernel.constraint
        is layer.coordinate_kernel.constraint
        is layer.kernel_constraint
        is not None
    )


@pytest.mark.parametrize(
    "layer", [AddCoords(), CoordConv2D(4, 3), CoordConv2D(4, 3, separate=True)]
)
def test_a_built_layer_refuses_inputs_of_another_kind(layer):
    layer(np.zeros((2, 7, 10, 3)))
    for shape in [(2, 7, 3), *([] if isinstance(layer, AddCoords) else [(2, 7, 10, 5)])]:
        with pytest.raises(ValueError, match="is incompatible with the layer"):
            layer(np.zeros(shape))


@pytest.mark.parametrize("arguments", [{}, {"separate": True}, {"strides": 2, "padding": "same"}])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_empty_batch_gives_an_empty_batch(rank, arguments):
    inputs = random_input(rank)
    layer = COORD_CONV[rank](4, 3, **arguments)
    assert layer(inputs[:0]).shape == (0, *layer(inputs).shape[1:])


def test_coordinates_are_as_exact_as_the_inputs():
    if keras.backend.standardize_dtype(ops.zeros(1, "float64").dtype) != "float64":
        pytest.skip("JAX computes in float32 by default.")
    outputs = AddCoords(radius=True, dtype="float64")(np.zeros((1, 11, 14, 1)))
    exact = coordinates_by_hand((11, 14), True)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs)[0, ..., 1:], exact, rtol=0, atol=1e-15)


def test_a_mask_is_passed_on():
    steps = ops.concatenate([ops.ones((2, 3, 5)), ops.zeros((2, 1, 5))], axis=1)
    masked = keras.layers.Masking()(steps)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(AddCoords()(masked)._keras_mask), [[True] * 3 + [False]] * 2
    )
    assert AddCoords().compute_mask(steps, None) is None
    inputs = keras.Input((5, 4))  # Nothing is known of the batch.
    first = AddCoords(data_format="channels_first")(keras.layers.Masking()(inputs))
    assert first.shape == (None, 6, 4)


def test_a_mask_of_channels_is_completed_as_concatenate_does():
    channels, coordinate = ops.ones((2, 3, 5)), ops.ones((2, 1, 5))
    mask = ops.convert_to_tensor([[True, True, False], [True] * 3])
    layer, literal = AddCoords(data_format="channels_first"), keras.layers.Concatenate(axis=1)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer.compute_mask(channels, mask)),
        ops.convert_to_numpy(literal.compute_mask([channels, coordinate], [mask, None])),
    )


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("rank", [2, 3])
def test_one_channel_and_one_column_of_outputs_are_convolved_as_by_hand(rank, width, separate):
    """TensorFlow 2.21 with oneDNN is wrong there, by up to 8."""
    inputs = np.random.RandomState(0).randn(2, *(5,) * (rank - 1), width, 1).astype("float32")
    strides = (1,) * (rank - 1) + (3,)
    layer = COORD_CONV[rank](4, (1,) * (rank - 1) + (3,), strides, "same", separate=separate)
    outputs = ops.convert_to_numpy(layer(inputs))
    twice = np.concatenate([inputs, 0 * inputs], axis=-1)
    other = COORD_CONV[rank](4, layer.kernel_size, strides, "same", separate=separate)
    other.build(twice.shape)
    for own, variable in zip(layer.weights, other.weights, strict=True):
        values = ops.convert_to_numpy(own)
        variable.assign(np.insert(values, 1, 7, axis=-2) if own is layer.kernel else values)
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(other(twice)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spatial", [(7,), (1,), (7, 10), (5, 6, 7)])
def test_read_coords_gives_those_of_the_pixel_with_nearly_all_the_weight(spatial):
    """Channel c has its peak at another pixel; a constant one has its mean in the middle, at 0."""
    pixels = [
        tuple(n - 1 for n in spatial),
        tuple(0 for _ in spatial),
        tuple(n // 2 for n in spatial),
    ]
    logits = np.zeros((1, *spatial, 4), "float32")
    for channel, pixel in enumerate(pixels):
        logits[(0, *pixel, channel)] = 50
    layer = ReadCoords()
    outputs = ops.convert_to_numpy(layer(logits))
    assert layer.compute_output_shape(logits.shape) == outputs.shape == (1, 4 * len(spatial))
    assert layer.count_params() == 0
    coordinates = coordinates_by_hand(spatial, radius=False)
    expected = [coordinates[pixel] for pixel in pixels] + [np.zeros(len(spatial))]
    np.testing.assert_allclose(outputs[0], np.concatenate(expected), atol=1e-6)


def test_read_coords_gives_the_mean_under_the_softmax():
    """Logits ln 3 and 0 at the ends of a line, the rest far below: 1/4 of -1 and 3/4 of 1."""
    logits = np.full((2, 9, 1, 1), -100, "float32")
    logits[:, [0, 8]] = 0
    logits[0, 8] = np.log(3)
    np.testing.assert_allclose(ReadCoords()(logits), [[0.5, 0], [0, 0]], atol=1e-6)
    half = ReadCoords(dtype="float16")(np.zeros((1, 64, 64, 1)) + 9 * np.eye(64)[5][:, None, None])
    assert keras.backend.standardize_dtype(half.dtype) == "float16"
    shares = np.exp(9.0) / (np.exp(9.0) + 63)  # Of row 5; its coordinate is 10 / 63 - 1
    np.testing.assert_allclose(
        half, [[shares * (10 / 63 - 1) + (1 - shares) * 53 / 63 / 63, 0]], atol=1e-3
    )
    loaded = keras.layers.deserialize(keras.layers.serialize(ReadCoords(name="read")))
    assert type(loaded) is ReadCoords
    assert loaded.name == "read"


def test_bad_arguments_are_named():
    for flag in ("radius", "separate"):
        with pytest.raises(
            ValueError, match=f"Argument `{flag}` must be True or False. Received: {flag}=2."
        ):
            CoordConv2D(4, 3, **{flag: 2})
    with pytest.raises(
        ValueError, match="Argument `radius` must be True or False. Received: radius='no'."
    ):
        AddCoords(radius="no")
    with pytest.raises(ValueError, match=r"Expected data_format .* Received: 'last'"):
        AddCoords(data_format="last")
    with pytest.raises(
        ValueError, match=r"Expected an input of rank 3, 4 or 5.* Received: input_shape=\(2, 3\)"
    ):
        AddCoords()(np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match=r"Expected an input of rank 3, 4 or 5.* input_shape=\(2, 3\)"
    ):
        ReadCoords()(np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match=r"Expected an input of rank 4.* Received: input_shape=\(2, 3, 4, 5, 6\)"
    ):
        CoordConv2D(4, 3)(np.zeros((2, 3, 4, 5, 6)))


def test_the_examples_of_the_docstrings_are_true():
    assert doctest.testmod(layers) == (0, 5)


@pytest.mark.parametrize("backend", subprocesses.other_backends())
@pytest.mark.slow
def test_on_the_other_backends(backend):
    subprocesses.run_tests(__file__, "not other_backends", backend)
