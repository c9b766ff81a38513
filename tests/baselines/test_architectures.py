"""The networks, layer by layer, against the code of the paper (uber-research/CoordConv) and of the article (coord-conv)."""

import numpy as np
import pytest

from not_so_clevr.baselines import conv, coordconv, deconv, soft_argmax
from not_so_clevr.dataset import tasks

HE, GLOROT = "HeNormal", "GlorotUniform"
BATCH_NORMALIZATION = ("BatchNormalization", 0.9, 1e-5)
DOUBLE_COORDINATES = ("Rescaling", 31.5, 31.5)  # From -1 to 1, to pixels


def described(layer):
    """Returns what a layer does, as far as an architecture says it."""
    kind, about = type(layer).__name__, layer.get_config()
    initializer = (
        type(layer.kernel_initializer).__name__ if hasattr(layer, "kernel_initializer") else None
    )
    activation = about.get("activation")
    if kind == "Dense":
        return kind, about["units"], activation, initializer
    if "Conv" in kind:
        return (
            kind,
            about["filters"],
            layer.kernel_size[0],
            layer.strides[0],
            about["padding"],
            activation,
            initializer,
        )
    if kind == "BatchNormalization":
        return kind, about["momentum"], about["epsilon"]
    if kind == "Rescaling":
        numbers = [set(np.ravel(about[name]).tolist()) for name in ("scale", "offset")]
        return kind, *(number for (number,) in numbers)  # On a square, the same along both axes
    if "Pooling" in kind or kind == "UpSampling2D":
        return (kind, *about.get("pool_size", about.get("size", ()))[:1])
    return (kind,)


def layers(network):
    """Returns what the layers do, without those that only change a shape."""
    assert all(
        layer.kernel_size == layer.kernel_size[:1] * 2
        for layer in network.layers
        if hasattr(layer, "kernel_size")
    )
    return [
        described(layer)
        for layer in network.layers
        if type(layer).__name__ not in ("InputLayer", "Reshape", "Flatten")
    ]


def convolution(filters, size, stride=1, activation="relu"):
    return "Conv2D", filters, size, stride, "same", activation, HE


def test_convolution_for_the_uniform_split():
    pooled = [convolution(16, 3), ("MaxPooling2D", 2)]
    assert layers(conv.conv(tasks.Regression(64))) == [
        *(3 * pooled),
        convolution(16, 3),
        ("Dense", 64, "relu", GLOROT),
        ("Dense", 2, "linear", GLOROT),
    ]


def test_convolution_for_the_quadrant_split():
    assert layers(conv.conv(tasks.Regression(64), network="quadrant", multiplier=3)) == [
        convolution(48, 5, 2),
        convolution(48, 1),
        BATCH_NORMALIZATION,
        convolution(48, 3),
        convolution(48, 3, 2),
        convolution(48, 3, 2, "linear"),
        BATCH_NORMALIZATION,
        ("ReLU",),
        convolution(48, 3, 2),
        convolution(48, 1),
        convolution(48, 3, 2),
        convolution(2, 3),
        ("GlobalAveragePooling2D",),
        ("Rescaling", 2.0, -1.0),
    ]


def valid(filters, size, stride=1):
    return "Conv2D", filters, size, stride, "valid", "relu", GLOROT


TO_COORDINATES = ("Rescaling", 2 / 63, -1.0)


def test_convolution_of_the_article_for_the_uniform_split():
    network = conv.conv(tasks.Regression(64), origin="article")
    assert layers(network) == [
        ("Rescaling", 1000.0, 0.0),
        *(3 * [valid(16, 3), ("MaxPooling2D", 2)]),
        valid(16, 3),
        ("Dense", 64, "relu", GLOROT),
        ("Dense", 2, "linear", GLOROT),
        TO_COORDINATES,
    ]
    assert [each.strides for each in network.layers if "Pooling" in type(each).__name__] == 3 * [
        (1, 1)
    ]
    assert (
        network.count_params()
        == (9 + 1) * 16 + 3 * (9 * 16 + 1) * 16 + (53 * 53 * 16 + 1) * 64 + (64 + 1) * 2
    )


def test_convolution_of_the_article_for_the_quadrant_split():
    normalization = ("BatchNormalization", 0.99, 1e-3)
    assert layers(conv.conv(tasks.Regression(64), network="quadrant", origin="article")) == [
        ("Rescaling", 1000.0, 0.0),
        valid(16, 5, 2),
        valid(16, 1),
        normalization,
        valid(16, 3),
        valid(16, 3, 2),
        valid(16, 3, 2),
        normalization,
        valid(16, 3, 2),
        valid(16, 1),
        valid(2, 2),
        TO_COORDINATES,
    ]


def test_a_network_of_convolution_that_there_is_not_is_named():
    with pytest.raises(
        ValueError, match="origin='ours', network='uniform' is unknown; expected paper or article"
    ):
        conv.conv(tasks.Regression(64), origin="ours")
    with pytest.raises(
        ValueError, match="canvas_size=32 does not fit the article's network for quadrant; use 64"
    ):
        conv.conv(tasks.Regression(32), network="quadrant", origin="article")


