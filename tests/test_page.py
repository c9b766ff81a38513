"""The page that people show: its headline, its filters and the explorer, also in a browser."""

import base64
import dataclasses
import html
import json
import re
import zlib

import numpy as np
import pytest
import subprocesses
from run_files import CONFIG, result, several

from not_so_clevr import NotSoClevrConfig, report, results
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.report import explorer, headline


def of(runs):
    return headline.headline(results.leaderboard(runs))


def on(config, runs):
    return [dataclasses.replace(run, config=config) for run in runs]


def with_train(run, share):
    train = run.metrics["train"] | {run.accuracy_metric: share}
    return dataclasses.replace(run, metrics=run.metrics | {"train": train})


def test_the_headline_says_what_the_model_computes_and_what_it_memorises():
    runs = [
        *(result("net", task="regression", seed=k) for k in range(3)),
        *(result("net", task="localisation", seed=k) for k in range(3)),
        *(result("net", task="classification", seed=k, wrong=1.0) for k in range(3)),
        result("net", task="detection", seed=0),
        result("net", task="detection", seed=1, wrong=0.5),
        result("net", task="painting", wrong=0.25),
        with_train(result("net", task="rendering", wrong=1.0), 0.5),
    ]
    (sentence,) = of(runs).sentences
    assert sentence == (
        f"On {CONFIG}, net computes regression and localisation, computes detection with some "
        "seeds, generalizes in part in painting, memorises classification and does not learn "
        "rendering."
    )
    numbers = {task: text for task, _, _, text in of(runs).details}
    assert numbers["regression"] == (
        "3 of 3 seeds get every example right; 100 % of train and 100 % of test right"
    )
    assert numbers["classification"].startswith("0 of 3 seeds get every example right; 100 % of")
    assert numbers["painting"].startswith("0 of 1 seed gets")


def test_a_model_that_is_right_between_training_places_interpolates():
    runs = [result("net"), *on("uniform_16_square3", [result("net")])]
    assert of(runs).sentences == [
        f"On {CONFIG}, net computes classification.",
        "On uniform_16_square3, it interpolates in classification.",
    ]


def test_data_sets_where_it_does_the_same_share_a_sentence():
    runs = [result("net"), result("net", task="regression", wrong=0.1)]
    same = [*runs, *on("border_16_square3", runs), *on("uniform_16_square3", runs[:1])]
    assert of(same).sentences == [
        f"On border_16_square3 and {CONFIG}, net computes classification and generalizes in part in "
        "regression.",
        "On uniform_16_square3, it interpolates in classification.",
    ]


@pytest.mark.parametrize(
    ("train", "wrong", "verdict"),
    [
        (0.9, 0.5, "generalizes in part"),
        (0.9, 0.51, "memorises"),
        (0.89, 0.0, "does not learn"),
        (0.99, 0.0, "generalizes in part"),
        (1.0, 0.0, "computes"),
    ],
)
def test_a_verdict_needs_train_and_test(train, wrong, verdict):
    ((_, _, found, _),) = of([with_train(result("net", wrong=wrong), train)]).details
    assert found == verdict


def test_the_headline_is_about_the_best_model_of_the_user():
    runs = [*(result("half", task=task, wrong=0.1) for task in TASKS), result("one")]
    assert of(runs).model == "one"  # One task computed is more than six nearly.
    assert of([*runs[:-1], result("worse", wrong=0.2)]).model == "half"
    rows = results.leaderboard([result("own", wrong=1.0)], [result("reference")])
    assert headline.headline(rows).model == "own"
    assert headline.headline([]) is None


def test_the_rows_of_the_headline_are_marked_among_several_models():
    page = report.page(several(), ["runs"])
    marked = re.findall(r'<tr class="first" data-task="(\w+)" data-config="\w+" data-model', page)
    assert sorted(marked) == ["classification", "regression"]  # Of computes
    assert "computes is the best of the 3 models here" in " ".join(page.split())
    assert 'class="first"' not in report.page([result("only")], ["runs"])


def unpacked(text):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i2")


def test_the_explorer_has_each_answer_at_its_place():
    run = result("net", wrong=0.5)
    panel = explorer.panel([run], ["net"])
    assert (panel.top, panel.left, panel.rows, panel.columns, panel.step) == (1, 1, 14, 14, 1)
    places = unpacked(panel.places).reshape(14, 14)
    rows, columns, right = unpacked(panel.answers[0].values).reshape(3, 14, 14)
    config = NotSoClevrConfig.from_name(CONFIG)
    for split, number in (("train", 1), ("test", 2)):
        for i, j in config.split_centres()[split]:
            assert places[i - 1, j - 1] == number
    assert (places == 2).sum() == 49
    wrong = 24  # Of 49 test examples, the first in order, by 3 px to the left
    assert (right == 0).sum() == wrong
    assert set(columns[right == 0]) == {-3 * explorer.STEPS}
    assert not columns[right == 1].any()
    assert not rows.any()
    assert unpacked(panel.kernel).tolist() == [1] * 9


