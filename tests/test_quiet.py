"""Nothing on the terminal but our own words; and nobody's logging is changed."""

import logging
import os
import sys

import pytest
import subprocesses
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils

from not_so_clevr.dataset import quiet
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

NAME = "not_so_clevr/quadrant_14_square5"
OF_TENSORFLOW = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795787341.162582    8234 port.cc:153] oneDNN custom operations are on.
I0000 00:00:1795787341.163438    8234 cudart_stub.cc:31] Could not find cuda drivers
To enable the following instructions: AVX2 AVX512F, rebuild TensorFlow
2025-01-02 03:04:05.678901: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
E0000 00:00:1795787344.210941    8234 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)
E0000 00:00:1795787344.210941    8234 cuda_dnn.cc:83] Unable to register cuDNN factory: already been registered
W0000 00:00:1795787344.210941    8234 computation_placer.cc:177] computation placer already registered.
"""
OF_OTHERS = """\
E0000 00:00:1795787344.210941    8234 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (999)
W0000 00:00:1795787344.210941    8234 gpu_device.cc:2341] Cannot dlopen some GPU libraries.
model.py:1: UserWarning: I think so
"""


def print_all():
    os.write(2, (OF_TENSORFLOW + OF_OTHERS).encode())


def test_what_others_print_is_shown(capfd):
    with quiet.stderr():
        print_all()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == OF_OTHERS + "afterwards\n"


def test_only_that_several_networks_were_traced_is_hidden_of_the_warnings(caplog, monkeypatch):
    """`tune` and `verify` make one network after the other. TensorFlow's own logger has a filter."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tensorflow")
    monkeypatch.setattr(logger, "filters", [])
    monkeypatch.setattr(logger, "propagate", True)
    quiet.hide_log()
    logger.warning("5 out of the last 5 calls to %s triggered tf.function retracing.", print)
    logger.warning("something else")
    assert caplog.messages == ["something else"]


def test_an_error_shows_everything(capfd):
    with pytest.raises(ImportError), quiet.stderr():
        print_all()
        raise ImportError
    assert capfd.readouterr().err == OF_TENSORFLOW + OF_OTHERS


def test_the_variable_of_tensorflow_shows_everything(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet.stderr():
        print_all()
    assert capfd.readouterr().err == OF_TENSORFLOW + OF_OTHERS


def test_the_first_load_says_in_one_line_what_it_does_and_the_next_nothing(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG, "absl")
    tfds.load(NAME, data_dir=tmp_path)
    where = f"{tmp_path}/{NAME}/1.0.0"
    line = f"Generating {NAME}/1.0.0, once: 100 examples, in {where}\n"
    assert capfd.readouterr() == (line, "")
    assert any("Generating dataset" in each.getMessage() for each in caplog.records)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    tfds.load(NAME, data_dir=tmp_path)
    assert capfd.readouterr() == ("", "")


def test_logging_and_bars_of_the_user_are_left_as_they_are(tmp_path, caplog):
    logger = logging.getLogger("absl")
    before = logger.level, list(logger.filters), logger.disabled, list(logger.handlers)
    for shown in (True, False, True):
        tqdm_utils.display_progress_bar(shown)
        tfds.load(NAME, data_dir=tmp_path)
        assert tqdm_utils._active is shown
    assert (logger.level, logger.filters, logger.disabled, logger.handlers) == before
    tfds.core.features.feature.log_tf_warning("FeatureConnector")
    with quiet.tfds_remarks():
        logger.warning("kept")
        logger.warning("`FeatureConnector.dtype` is deprecated")
    assert [each.getMessage() for each in caplog.records if each.name == "absl"][-1] == "kept"


def test_who_asks_for_progress_is_not_told_twice(tmp_path, capfd):
    builder = Builder(config="quadrant_14_square5", data_dir=tmp_path)
    done = []
    builder.on_progress = done.append
    builder.download_and_prepare()
    assert sum(done) == 100
    assert capfd.readouterr() == ("", "")


def test_a_process_that_imports_tensorflow_for_the_first_load_prints_one_line(tmp_path):
    code = f"""
import logging, sys, not_so_clevr, tensorflow_datasets as tfds
assert "tensorflow" not in sys.modules
examples = tfds.load("{NAME}", split="test", data_dir={str(tmp_path)!r}, batch_size=-1)
assert len(examples["label"]) == 25
print("mine", file=sys.stderr)
"""
    process = subprocesses.start(code, TF_CPP_MIN_LOG_LEVEL="")
    output, errors = process.communicate()
    assert output.startswith("Generating not_so_clevr/")
    assert (output.count("\n"), errors) == (1, "mine\n")


def test_a_command_prints_nothing_of_tensorflow(tmp_path):
    """Keras imports TensorFlow for the model, and TFDS uses it for the data set."""
    arguments = ["--task", "regression", "--config", "quadrant_14_square5", "--set", "epochs=1"]
    folders = ["--runs", tmp_path / "runs", "--data-dir", tmp_path / "data"]
    trained = subprocesses.command(
        "train", "coordconv", *arguments, *folders, KERAS_BACKEND="tensorflow"
    )
    assert trained.returncode == 0
    name = "regression/quadrant_14_square5/coordconv-epochs=1/seed0: "
    assert trained.stdout.startswith(name)
    assert all(line.startswith(name) for line in trained.stderr.splitlines())  # Progress, if slow


@pytest.mark.parametrize("hide", [quiet.stderr, quiet.tfds_remarks, quiet.logs])
def test_what_two_threads_hide_at_once_is_shown_again_after_the_last(hide, capfd):
    """The first to begin is the first to end, so each would restore what the other has changed."""
    loggers = [logging.getLogger(name) for name in (None, "absl", "apache_beam")]

    def state():
        filters = [list(logger.filters) for logger in loggers]
        return [logger.level for logger in loggers], filters, tqdm_utils._active, os.fstat(2).st_ino

    before = state()
    one, other = hide(), hide()
    one.__enter__()
    other.__enter__()
    hidden = state()
    one.__exit__(None, None, None)
    assert state() == hidden != before
    other.__exit__(None, None, None)
    assert state() == before
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"
