"""The help of long commands, in groups."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from rotoscope.cli import main, segment, train
from rotoscope.cli.groups import SEGMENT, TRAIN, Groups

ARGUMENTS = {"video", "recipe"}


@pytest.mark.parametrize(("command", "groups"), [(segment.command, SEGMENT), (train.command, TRAIN)])
def test_every_option_stands_under_one_heading(command: Any, groups: Groups) -> None:
    names = [name for group in groups.values() for name in group]
    assert len(names) == len(set(names))
    assert set(names) == set(inspect.signature(command).parameters) - ARGUMENTS


@pytest.mark.parametrize(("command", "groups"), [("segment", SEGMENT), ("train", TRAIN)])
def test_help_shows_the_headings_in_order(command: str, groups: Groups, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    places = [shown.index(f"\n{title}:\n") for title in ("Arguments", *groups, "Options")]
    assert places == sorted(places)
    assert shown[places[-1] :].split() == ["Options:", "--help", "Show", "this", "message", "and", "exit."]