def test_the_explorer_has_the_iou_of_tasks_that_are_answered_with_canvases():
    (answers,) = explorer.panel([result("net", task="painting", wrong=1.0)], ["net"]).answers
    values, right = unpacked(answers.values).reshape(2, 14, 14)
    assert (answers.unit, answers.has_place) == ("IoU", False)
    assert set(values[right == 0] / answers.scale) == {0.25}
    assert set(values[right == 1] / answers.scale) == {1}


def test_the_explorer_shows_the_worst_seed_and_some_places_of_a_large_canvas():
    runs = [result("net", seed=seed, wrong=wrong) for seed, wrong in enumerate((0, 1.0, 0.5))]
    assert [each.seed for each in explorer.panel(runs, ["net"]).answers] == [1]
    panel = explorer.panel([result("net", config="quadrant_200_square3")], ["net"])
    assert panel.step == 5  # 198 x 198 places, at most 64 x 64, and an odd step
    assert panel.rows == panel.columns == 40
    assert explorer.panel([dataclasses.replace(runs[0], examples={})], ["net"]) is None


@pytest.mark.parametrize("size", [128, 256])
def test_the_explorer_shows_both_colours_of_a_large_checkerboard(size):
    config = as_config(f"checkerboard_{size}")
    examples = {
        split: {
            "coordinates": centres,
            "accuracy": np.ones(len(centres)),
            "distance": np.zeros(len(centres)),
            results.PREDICTED: centres,
        }
        for split, centres in config.split_centres().items()
    }
    run = dataclasses.replace(result("net"), config=config.name, examples=examples)
    places = unpacked(explorer.panel([run], ["net"]).places)
    assert (places == 1).sum() > 0.4 * len(places)
    assert (places == 2).sum() > 0.4 * len(places)


def test_a_wrong_canvas_is_not_written_as_perfect():
    run = result("net", task="rendering")
    examples = {split: dict(columns) for split, columns in run.examples.items()}
    examples["test"]["iou"] = np.full(49, 224 / 225)
    examples["test"]["exact"] = np.zeros(49)
    page = report.page([dataclasses.replace(run, examples=examples)], ["runs"])
    assert "IoU 0.99" in page
    assert "IoU 1.00" not in page


def test_predictions_far_outside_are_cut_off():
    run = result("net")
    far = {
        split: columns | {results.PREDICTED: np.full_like(columns[results.PREDICTED], 1e30)}
        for split, columns in run.examples.items()
    }
    (answers,) = explorer.panel([dataclasses.replace(run, examples=far)], ["net"]).answers
    assert unpacked(answers.values).max() == 32767


def test_a_row_of_maps_has_one_colour_bar():
    page = report.page(several(), ["runs"])
    assert page.count('aria-label="Map of errors of') == 4
    assert page.count('aria-label="Colour bar:') == 3  # One for each task
    assert "Colour bar: distance from 0, light, to 3 px, dark" in page


def smooth(run, seed):
    """Returns a run with errors as those of a network: smooth over the canvas, and some noise."""
    random = np.random.RandomState(seed)
    waves = random.normal(0, 4, (2, 2))
    examples = {}
    for split, columns in run.examples.items():
        centres = columns["coordinates"]
        errors = np.sin(centres / 20) @ waves + random.normal(0, 0.1, centres.shape)
        distance = np.hypot(*errors.T)
        changed = {run.distance_metric: distance}
        if results.PREDICTED in columns:
            changed[results.PREDICTED] = np.float32(centres + errors)
        else:
            changed[run.distance_metric] = np.exp(-distance / 10)
        if results.PAINTED in columns:
            rows, shown = np.arange(64), centres[columns[results.SHOWN]]
            bumps = [np.exp(-(((rows - k) / 6) ** 4)) for k in shown.T[..., None]]
            painted = 255 * bumps[0][:, :, None] * bumps[1][:, None, :]
            changed[results.PAINTED] = painted.astype(np.uint8)
        examples[split] = {**columns, **changed}
    return dataclasses.replace(run, examples=examples)


@pytest.mark.slow
def test_sixty_runs_of_ten_models_on_six_tasks_make_two_megabytes():
    runs = [
        smooth(result(f"model{k}", task=task, config="quadrant", wrong=0.5), k)
        for task in TASKS
        for k in range(10)
    ]
    page = report.page(runs, ["runs"])
    assert page.count('aria-label="Map of errors of') == 60
    assert len(page.encode()) <= 2 * 2**20


