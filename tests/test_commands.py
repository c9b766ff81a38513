"""The command-line reference, and the narrow tables of the pages."""

import re

import commands
import narrow
import typer.main

from not_so_clevr import cli


def test_every_command_and_option_is_in_the_reference():
    text = commands.text()
    sections = dict(re.findall(r"^## not-so-clevr ([a-z ]+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    main = typer.main.get_command(cli.app).commands
    figures = main.pop("figure").commands
    everything = main | {f"figure {name}": each for name, each in figures.items()}
    assert sections.keys() == everything.keys()
    for name, command in everything.items():
        assert command.help in sections[name]
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert f"| `{parameter.opts[0]}" in sections[name]
                assert parameter.help in sections[name]


def test_the_reference_has_usage_defaults_and_examples():
    text = commands.text()
    assert "\nnot-so-clevr train MODEL --task TASK --config CONFIG [OPTIONS]\n" in text
    assert "\nnot-so-clevr list\n" in text
    assert "| `--data {tfds,memory}` | Read the examples from disk" in text
    assert "| `--output FILE`, `-o FILE` | The .pdf or .png figure" in text
    assert (
        "| `--width INCHES` | Inches: about 3.3 for a column of a paper, 7 for a page. | 7.0 |"
        in text
    )
    assert "\nnot-so-clevr leaderboard runs/ -o board.csv\n" in text


def test_a_table_is_narrow_without_losing_anything():
    page = """# Models

| task | model | test | time | hardware |
| --- | --- | --- | --- | --- |
| rendering | net-paper-l2=0.0-loss=task | 1 \\| 2 | 5 s | 1 core of B, jax; 2 cores of A |
| rendering | my-net |  | 6 min | 2 cores of A |
| rendering | unknown |  |  |  |

| model | remark |
| --- | --- |
| net-l2=0.0 | as it is |
"""
    assert (
        narrow.page(page)
        == """# Models

| task | model | test | time |
| --- | --- | --- | --- |
| rendering | net-paper<br>l2=0.0, loss=task | 1 \\| 2 | 5 s <sup>a</sup> <sup>b</sup> |
| rendering | my-net |  | 6 min <sup>b</sup> |
| rendering | unknown |  |  |

Hardware: <sup>a</sup> 1 core of B, jax; <sup>b</sup> 2 cores of A.

| model | remark |
| --- | --- |
| net-l2=0.0 | as it is |
"""
    )