@pytest.mark.parametrize("origin", ["ours", "paper", "article"])
def test_deconvolution(origin):
    initializer = GLOROT if origin == "article" else HE
    expected = [] if origin == "ours" else [DOUBLE_COORDINATES]
    for filters in (128, 128, 128, 64, 64):
        expected.append(("Conv2DTranspose", filters, 4, 2, "same", "linear", initializer))
        expected += [("ReLU",)] if origin == "article" else [BATCH_NORMALIZATION, ("ReLU",)]
    expected.append(("Conv2DTranspose", 1, 4, 2, "same", "linear", initializer))
    assert (
        layers(deconv.deconv(tasks.Classification(64), origin=origin, size=4, multiplier=2))
        == expected
    )


def pixelwise(initializer):
    return [
        ("UpSampling2D", 64),
        ("CoordConv2D", 32, 1, 1, "valid", "relu", initializer),
        *(("Dense", filters, "relu", initializer) for filters in (32, 64, 64)),
        ("Dense", 1, "linear", initializer),
    ]


@pytest.mark.parametrize(
    ("origin", "initializer"), [("ours", HE), ("paper", HE), ("article", GLOROT)]
)
def test_coordconv(origin, initializer):
    scaled = [] if origin == "ours" else [DOUBLE_COORDINATES]
    assert layers(coordconv.build(tasks.Classification(64), origin=origin)) == scaled + pixelwise(
        initializer
    )
    painted = [
        ("Conv2D", filters, 2, 1, "same", "relu", initializer) for filters in (24, 24, 48, 48)
    ]
    two_stage = coordconv.build(
        tasks.Rendering(64), origin=origin, two_stage=True, size=2, multiplier=3
    )
    assert layers(two_stage) == [
        *scaled,
        *pixelwise(initializer),
        ("Softmax",),
        *painted,
        ("Conv2D", 1, 2, 1, "same", "linear", initializer),
    ]
    without = coordconv.build(
        tasks.Rendering(64), origin=origin, two_stage=True, softmax=False, size=2, multiplier=3
    )
    assert layers(without) == [layer for layer in layers(two_stage) if layer != ("Softmax",)]


@pytest.mark.parametrize(
    ("origin", "first", "last", "initializer", "padding"),
    [
        ("ours", ("Rescaling", 4.0, 0.0), ("Rescaling", 1.0, 0.0), "HandOn", "same"),
        ("paper", ("Rescaling", 1.0, 0.0), ("Rescaling", 128 / 63, -1.0), HE, "same"),
        ("article", ("Rescaling", 1000.0, 0.0), ("Rescaling", 2 / 63, -1.0), GLOROT, "valid"),
    ],
)
def test_coordconv_for_regression(origin, first, last, initializer, padding):
    assert layers(coordconv.build(tasks.Regression(64), origin=origin)) == [
        first,
        ("CoordConv2D", 8, 1, 1, "valid", "linear", initializer),
        ("Dense", 8, "linear", initializer),
        ("Dense", 8, "linear", initializer),
        ("Conv2D", 8, 3, 1, padding, "linear", initializer),
        ("Conv2D", 2, 3, 1, padding, "linear", initializer),
        ("GlobalMaxPooling2D",),
        last,
    ]


@pytest.mark.parametrize("pooling", ["max", "mean", "soft_argmax"])
def test_the_factors_of_regression(pooling):
    """ReLU behind all but the last; the image times the gain; a soft-argmax reads one map."""
    network = coordconv.build(
        tasks.Regression(64), origin="paper", relu=True, pooling=pooling, gain=1000.0
    )
    last = {
        "max": [("GlobalMaxPooling2D",), ("Rescaling", 128 / 63, -1.0)],
        "mean": [("GlobalAveragePooling2D",), ("Rescaling", 128 / 63, -1.0)],
        "soft_argmax": [("ReadCoords",)],
    }[pooling]
    maps = 1 if pooling == "soft_argmax" else 2
    assert layers(network) == [
        ("Rescaling", 1000.0, 0.0),
        ("CoordConv2D", 8, 1, 1, "valid", "relu", HE),
        ("Dense", 8, "relu", HE),
        ("Dense", 8, "relu", HE),
        ("Conv2D", 8, 3, 1, "same", "relu", HE),
        ("Conv2D", maps, 3, 1, "same", "linear", HE),
        *last,
    ]
    assert network.count_params() == (906 if maps == 2 else 906 - (3 * 3 * 8 + 1))


