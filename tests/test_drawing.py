import tracemalloc

import keras
import literal
import numpy as np
import pytest
import scipy.signal
import subprocesses
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import devices, drawing, geometry, shapes

SIZES = [(64, 9), (32, 9), (33, 9), (16, 1), (12, 11), (9, 9), (1, 1)]
WAYS = [drawing.convolved, drawing.copied]

DISC = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2
KERNELS = {
    "square": np.ones((9, 9), bool),
    "one pixel": np.ones((1, 1), np.uint8),
    "disc": DISC,
    "asymmetric": np.tril(np.ones((5, 5), np.uint8)) * 255,
    "separable": np.outer([1.0, -2.0, 0.5], [0.25, 3.0, 1.0]),
    "nothing": np.zeros((3, 3)),
    "one corner": np.eye(3)[:, ::-1] * [[0], [0], [7]],
}


def in_numpy(one_hots, kernel):
    return drawing.convolve(one_hots, kernel)


def on_backend(one_hots, kernel):
    tensor = keras.ops.convert_to_tensor(one_hots)
    return keras.ops.convert_to_numpy(drawing.convolve(tensor, kernel))


def in_tf_data(one_hots, kernel):
    dataset = tf.data.Dataset.from_tensors(one_hots).map(lambda x: drawing.convolve(x, kernel))
    return next(dataset.as_numpy_iterator())


EVERYWHERE = [in_numpy, on_backend, in_tf_data]


def by_scipy(images, kernel):
    images, kernel = np.asarray(images, np.float64), np.asarray(kernel, np.float64)
    each = [scipy.signal.convolve2d(image, kernel, "same") for image in images[..., 0]]
    return np.stack(each)[..., None]


@st.composite
def images_and_kernels(draw):
    """Images with any number of ones, or of any numbers; and any kernel that fits on them."""
    shape = draw(st.tuples(*[st.integers(1, high) for high in (3, 9, 12)], st.just(1)))
    size = 2 * draw(st.integers(0, (min(shape[1:3]) - 1) // 2)) + 1
    numbers = st.floats(-8, 8, width=16)
    dtype, elements = draw(
        st.sampled_from([(bool, None), (np.uint8, st.integers(0, 255)), (np.float32, numbers)])
    )
    image = draw(arrays.arrays(dtype, shape, elements=elements))
    if draw(st.booleans()):
        line = arrays.arrays(np.float32, size, elements=numbers)
        return image, np.outer(draw(line), draw(line))
    return image, draw(arrays.arrays(np.float32, (size, size), elements=numbers))


@given(images_and_kernels())
def test_a_convolution_equals_scipys(both):
    images, kernel = both
    found = drawing.convolve(images, kernel)
    assert found.dtype == np.float32
    scale = max(1, by_scipy(np.abs(images), np.abs(kernel)).max())
    np.testing.assert_allclose(found / scale, by_scipy(images, kernel) / scale, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("where", EVERYWHERE)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_any_ones_and_any_kernel_give_what_scipy_gives_on_the_backend(where, kernel, dtype):
    images = (np.random.RandomState(0).random_sample((4, 13, 21, 1)) < 0.2).astype(dtype)
    images[0, 0, 0] = images[1, 12, 20] = images[2, 0, 20] = 1  # Up to the borders
    expected = by_scipy(images, KERNELS[kernel])
    found = where(images, KERNELS[kernel])
    assert found.dtype == np.float32
    if dtype != np.float32 and KERNELS[kernel].dtype.kind in "bui":
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_kernel_of_rank_1_is_two_lines_and_any_other_stays_whole():
    ranks = {name: len(drawing._factors(kernel.astype(float))) for name, kernel in KERNELS.items()}
    whole = {name for name, factors in ranks.items() if factors == 1}
    assert whole == {"disc", "asymmetric", "nothing"}
    column, row = drawing._factors(KERNELS["square"] * 255.0)
    assert column.tolist() == [[255]] * 9
    assert row.tolist() == [[1] * 9]


@pytest.mark.parametrize("where", EVERYWHERE)
def test_a_canvas_is_the_convolution_of_its_one_hot_on_the_backend(where):
    centres = geometry.centres(20, 5)
    one_hots = geometry.one_hot(centres, 20).reshape(-1, 20, 20, 1)
    canvases = where(one_hots, np.full((5, 5), 255, np.uint8))
    np.testing.assert_array_equal(canvases, drawing.draw(centres, 20, "square5"))


OWN = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0] * 5, [0, 1, 1, 0, 1], [0, 1, 0, 0, 0]], bool)
NAMED = ["disc5", "cross5", "ring5", "triangle5", "square3", shapes.as_shape(OWN)]


