"""The numbers in the sentences of the pages, told of runs that are made up."""

import dataclasses
import json
import re

import numpy as np
import pytest
import run_files
import values

ID = f"{{}}/{run_files.CONFIG}/net"


def told(comment, runs, task="classification"):
    before = f"<!-- {comment}: {ID.format(task)} -->"
    page = values.renewed(
        "page.md", f"It is {before}?<!-- / -->, and {before}what was there<!-- / -->.", runs
    )
    text = page.removeprefix(f"It is {before}").partition("<!-- / -->")[0]
    assert page == f"It is {before}{text}<!-- / -->, and {before}{text}<!-- / -->."
    return text


def several(*wrong, task="classification"):
    return [
        run_files.result("net", task=task, seed=seed, wrong=share)
        for seed, share in enumerate(wrong)
    ]


def learned(*columns, metric="accuracy"):
    """A run for each column of a metric of test after each epoch; if it is another one, no example is right."""
    return [
        run_files.result(
            "net",
            seed=seed,
            history=[
                {
                    "epoch": k,
                    "loss": 1.0,
                    "test": {"accuracy": 0.0} | {metric: value},
                    "seconds": 1.0,
                }
                for k, value in enumerate(column, 1)
            ],
        )
        for seed, column in enumerate(columns)
    ]


def answered(function):
    """A run of regression whose answers on train, and which of them are right, a function changes."""
    run = run_files.result("net", task="regression")
    columns = {name: np.array(column) for name, column in run.examples["train"].items()}
    function(columns)
    return dataclasses.replace(run, examples={"train": columns, "test": run.examples["test"]})


def test_up_to_three_numbers_are_told_one_by_one_and_more_of_them_as_a_range():
    assert (
        told("of_test", several(0.5)) == "51.0 %"
    )  # 24 of 49 are wrong: half of an odd number, rounded to even
    assert told("of_test", several(0.0, 0.5, 1.0)) == "100, 51.0 and 0.0 %"
    assert told("of_test", several(0.5, 0.0, 1.0, 0.5)) == "0.0 to 100 %"
    assert (
        told("of_test", several(0.0, 0.0))
        == told("of_test", several(0.0, 0.0, 0.0, 0.0))
        == "100 %"
    )


def test_a_training_stands_still_if_its_loss_does_in_the_second_half():
    def with_losses(*losses):
        history = [
            {"epoch": k, "loss": loss, "test": {"accuracy": 0.0}, "seconds": 1.0}
            for k, loss in enumerate(losses, 1)
        ]
        return run_files.result("net", seed=len(losses), history=history)

    assert (
        told(
            "still",
            [
                with_losses(9.0, 1.0, 1.0009),
                with_losses(1.0, 1.0, 1.0, 1.002),
                with_losses(9.0, 8.0, 7.0, 6.0, 5.0),
            ],
        )
        == "1 of 3"
    )


def test_metrics_have_their_units():
    assert told("of_test error", several(1.0, task="regression"), "regression") == "3 px"
    assert told("of_test iou", several(1.0, 0.0, task="rendering"), "rendering") == "0.25 and 1"
    assert told("of_train", several(1.0)) == "100 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0123456, "0.0123"), (0.9973, "0.997"), (0.9999, "0.999"), (1.0, "1")],
)
def test_no_iou_is_told_as_1_that_is_less(value, text):
    assert told("best iou", learned([value], metric="iou")) == text


def test_errors_have_three_digits():
    assert (
        told("best distance", learned([19.67], [0.00117], [21.0], metric="distance"))
        == "19.7, 0.00117 and 21 px"
    )


def test_the_share_of_the_first_layer_is_that_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(values, "DIFFERENCES", tmp_path / "differences.json")
    (run,) = several(0.5)
    share = {"share": 0.36459, "accuracy": run.metrics["test"]["accuracy"]}
    values.DIFFERENCES.write_text(json.dumps({run.id: share}))
    assert told("difference", [run]) == "0.365"
    values.DIFFERENCES.write_text(json.dumps({run.id: share | {"accuracy": 0.4}}))
    with pytest.raises(ValueError, match=f"differences.json is of another run of {run.id}"):
        told("difference", [run])
    values.DIFFERENCES.unlink()
    with pytest.raises(ValueError, match="No such file"):
        told("difference", [run])


def test_runs_are_counted():
    assert told("perfect", several(0.0, 0.5, 0.0)) == "2 of 3"
    assert told("right test", several(0.0, 0.5, 0.0)) == "2 of 3"
    assert told("right train", several(0.0, 0.5, 0.0)) == "3 of 3"
    black = run_files.result(
        "net",
        task="rendering",
        seed=9,
        metrics={split: {"exact": 0.0, "iou": 0.0} for split in ("train", "test")},
    )
    assert told("black", [black, *several(1.0, task="rendering")], "rendering") == "1 of 2"


def test_shares_over_the_seeds():
    assert told("mean", several(0.0, 1.0)) == "50.0 %"
    assert told("lowest", several(0.0, 0.5)) == "51.0 %"
    assert told("imperfect test", several(0.0, 0.5, 1.0)) == "51.0 and 0.0 %"


