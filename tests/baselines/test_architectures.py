"""The networks, layer by layer, against the code of the paper (uber-research/CoordConv) and of the article (coord-conv)."""

import numpy as np
import pytest

from not_so_clevr.baselines import conv, coordconv, deconv
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