@pytest.mark.parametrize("gpu", [None, "a GPU"])
@pytest.mark.parametrize("shape", NAMED)
def test_a_shape_is_the_kernel_of_the_convolution_on_the_backend(shape, gpu, monkeypatch):
    """Its one-hots are those of every pixel of a rectangle, so some shapes cross the border."""
    monkeypatch.setattr(devices, "keras_gpu", lambda: gpu)
    centres = geometry.centres((8, 11), 1)
    one_hots = geometry.one_hot(centres, (8, 11)).reshape(-1, 8, 11, 1)
    expected = by_scipy(one_hots, np.where(shapes.kernel(shape), 255, 0))
    drawn = keras.ops.convert_to_numpy(drawing.draw_on_device(centres, (8, 11), shape))
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(drawing.draw(centres, (8, 11), shape), expected)


def test_a_shape_may_be_given_by_its_pixels():
    np.testing.assert_array_equal(drawing.draw([[2, 3]], (5, 8), OWN)[0, :, 1:6, 0] > 0, OWN)


def test_a_table_of_lines_that_would_be_too_large_is_not_made(monkeypatch):
    centres = geometry.centres((9, 12), 5)
    expected = drawing.draw(centres, (9, 12), "triangle5")
    monkeypatch.setattr(drawing, "_TABLE_BYTES", 6 * 12**2 - 1)
    monkeypatch.setattr(drawing, "_convolved_lines", None)
    np.testing.assert_array_equal(drawing.draw(centres, (9, 12), "triangle5"), expected)


def by_definition(centres, size, k):
    """White is every pixel at most k // 2 rows and columns from the centre."""
    height, width = size
    rows, columns = np.asarray(centres).T[..., None]
    near_rows = np.abs(np.arange(height) - rows) <= k // 2  # [N, H]
    near_columns = np.abs(np.arange(width) - columns) <= k // 2
    return np.where(near_rows[:, :, None] & near_columns[:, None, :], 255, 0)[..., None]


@pytest.mark.parametrize("way", WAYS)
@given(st.data())
@settings(max_examples=50)
def test_squares_are_drawn_by_the_definition_up_to_and_over_the_border(way, data):
    height, width = size = data.draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    k = 2 * data.draw(st.integers(0, (min(size) - 1) // 2)) + 1
    pixels = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1))
    centres = np.array(data.draw(st.lists(pixels, min_size=1, max_size=5)))
    drawn = way(np, *centres.T, size, f"square{k}")
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, by_definition(centres, size, k))


@pytest.mark.parametrize("gpu", [None, "a GPU"])
@pytest.mark.parametrize("size", SIZES)
def test_both_ways_equal_the_literal_recipe_on_the_backend(size, gpu, monkeypatch):
    monkeypatch.setattr(devices, "keras_gpu", lambda: gpu)
    recipe = keras.ops.convert_to_numpy(literal.canvases(*size)) * 255
    what = geometry.centres(*size), size[0], f"square{size[1]}"
    drawn = keras.ops.convert_to_numpy(drawing.draw_on_device(*what))
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, recipe)
    np.testing.assert_array_equal(drawing.draw(*what), recipe)


@pytest.mark.parametrize("gpu", [None, "a GPU"])
def test_squares_over_the_border_are_cut_off_on_the_backend(gpu, monkeypatch):
    monkeypatch.setattr(devices, "keras_gpu", lambda: gpu)
    centres = [[0, 0], [0, 31], [31, 16]]
    drawn = keras.ops.convert_to_numpy(drawing.draw_on_device(centres, 32))
    np.testing.assert_array_equal(drawn, by_definition(centres, (32, 32), 9))


@pytest.mark.parametrize("way", WAYS)
def test_tensorflow_draws_the_same_whatever_the_backend(way):
    centres = tf.constant(geometry.centres(20, 5))
    for shape in ("square5", "triangle5"):
        drawn = way(tf.experimental.numpy, centres[:, 0], centres[:, 1], (20, 20), shape)
        expected = drawing.convolve(
            geometry.one_hot(geometry.centres(20, 5), 20).reshape(-1, 20, 20, 1),
            255 * shapes.kernel(shape),
        )
        np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("gpu", [None, "a GPU"])
def test_a_gpu_convolves_and_a_cpu_copies(gpu, monkeypatch):
    monkeypatch.setattr(devices, "keras_gpu", lambda: gpu)
    ways = []
    monkeypatch.setattr(
        drawing, "_compiled", lambda backend, way, *sizes: ways.append(way) or (lambda *_: None)
    )
    drawing.draw_on_device([[1, 2]])
    assert ways == [drawing.convolved if gpu else drawing.copied]


@pytest.mark.parametrize("drawer", ["numpy", "keras", "tensorflow"])
def test_whatever_draws_for_the_disk_gives_the_same(drawer):
    drawn = drawing.draw_for_disk(geometry.centres((20, 24), 5), (20, 24), "square5", drawer)
    assert isinstance(drawn, np.ndarray)
    expected = by_definition(geometry.centres((20, 24), 5), (20, 24), 5)
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("backend", subprocesses.other_backends())
@pytest.mark.slow
def test_on_other_backends(backend):
    printed = subprocesses.run_tests(__file__, "on_the_backend or whatever", backend)
    assert "passed" in printed


