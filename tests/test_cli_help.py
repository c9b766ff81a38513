"""Help, examples, completion and suggestions of the command line."""

import json
import runpy
import shlex
import sys

import pytest
import shellingham
import subprocesses
import typer.main
from typer.testing import CliRunner

from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.cli import app, options
from not_so_clevr.dataset.config import CONFIGS, as_config
from not_so_clevr.dataset.devices import check_device
from not_so_clevr.dataset.tasks import TASKS, as_task
from not_so_clevr.reproduce import grids, planning
from not_so_clevr.results import theses


def _commands(group, before=""):
    """Yields the name of each command, e.g. `figure errors`, and the command."""
    for name, command in group.commands.items():
        yield before + name, command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")


COMMANDS = dict(_commands(typer.main.get_command(app)))
VARIABLE = "_NOT_SO_CLEVR_COMPLETE"


def invoke(*arguments, **variables):
    return CliRunner().invoke(app, arguments, prog_name="not-so-clevr", env=variables)


def complete(words):
    """Returns what bash is offered for the last of some words, which may be empty."""
    line = f"not-so-clevr {words}"
    variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return invoke(**{VARIABLE: "complete_bash"}, **variables).stdout.split()


def test_python_m_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py", "train", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("not_so_clevr", run_name="__main__")
    assert ended.value.code == 0
    assert "Usage: not-so-clevr train " in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_can_be_pasted(name):
    _, *examples = COMMANDS[name].epilog.split("\n\n")
    assert examples
    shown = invoke(*name.split(), "--help", COLUMNS="80", TERMINAL_WIDTH="80").stdout
    for example in examples:
        assert f"\n {example}" in shown  # In one line, even on a narrow terminal
        words = shlex.split(example)
        assert words[0] == "not-so-clevr"
        depth = 1 + len(name.split())
        assert words[1:depth] == name.split()
        arguments = words[depth:]
        values = COMMANDS[name].make_context(name, arguments).params
        tasks = values.get("task") or []
        assert {tasks} <= set(TASKS) if isinstance(tasks, str) else set(tasks) <= set(TASKS)
        for config in [values.get("config"), *values.get("configs", [])]:
            assert not config or as_config(config)
        for suite in [values.get("grid"), *values.get("suites", [])]:
            assert suite in [None, "grid.toml", *theses.suite_names()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_a_group(name):
    panels = {"What to run", "How to run it", "Files and folders", "What to show"}
    own = [each for each in COMMANDS[name].params if each.param_type_name == "option"]
    assert {each.rich_help_panel for each in own} <= panels
    shown = invoke(*name.split(), "--help").stdout
    for option in own:
        assert f"─ {option.rich_help_panel} ─" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["train", "conv", "--tsk", "regression"], "No such option: --tsk"),
        (["train", "conv", "--tsk", "regression"], "--task"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(arguments, sentence):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("quadrnt", " (did you mean 'quadrant'?)"),
        ("quadrant_33", " (did you mean 'quadrant_32'?)"),
        ("x", ""),
        (3, ""),
        (["quadrant"], ""),
        ("tpu", ""),
    ],
)
def test_the_closest_value_is_suggested(value, expected):
    assert did_you_mean(value, ["uniform", "quadrant", "quadrant_32", "cpu", "gpu"]) == expected


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (
            lambda: as_task("regresion", 64),
            "Unknown task 'regresion' (did you mean 'regression'?);",
        ),
        (lambda: as_config("quadrnt"), "Unknown config 'quadrnt' (did you mean 'quadrant'?);"),
        (
            lambda: registry.find("cordconv"),
            "Unknown model 'cordconv' (did you mean 'coordconv'?);",
        ),
        (
            lambda: registry.find("coordconv").recipe("artcle", "regression"),
            "coordconv has no recipe 'artcle' (did you mean 'article'?);",
        ),
        (lambda: RunOptions(data="memroy"), "data='memroy' is unknown (did you mean 'memory'?);"),
        (lambda: check_device("auot"), "device='auot' is unknown (did you mean 'auto'?);"),
        (
            lambda: planning.select(["failure"]),
            "There is no suite 'failure' (did you mean 'failures'?);",
        ),
        (lambda: grids.read("papr"), "There is no grid 'papr' (did you mean 'paper'?);"),
    ],
)
def test_the_sentence_about_an_unknown_value_suggests_the_closest(check, sentence):
    with pytest.raises(UserError) as error:
        check()
    assert str(error.value).startswith(f"{sentence} expected one of ")


NAMES = [config.name for config in CONFIGS]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tr", ["train"]),
        ("train ", registry.names()),
        ("train up", ["upsample_conv", "upsample_coordconv"]),
        ("train conv --task ", list(TASKS)),
        ("train conv --task r", ["regression", "rendering"]),
        ("train conv --config ", NAMES),
        ("train conv --data ", ["tfds", "memory"]),
        ("generate quadrant uniform_3", ["uniform_32"]),
        ("show ", NAMES),
        ("export ", NAMES),
        ("reproduce article fail", ["failures"]),
        ("sweep ", theses.suite_names()),
        ("sweep paper --data m", ["memory"]),
        ("figure errors co", ["conv", "coordconv", "coordgate"]),
    ],
)
def test_a_shell_completes_values(words, expected):
    assert complete(words) == expected


@pytest.mark.parametrize("name", registry.names())
def test_a_shell_completes_the_recipes_of_each_bundled_model(name):
    recipes = sorted(registry.find(name).recipes)
    assert complete(f"train {name} --recipe ") == recipes


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell, monkeypatch):
    monkeypatch.setattr(shellingham, "detect_shell", lambda: (shell, shell))
    script = invoke("--show-completion")
    assert script.exit_code == 0
    assert VARIABLE in script.stdout


def test_completion_is_installed_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(shellingham, "detect_shell", lambda: ("bash", "bash"))
    assert invoke("--install-completion").exit_code == 0
    script = tmp_path / ".bash_completions" / "not-so-clevr.sh"
    assert str(script) in (tmp_path / ".bashrc").read_text()
    assert VARIABLE in script.read_text()


def test_help_and_completion_import_no_framework():
    lines = ["train ", "train conv --task ", "train conv --recipe ", "show ", "sweep "]
    code = f"""
import json, sys
from typer.testing import CliRunner
from not_so_clevr.cli import app
offered = []
for words in {lines}:
    line = "not-so-clevr " + words
    env = {{"{VARIABLE}": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}}
    result = CliRunner().invoke(app, [], prog_name="not-so-clevr", env=env)
    offered.append(len(result.stdout.split()))
CliRunner().invoke(app, ["train", "--help"])
heavy = {{"tensorflow", "keras", "matplotlib", "ray"}}
print(json.dumps([offered, sorted(heavy & set(sys.modules))]))
"""
    offered, imported = json.loads(subprocesses.run(code).splitlines()[-1])
    assert min(offered) > 1
    assert imported == []


def test_the_tasks_are_all_tasks():
    assert list(TASKS) == options.TASKS
