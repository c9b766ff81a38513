"""PNG files and compressed one-hots: without loss, and no larger than TensorFlow makes them."""

import io
import zlib

import hypothesis.extra.numpy
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import drawing, geometry, png

SIDES = strategies.integers(1, 40)
PIXELS = strategies.sampled_from([0, 0, 0, 1, 254, 255]) | strategies.integers(0, 255)


def assert_decoded(file, image):
    with PIL.Image.open(io.BytesIO(file)) as opened:
        assert (opened.format, opened.mode) == ("PNG", "L")
        np.testing.assert_array_equal(opened, image.reshape(image.shape[:2]))
    decoded = tf.io.decode_png(file).numpy()
    np.testing.assert_array_equal(decoded, image.reshape(*image.shape[:2], 1))


@settings(max_examples=300, deadline=None)
@given(
    strategies.tuples(SIDES, SIDES).flatmap(
        lambda shape: hypothesis.extra.numpy.arrays(np.uint8, shape, elements=PIXELS)
    )
)
def test_two_decoders_find_every_pixel(image):
    assert_decoded(png.encode(image), image)
    assert png.encode(image[..., None]) == png.encode(image)
    assert png.encode(np.asfortranarray(image)) == png.encode(image)


@pytest.mark.parametrize("size", [0, 1, 19_999, 20_000, 10**6])
def test_bytes_are_compressed_without_loss(size):
    data = bytes(size // 2) + b"\1" + bytes(size)
    assert zlib.decompress(png.compress(data)) == data


@pytest.mark.parametrize("shape", [(1, 1), (1, 70_000), (70_000, 1), (141, 141), (142, 141)])
def test_noise_of_any_size_is_encoded(shape):
    image = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    assert_decoded(png.encode(image), image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 0), np.uint8),
        np.zeros(3, np.uint8),
        np.zeros((3, 3, 2), np.uint8),
        np.zeros((3, 3), np.int64),
    ],
)
def test_what_is_no_grey_image_is_refused(image):
    with pytest.raises(UserError, match=r"image must be uint8 \[H, W\] or \[H, W, 1\], got "):
        png.encode(image)


@pytest.mark.parametrize("size", [9, 12, 16, 24, 32, 48, 64, 96, 128, 142, 160, 256, 300, 512])
@pytest.mark.parametrize(("square", "most"), [(3, 1.05), (9, 1), (31, 1.1)])
def test_examples_are_about_as_large_as_those_of_tensorflow_and_zlib(size, square, most):
    """Those with the default square are no larger."""
    square = min(square, size - 1 + size % 2)
    centres = geometry.centres(size, square)
    centres = centres[:: -(-len(centres) // 16)]
    images = drawing.draw(centres, size, f"square{square}")
    one_hots = geometry.one_hot(centres, size)
    ours = [len(png.encode(image)) for image in images]
    ours += [len(png.compress(one_hot.tobytes())) for one_hot in one_hots]
    before = [len(file) for file in tf.io.encode_png(images).numpy()]
    before += [len(zlib.compress(one_hot)) for one_hot in one_hots]
    assert sum(ours) <= most * sum(before)
    for image in images[::5]:
        assert_decoded(png.encode(image), image)
