"""Every field of every method's config is checked when the config is made, and says what it would take."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from conftest import TINY
from rotoscope.errors import InputError
from rotoscope.methods import METHODS, make_config, method_class
from rotoscope.methods.checks import MethodConfig, Range, check_value, described
from rotoscope.weights.files import upgraded

FIELDS = [(name, field.name) for name in METHODS for field in dataclasses.fields(method_class(name).config_class)]
NONSENSE: tuple[Any, ...] = ("nonsense", object(), float("nan"), float("inf"), -1e9, ("a", 1), ["a"], {})


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_nonsense_is_refused_by_every_field(name: str, field: str) -> None:
    config = make_config(name, TINY[name])
    for value in NONSENSE:
        with pytest.raises(InputError, match=field):
            dataclasses.replace(config, **{field: value})


@pytest.mark.parametrize("name", METHODS)
def test_the_defaults_are_allowed_and_every_config_is_checked(name: str) -> None:
    config = make_config(name, {})
    assert isinstance(config, MethodConfig)
    assert dataclasses.replace(config) == config


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (Range(1), "of at least 1"),
        (Range(0, 1), "from 0 to 1"),
        (Range(above=0), "above 0"),
        (Range(32, multiple=32), "of at least 32 that is a multiple of 32"),
    ],
)
def test_ranges_in_words(hint: Range, text: str) -> None:
    assert str(hint) == text


def test_a_value_out_of_range_is_told_from_one_of_another_kind() -> None:
    config = make_config("stcn", {})
    with pytest.raises(InputError, match="top_k is 0; give a whole number of at least 1 or none"):
        dataclasses.replace(config, top_k=0)
    with pytest.raises(InputError, match="top_k 'many' is not known; use a whole number of at least 1 or none"):
        dataclasses.replace(config, top_k="many")
    with pytest.raises(InputError, match=r"trunk 'resnet5' is not known \(did you mean 'resnet50'\?\)"):
        dataclasses.replace(config, trunk="resnet5")
    assert described(tuple[int, int]) == "2 values with commas"
    check_value("pair", (1, 2), tuple[int, int])


@pytest.mark.parametrize("name", ["rvos", "cosnet", "capsulevos"])
def test_a_short_side_names_the_option_that_there_is(name: str) -> None:
    model = method_class(name)(make_config(name, TINY[name]))
    height, width = model.config.size
    with pytest.raises(InputError, match=rf"short_side \(--size\).* {height},{width}|size={height},{width}"):
        model.session(short_side=480)


def test_older_files_of_capsulevos_called_its_states_memory() -> None:
    assert upgraded({"memory": False, "width": 2}) == {"carry_states": False, "width": 2}
    assert upgraded({"memory": "lfu:4"}) == {"memory": "lfu:4"}
