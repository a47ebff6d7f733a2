"""What the text of a setting means: the one parser of ``--option NAME=VALUE`` and ``--set NAME=VALUE``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

WORDS: dict[str, Any] = {"true": True, "false": False, "none": None}


def parse_value(text: str) -> Any:
    """What a text means by itself: true, false, none, a number, several with commas, or the text itself."""
    if "," in text:
        return tuple(parse_value(part.strip()) for part in text.split(","))
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parse_as(text: str, hint: Any) -> Any:
    """What a text means for a field of a type.

    Args:
        text: what was written.
        hint: the field's type: a number, a truth value, a text, a choice of texts, or a tuple of one of these, whose
            entries are written with commas between them.

    Raises:
        ValueError: it means nothing of that type.
    """
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return parse_as(text, inside[0])
    if origin is tuple:
        return tuple(parse_as(part.strip(), inside[0]) for part in text.split(",") if part.strip())
    if origin is Literal:
        for choice in inside:
            if text == str(choice):
                return choice
        raise ValueError(f"{text!r} is none of {', '.join(map(str, inside))}")
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    return hint(text) if hint in (int, float) else text
