"""The batches of a training, in the order of their seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import not_so_clevr
from not_so_clevr.dataset import tasks
from not_so_clevr.dataset.batches import Batches, Examples


@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.integers(0, 1000))
def test_an_epoch_has_every_example_once_in_an_order_of_its_own(batch_size, seed, epoch):
    arrays = not_so_clevr.load_arrays("quadrant_16_square3")["train"]
    examples = Examples(arrays, tasks.Classification(16))

    def order(seed, epoch):
        steps = -(-len(examples) // batch_size)
        batches = Batches(examples, batch_size, seed, epochs=epoch + 1, first_step=epoch * steps)
        targets = [batches[k][1].argmax(axis=1) for k in range(len(batches))]
        assert all(len(target) == batch_size for target in targets[:-1])
        return np.concatenate(targets)

    first = order(seed, epoch)
    assert sorted(first) == arrays["label"].tolist()
    assert first.tolist() == order(seed, epoch).tolist() != order(seed, epoch + 1).tolist()
    assert first.tolist() != order(seed ^ 1, epoch).tolist()
