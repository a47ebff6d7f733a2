"""The one parser of settings, by itself and through recipes."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from rotoscope.errors import InputError
from rotoscope.methods import make_config, recipes
from rotoscope.methods.settings import parse_as
from rotoscope.training.run import new_method
from rotoscope.training.saved_recipe import as_saved, as_today


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("3", int, 3),
        ("1e-3", float, 1e-3),
        ("True", bool, True),
        ("a,b", tuple[str, ...], ("a", "b")),
        ("0.5, 1", tuple[float, ...], (0.5, 1.0)),
        ("", tuple[str, ...], ()),
        ("adam", Literal["adam", "sgd"], "adam"),
        ("", str, ""),
    ],
)
def test_texts_of_a_type(text: str, hint: Any, value: Any) -> None:
    assert parse_as(text, hint) == value


@pytest.mark.parametrize(
    ("text", "hint"), [("x", int), ("1.5", int), ("x", float), ("yes", bool), ("adamw", Literal["adam", "sgd"])]
)
def test_texts_of_another_type(text: str, hint: Any) -> None:
    with pytest.raises(ValueError, match=text):
        parse_as(text, hint)


def test_settings_of_a_recipe() -> None:
    recipe = recipes()["stcn-small"]
    changed = recipe.changed(["loss.correspondence=0", "config.decoder_dims=32,16,8", "optimiser=sgd", "frozen=a.,b."])
    assert changed.loss["correspondence"] == 0
    assert changed.config["decoder_dims"] == (32, 16, 8)
    assert (changed.optimiser, changed.frozen) == ("sgd", ("a.", "b."))
    for setting in (
        "optimiser=lion",
        "warm_up=0.5",
        "loss.dice=much",
        "loss.dice=true",
        "betas=0.9",
        "config=3",
        "stages=1x2x3",
    ):
        with pytest.raises(InputError, match=f"--set {setting}"):
            recipe.changed([setting])


def test_none_is_a_word_where_a_field_has_it_and_nothing_elsewhere() -> None:
    assert make_config("agame", recipes()["agame"].changed(["config.appearance=none"]).config).appearance == "none"
    assert make_config("stcn", recipes()["stcn"].changed(["config.top_k=none"]).config).top_k is None
    changed = recipes()["capsulevos-small"].changed(["config.trunk=none", "config.skips=published"])
    assert make_config("capsulevos", changed.config).trunk is None


def test_an_option_that_the_loss_does_not_have() -> None:
    with pytest.raises(InputError, match=r"loss\.beauty: the clip loss of agame has auxiliary"):
        new_method(recipes()["agame-small"].changed(["loss.beauty=1"]))


def test_every_recipe_asks_for_options_that_its_loss_has() -> None:
    from rotoscope.methods import training_of

    for recipe in recipes().values():
        known = training_of(recipe.method).loss_options
        assert {*recipe.loss, *(option for stage in recipe.kinds() for option in stage.loss)} <= set(known), recipe.name


@pytest.mark.parametrize("name", ["stcn-small", "giel-small", "capsulevos-small"])
def test_recipes_of_older_checkpoints_mean_what_they_meant(name: str) -> None:
    today = as_saved(recipes()[name])
    older = as_saved(recipes()[name])
    older["correspondence"] = older["loss"].pop("correspondence", 0.0)
    for stage in older["stages"]:
        stage["interlude"] = stage.pop("alternate")
    assert as_today(older) == today
