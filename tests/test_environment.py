"""What a result says about the checkout that it was made from."""

import pathlib
import shutil
import subprocess

import pytest

import not_so_clevr
from not_so_clevr import environment


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_the_commit_is_that_of_the_checkout_and_tells_changes(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
        return subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True, text=True).stdout

    file = tmp_path / "not_so_clevr" / pathlib.Path(not_so_clevr.__file__).name
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(not_so_clevr, "__file__", str(file))
    assert environment.describe()["commit"] is None
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "-a", "v1", "-m", "Its name is no commit")
    commit = environment.describe()["commit"]
    assert len(commit) >= 7
    assert git("rev-parse", "HEAD").startswith(commit)
    file.write_text("changed")
    assert environment.describe()["commit"] == f"{commit}-dirty"
