from __future__ import annotations

from typing import Any

import pytest

from rotoscope.cli.options import byte_count, session_options
from rotoscope.errors import InputError
from rotoscope.methods.settings import parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("none", None), ("3", 3), ("-1", -1), ("0.5", 0.5), ("soft", "soft"),
        ("256,448", (256, 448)), ("1, a", (1, "a")), ("lfu:4", "lfu:4"),
    ],
)  # fmt: skip
def test_what_the_text_of_an_option_means(text: str, value: Any) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "count"), [("1000", 1000), ("2GB", 2**31), ("1.5 KiB", 1536), ("500 mb", 500 * 2**20), ("1T", 2**40)]
)
def test_bytes(text: str, count: int) -> None:
    assert byte_count(text) == count


def test_options_are_collected_under_their_names() -> None:
    found = session_options(memory="lfu:2", memory_budget="1KB", top_k=0, size="480", others=["crf-position=1,2"])
    assert found == {
        "memory": "lfu:2", "memory_budget": 1024, "top_k": None, "short_side": 480, "crf_position": (1, 2)
    }  # fmt: skip
    assert session_options(size="native") == {"short_side": None, "max_short_side": None}
    assert session_options() == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"memory_budget": "lots"}, "memory budget 'lots'"),
        ({"memory": "lru:4"}, "memory policy"),
        ({"size": "8"}, "size '8'"),
        ({"size": "huge"}, "size 'huge'"),
        ({"others": ["top_k"]}, "write NAME=VALUE"),
        ({"others": ["top_k="]}, "write NAME=VALUE"),
    ],
)
def test_texts_that_mean_nothing(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        session_options(**given)