def run_script(file, page, script, *options):
    """Returns what a script on the page, loaded and left alone for a second, says."""
    allowed = re.sub("<meta http-equiv.*?>", "", page)
    shown = "document.body.append(Object.assign(document.createElement('pre'), {textContent: JSON.stringify(log)}))"
    waits = "const wait = (ms) => new Promise((done) => setTimeout(done, ms)); const log = {};"
    code = f"(async () => {{ {waits} await wait(500); {script}; {shown}; }})()"
    file.write_text(allowed.replace("</body>", f"<script>{code}</script></body>"))
    text, logged = subprocesses.browse(file, "--virtual-time-budget=20000", *options)
    assert logged == []
    return json.loads(html.unescape(re.search("<pre>(.*)</pre>", text, re.DOTALL)[1]))


@pytest.fixture(scope="module")
def page():
    uniform = on("uniform_16_square3", [result("computes", task="regression", wrong=0.1)])
    memorises = result("memorises", task="regression", wrong=1.0)
    return report.page([*several(), memorises, *uniform], ["runs"])


@pytest.mark.slow
def test_the_mouse_and_the_keys_move_the_explorer(tmp_path, page):
    script = """
      const spoken = async () => { await wait(400); return document.getElementById("spoken").textContent; };
      const panel = (name) => [...explored.options].findIndex((each) => each.textContent.startsWith(name));
      explored.selectedIndex = panel("regression, quadrant");
      explored.dispatchEvent(new Event("change"));
      log.first = await spoken();
      const box = stage.getBoundingClientRect();
      log.square = box.width === box.height && box.width > 100;
      const over = (row, column) => ({bubbles: true, clientX: box.left + (column + 0.5) / 16 * box.width,
        clientY: box.top + (row + 0.5) / 16 * box.height});
      stage.dispatchEvent(new PointerEvent("pointermove", over(2, 5)));
      log.train = await spoken();
      stage.dispatchEvent(new PointerEvent("pointerdown", {...over(9, 12), pointerType: "touch"}));
      log.touched = await spoken();
      const press = (key, shiftKey = false) => {
        const event = new KeyboardEvent("keydown", {key, shiftKey, cancelable: true});
        stage.dispatchEvent(event);
        return event.defaultPrevented;
      };
      log.prevented = [press("ArrowDown"), press("ArrowRight"), press("Tab")];
      log.keys = await spoken();
      press("ArrowUp", true); press("ArrowUp", true); press("ArrowUp", true);
      log.edge = await spoken();
      log.names = [stage.tabIndex, stage.ariaLabel, document.getElementById("spoken").role ?? "status"];
      const pixels = () => stage.getContext("2d").getImageData(0, 0, stage.width, stage.height).data;
      const has = (r, g, b) => { const p = pixels();
        for (let k = 0; k < p.length; k += 4) if (p[k] === r && p[k + 1] === g && p[k + 2] === b) return true;
        return false; };
      log.shape = has(255, 255, 255);
      explored.selectedIndex = panel("rendering");
      explored.dispatchEvent(new Event("change"));
      await spoken(); // Once it is loaded
      stage.dispatchEvent(new PointerEvent("pointermove", over(8, 8)));
      log.rendering = await spoken();
      log.overflow = document.documentElement.scrollWidth <= innerWidth"""
    log = run_script(tmp_path / "page.html", page, script)
    right = "right, 0.0 px off: row {}.0, column {}.0"
    wrong = "wrong, 3.0 px off: row {}.0, column {}.0"
    assert log["first"] == (
        f"Row 11, column 11: test. computes: {right.format(11, 11)}. "
        f"memorises: {wrong.format(11, 8)}."
    )
    assert log["square"]
    assert log["train"] == (
        f"Row 2, column 5: train. computes: {right.format(2, 5)}. memorises: {right.format(2, 5)}."
    )
    assert log["touched"].endswith(f"memorises: {wrong.format(9, 9)}.")
    assert log["prevented"] == [True, True, False]
    assert log["keys"].startswith("Row 10, column 13: test.")
    assert log["edge"].startswith("Row 1, column 13: train.")
    assert log["names"][0] == 0
    assert log["shape"]
    assert log["rendering"] == "Row 8, column 8: test. paints: wrong, IoU 0.25."
    assert log["overflow"]