@pytest.mark.parametrize("origin", ["ours", "paper"])
def test_a_soft_argmax_over_a_map_without_a_peak_answers_with_the_middle(origin):
    task = tasks.Regression((12, 16))
    network = coordconv.build(task, origin=origin, pooling="soft_argmax")
    network.layers[-2].kernel.assign(np.zeros((3, 3, 8, 1)))
    image = np.zeros((1, 12, 16, 1), "float32")
    image[0, 1, 2] = 1
    np.testing.assert_allclose(network(image), [[0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"coordinates": "first"}, 7553),
        ({"coordinates": "all"}, 7553 + 2 * (32 + 64 + 64 + 1)),
        ({"radius": True}, 7553 + 32),
        ({"coordinates": "all", "radius": True}, 7553 + 32 + 3 * (32 + 64 + 64 + 1)),
        ({"separate": True}, 7553),
    ],
)
@pytest.mark.parametrize("task", [tasks.Classification(16), tasks.Rendering(16)])
def test_coordconv_with_more_coordinates(task, options, parameters):
    network = coordconv.build(task, **options)
    assert network.count_params() == parameters
    sees = [layer for layer in network.layers if type(layer).__name__ == "CoordConv2D"]
    assert len(sees) == (5 if "all" in options.values() else 1)
    assert {layer.radius for layer in sees} == {options.get("radius", False)}
    assert {layer.separate for layer in sees} == {options.get("separate", False)}


def test_a_separate_filter_of_one_pixel_is_the_same_function():
    together, apart = (
        coordconv.build(tasks.Classification(12), separate=separate) for separate in (False, True)
    )
    for one, other in zip(together.layers, apart.layers, strict=True):
        if type(other).__name__ == "CoordConv2D":
            parts = np.asarray(other.kernel), np.asarray(other.coordinate_kernel)
            one.kernel.assign(np.concatenate(parts, axis=2))
        elif other.weights:
            one.set_weights(other.get_weights())
    inputs = np.random.RandomState(0).uniform(-1, 1, (3, 2)).astype("float32")
    np.testing.assert_allclose(together(inputs), apart(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"coordinates": "last"}, "coordinates='last' is unknown; expected one of first, all"),
        ({"relu": True}, "relu is not a setting for classification; leave it out"),
    ],
)
def test_a_wrong_setting_of_coordconv_is_named(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        coordconv.build(tasks.Classification(16), **options)


@pytest.mark.parametrize("task", [tasks.Regression((12, 16)), tasks.Localisation((12, 16))])
def test_a_dense_head_has_weights_for_every_pixel(task):
    dense, soft = (soft_argmax.dsnt(task, head=head) for head in ("dense", "soft_argmax"))
    assert layers(dense)[:3] == layers(soft)[:3]
    assert soft.count_params() == 672
    assert dense.count_params() == 672 + 2 * (12 * 16 + 1)
    with pytest.raises(ValueError, match="head='mean' is unknown; expected one of soft_argmax, de"):
        soft_argmax.dsnt(task, head="mean")


@pytest.mark.parametrize(("depth", "thirds"), [(2, 0), (4, 2)])
def test_deconvolution_of_liang(depth, thirds):
    """As in depth_exp.py: 7x7, twice 4x4 of stride 2, then 3x3 of stride 1; ReLU; one channel."""
    network = deconv.deconv(tasks.Rendering(28), origin="liang", depth=depth)
    start = "VarianceScaling"
    assert layers(network) == [
        ("Rescaling", 13.5, 13.5),
        ("Conv2DTranspose", 64, 7, 1, "valid", "relu", start),
        *2 * [("Conv2DTranspose", 64, 4, 2, "same", "relu", start)],
        *thirds * [("Conv2DTranspose", 64, 3, 1, "same", "relu", start)],
        ("Conv2DTranspose", 1, 3, 1, "same", "linear", start),
    ]
    sizes = [7 * 7 * 2, 4 * 4 * 64, 4 * 4 * 64, *thirds * [3 * 3 * 64]]
    assert network.count_params() == sum(64 * (each + 1) for each in sizes) + 3 * 3 * 64 + 1
    largest = np.abs(network.layers[4].kernel).max()  # PyTorch: uniform, up to 1 / sqrt(fan-in)
    assert 0.95 / 32 < largest <= 1 / 32


@pytest.mark.parametrize(
    ("size", "options"), [(32, {}), (28, {"depth": 1}), ((28, 14), {}), (21, {})]
)
def test_a_canvas_that_liang_cannot_reach_is_named(size, options):
    with pytest.raises(ValueError, match="cannot be reached from 7 in"):
        deconv.deconv(tasks.Rendering(size), origin="liang", **options)
    with pytest.raises(ValueError, match="depth=2 is not a setting for origin='ours'"):
        deconv.deconv(tasks.Rendering(32), depth=2)


def test_upsampling_differs_in_its_layer_only():
    plain, other = (
        build(tasks.Classification(64))
        for build in (deconv.upsample_conv, deconv.upsample_coordconv)
    )
    expected = []
    for filters in (64, 64, 64, 32, 32):
        expected += [
            ("UpSampling2D", 2),
            convolution(filters, 3, 1, "linear"),
            BATCH_NORMALIZATION,
            ("ReLU",),
        ]
    expected += [("UpSampling2D", 2), convolution(1, 3, 1, "linear")]
    assert layers(plain) == expected
    assert layers(other) == [
        ("CoordConv2D", *each[1:]) if each[0] == "Conv2D" else each for each in expected
    ]