def test_what_a_training_goes_through():
    runs = learned([0.0, 1.0, 0.5, 1.0, 1.0], [0.0, 0.2, 0.0, 1.0, 0.0])
    assert told("best", runs) == "100 %"
    assert told("after 2", runs) == "100 and 20.0 %"
    assert told("first", runs) == "2 and 4"
    assert (
        told("first", learned(*([0.0] * epochs + [1.0] for epochs in (8, 10, 1, 9)))) == "2 to 11"
    )
    assert told("settled", runs) == "4 (in 1 of 2 runs; never in the others)"
    assert told("settled", learned([1.0, 1.0])) == "1"
    (run,) = learned([0.5, 1.0])
    measured = [{**epoch, "epoch": 5 * epoch["epoch"]} for epoch in run.history]
    assert told("settled", [dataclasses.replace(run, history=measured)]) == "10"
    assert told("epochs_right", runs) == "2, 4, 5 and 4"
    assert told("none_right", runs) == "40.0 %"
    assert (
        told("first distance 3", learned([9.0, 3.0, 1.0], [3.0, 9.0, 9.0], metric="distance"))
        == "2 and 1"
    )
    assert told("first iou", learned([0.0, 0.0, 0.1], metric="iou")) == "3"


def test_what_is_answered_on_train():
    def row_of_5(columns):
        columns["predicted"][:, 0] = 5

    def one_point(columns):
        columns["predicted"][:] = 7.5, 8.25

    def row_4_is_missed(columns):
        columns["within_half_pixel"][columns["coordinates"][:, 0] == 4] = 0

    assert told("constant 0", [answered(lambda columns: None)], "regression") == "1 of 1"
    assert told("constant 1", [answered(row_of_5), answered(one_point)], "regression") == "1 of 2"
    assert told("constant 2", [answered(row_of_5), answered(one_point)], "regression") == "1 of 2"
    assert told("answer", [answered(one_point)], "regression") == "(7.5, 8.2)"
    assert (
        told(
            "wrong_rows", [answered(row_4_is_missed), answered(lambda columns: None)], "regression"
        )
        == "4"
    )


def test_errors_of_runs_that_are_not_right_are_told_along_a_line_and_across_it():
    def on_a_line(columns):
        along, across = np.array([0.6, 0.8]), np.array([0.8, -0.6])
        signs = (-1.0) ** np.arange(len(columns["predicted"]))[:, None]  # About as many of both
        columns["predicted"] = columns["coordinates"] + 10 * along + 0.5 * across * signs

    share = {split: {"within_half_pixel": 0.5, "error": 3.2} for split in ("train", "test")}
    wrong = dataclasses.replace(answered(on_a_line), metrics=share)
    runs = [wrong, run_files.result("net", task="regression", seed=1)]
    assert told("off along", runs, "regression") == "10.0 px"
    assert told("off across", runs, "regression") == "0.5 px"


def test_the_time_is_the_median():
    assert told("duration", several(0.0, 0.0, 0.0)) == "11 s"


def test_runs_of_several_ids_are_told_of_together():
    runs = [*several(0.0), run_files.result("other", wrong=1.0)]
    page = f"a <!-- perfect: {ID.format('classification')} classification/{run_files.CONFIG}/other -->?<!-- / -->"
    assert values.renewed("page.md", page, runs).endswith("-->1 of 2<!-- / -->")


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (
            "a <!-- medain: {id} -->1<!-- / -->",
            "page.md: <!-- medain: {id} --> has an unknown function; use one of docs/values.py: perfect",
        ),
        (
            "a <!-- mean: classification/x/net -->1<!-- / -->",
            "--> needs classification/x/net, which has no runs; train it",
        ),
        (
            "<!-- mean: {id} -->1<!-- / -->",
            "starts a line, which would end the paragraph; move it.",
        ),
        ("a\n <!-- mean: {id} -->1<!-- / -->", "starts a line"),
        (
            "a <!-- mean {id} -->1<!-- / -->",
            "page.md has a <!-- / --> without its beginning; write, e.g., <!-- of_test: ",
        ),
        (
            "a <!-- of_test iuo: {id} -->1<!-- / -->",
            "<!-- of_test iuo: {id} --> fails (KeyError: 'iuo'); correct it.",
        ),
        ("a <!-- after 9: {id} -->1<!-- / -->", "--> fails (KeyError: 9); correct it."),
        ("a <!-- mean 9: {id} -->1<!-- / -->", "--> fails (TypeError: "),
        (
            "a <!-- imperfect test: {id} -->1<!-- / -->",
            "finds no number, so the sentence is no longer true; rewrite it.",
        ),
    ],
)
def test_what_cannot_be_told_is_an_error(page, sentence):
    name = ID.format("classification")
    with pytest.raises(ValueError, match=re.escape(sentence.replace("{id}", name))):
        values.renewed("page.md", page.replace("{id}", name), several(0.0))