@pytest.mark.slow
def test_the_filters_act_on_everything(tmp_path, page):
    script = """
      const names = (selector) => [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility() && !each.closest("[hidden]"));
      const state = async () => { await wait(400); return {
        rows: names("#leaderboard ~ .wide tbody tr").map((row) => row.cells[0].textContent + " " + row.cells[2].textContent),
        maps: names("[aria-label^='Map of errors']").length,
        bars: names("[aria-label^='Colour bar']").length,
        triangles: names("#triangles ~ .triangles figure").length,
        arrows: [...document.querySelectorAll("#triangles ~ .triangles g[data-task]")]
          .filter((each) => !each.closest("[hidden]") && getComputedStyle(each).display !== "none")
          .every((each) => ["regression"].includes(each.dataset.task)),
        series: [...new Set(names(".large g[data-model]").map((each) => each.dataset.model))].length,
        panels: names("main > section[data-task] > h2").map((each) => each.textContent),
        explored: names(".answers.chosen a").map((each) => each.textContent),
        details: names("#models ~ div").length,
        shown: document.getElementById("shown").textContent,
      }; };
      const pick = (id, value) => { const each = document.getElementById(id); each.value = value;
        each.dispatchEvent(new Event("change", {bubbles: true})); };
      log.all = await state();
      pick("only-task", "regression");
      log.task = await state();
      pick("only-config", "uniform_16_square3");
      log.config = await state();
      document.getElementById("all").click();
      document.querySelector("#filters details").open = true;
      [...document.querySelectorAll("#filters fieldset label")].find((each) => each.textContent === "memorises").click();
      log.model = await state();
      pick("only-task", "rendering");
      log.none = await state();
      log.told = document.getElementById("place").textContent;
      document.getElementById("all").click();
      log.again = await state()"""
    log = run_script(tmp_path / "page.html", page, script)
    assert log["all"]["shown"] == "6 of 6 rows"
    assert log["all"]["maps"] == 6
    assert log["all"] == log["again"] | {"explored": log["all"]["explored"]}
    task = log["task"]
    rows = ["regression computes", "regression memorises", "regression computes"]
    assert task["rows"] == rows
    assert task["shown"] == "3 of 6 rows"
    assert (task["maps"], task["bars"], task["triangles"], task["details"]) == (3, 2, 3, 3)
    assert task["arrows"]
    assert task["panels"] == [f"regression, {CONFIG}", "regression, uniform_16_square3"]
    assert task["explored"] == ["computes", "memorises"]
    config = log["config"]
    assert (config["rows"], config["maps"]) == (["regression computes"], 1)
    assert config["panels"] == ["regression, uniform_16_square3"]
    assert config["explored"] == ["computes"]
    model = log["model"]
    assert model["rows"] == ["classification memorises", "regression memorises"]
    assert (model["maps"], model["bars"], model["triangles"], model["series"]) == (2, 2, 1, 1)
    assert model["panels"] == [f"classification, {CONFIG}", f"regression, {CONFIG}"]
    assert model["explored"] == ["memorises"]
    assert (log["none"]["rows"], log["none"]["maps"], log["none"]["panels"]) == ([], 0, [])
    assert log["told"].startswith("The explorer has none of the chosen")


@pytest.mark.slow
@pytest.mark.parametrize("medium", ["screen", "dark", "print"])
def test_all_text_can_be_read_in_light_in_dark_and_on_paper(tmp_path, page, medium):
    """By the contrast that WCAG 2 asks of text, 4.5; 3 is enough if it is large."""
    script = f"""
      const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule.media);
      const of = (word) => rules.filter((rule) => rule.media.mediaText.includes(word));
      const medium = {json.dumps(medium)};
      if (medium !== "screen") of(medium).forEach((rule) => rule.media.mediaText = "all");"""
    script += """
      const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
      const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data]; };
      const luminance = (color) => { const [r, g, b] = rgba(color).slice(0, 3).map((each) => each / 255)
        .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const behind = (element) => { for (let each = element; each; each = each.parentElement) {
        const color = getComputedStyle(each).backgroundColor;
        if (rgba(color)[3] === 255) return color;
      } return "white"; };
      log.faint = [];
      log.seen = 0;
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
        if (!text || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
        const style = getComputedStyle(element), svg = element.closest("svg");
        const [one, other] = [svg ? style.fill : style.color, behind(element)].map(luminance);
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        const size = parseFloat(style.fontSize);
        log.seen += 1;
        if (contrast < (size >= 24 ? 3 : 4.5)) log.faint.push([text.slice(0, 40), element.tagName, contrast, style.color, style.fill]);
      }
      const shown = (selector) => [...document.querySelectorAll(selector)].some((each) => each.checkVisibility());
      log.filters = shown("#filters");
      log.overflow = document.documentElement.scrollWidth - innerWidth"""
    log = run_script(tmp_path / "page.html", page, script, "--window-size=1000,1400")
    assert log["faint"] == []
    assert log["seen"] > 200
    assert log["filters"] == (medium != "print")
    assert log["overflow"] <= 0