def test_memory_is_bounded_by_the_chunk_whatever_the_number_of_examples():
    centres = geometry.centres(128)
    assert len(centres) * 128**2 > 3 * 64 * 2**20
    tracemalloc.start()
    try:
        for start in range(0, len(centres), drawing.chunk_length(128)):
            drawing.draw(centres[start : start + drawing.chunk_length(128)], 128)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.2 * 64 * 2**20  # This chunk, the last while it is still held, and a little more


@pytest.mark.parametrize(
    ("canvas_size", "canvases"), [(64, 16384), (512, 256), (4096, 4), (np.int16(300), 745)]
)
def test_a_chunk_takes_64_mib_at_most(canvas_size, canvases):
    assert drawing.chunk_length(canvas_size) == canvases


ONES = np.ones((2, 8, 8, 1))
SHAPE = r"one_hots must have shape \[N, H, W, 1\], got {}; add the missing axes, as in one_hots"
SQUARE = r"kernel must have shape \[k, k\] with k odd, got {}; pad it with zeros\."


@pytest.mark.parametrize(
    ("one_hots", "kernel", "sentence"),
    [
        (ONES, np.ones((4, 4)), SQUARE.format(r"\(4, 4\)")),
        (ONES, np.ones((0, 0)), SQUARE.format(r"\(0, 0\)")),
        (ONES, np.ones(3), SQUARE.format(r"\(3,\)")),
        (ONES, None, SQUARE.format(r"\(\)")),
        (ONES, np.ones((3, 3, 1)), SQUARE.format(r"\(3, 3, 1\)")),
        (ONES, np.ones((3, 5)), SQUARE.format(r"\(3, 5\)")),
        (
            ONES,
            [[1, 2], [3]],
            r"kernel must be an array of shape \[k, k\] on the host, got list; convert it with",
        ),
        (ONES, np.ones((9, 9)), r"kernel of 9x9 pixels is larger than the image of 8x8; use a"),
        (ONES, [[np.nan]], r"kernel must hold finite real numbers \(float32\), got NaN or"),
        (
            ONES,
            [[1e39]],
            r"kernel must hold finite real numbers \(float32\), got NaN or infinity\.",
        ),
        (ONES, [["1"]], r"kernel must hold finite real numbers, got dtype <U1\."),
        (ONES, [[1j]], r"kernel must hold finite real numbers, got dtype complex128\."),
        (ONES[0], [[1]], SHAPE.format(r"\(8, 8, 1\)")),
        (np.ones((2, 8, 8, 3)), [[1]], SHAPE.format(r"\(2, 8, 8, 3\)")),
        (np.ones((2, 0, 8, 1)), [[1]], SHAPE.format(r"\(2, 0, 8, 1\)")),
        (tf.ones((2, 64)), [[1]], SHAPE.format(r"\(2, 64\)")),
        ([[1], [2, 3]], [[1]], r"one_hots must have shape .*, got a ragged list\."),
        ("ones", [[1]], r"one_hots must hold booleans or real numbers, got dtype str"),
        (
            tf.ones((1, 8, 8, 1), tf.complex64),
            [[1]],
            r"one_hots must hold .*, got dtype complex64\.",
        ),
        (tf.constant([["a"]]), [[1]], r"one_hots must hold .*, got dtype string\."),
        (
            keras.Input((8, 8, 1)),
            [[1]],
            r"one_hots must be an array, or a tensor of .*, got KerasTensor",
        ),
        (
            tf.sparse.eye(3),
            [[1]],
            r"one_hots must be an array, or a tensor of .*, got SparseTensor\.",
        ),
    ],
)
def test_bad_input_is_one_sentence(one_hots, kernel, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        drawing.convolve(one_hots, kernel)


def test_what_is_unknown_of_a_traced_tensor_is_named():
    def traced(shape, kernel):
        function = tf.function(lambda x: drawing.convolve(x, kernel(x)))
        function.get_concrete_function(tf.TensorSpec(shape, tf.float32))

    with pytest.raises(
        UserError, match=r"(?s)H and W of one_hots must be known, got .*; use tf.ensure"
    ):
        traced([None, None, None, 1], lambda x: [[1]])
    with pytest.raises(UserError, match=r"(?s)one_hots must have shape \[N, H, W, 1\], got \(\);"):
        traced(None, lambda x: [[1]])
    with pytest.raises(
        UserError, match=r"(?s)kernel must be an array of shape \[k, k\] on the host, got "
    ):
        traced([1, 8, 8, 1], lambda x: x[0, :3, :3, 0])


def test_a_variable_and_no_images_at_all_are_convolved_on_the_backend():
    variable = keras.Variable(ONES.astype("float32"))
    assert keras.ops.is_tensor(drawing.convolve(variable, [[2]]))
    assert drawing.convolve(np.ones((0, 8, 8, 1)), np.ones((3, 3))).shape == (0, 8, 8, 1)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch has a switch of its own.")
def test_full_precision_is_asked_for_and_taken_back_on_the_backend():
    from torch.backends import cudnn

    before = cudnn.allow_tf32, cudnn.enabled
    with drawing._full_precision():
        assert (cudnn.allow_tf32, cudnn.enabled) == (False, True)
    assert (cudnn.allow_tf32, cudnn.enabled) == before
