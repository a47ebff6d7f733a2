"""Options of a session, checked against the types that the method declares."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

from rotoscope.methods.base import Method
from rotoscope.methods.checks import check_value


def check_options(model: Method, options: Mapping[str, Any]) -> None:
    """See that each option of a session is of the kind that the method's config declares.

    Raises:
        InputError: the first that is not.
    """
    hints = {n: h for n, h in get_type_hints(model.config_class).items() if n in model.inference_options}
    opener = type(model).session
    own = [p.name for p in inspect.signature(opener).parameters.values() if p.kind is p.KEYWORD_ONLY]
    hints |= {name: hint for name, hint in get_type_hints(opener).items() if name in own}
    for name, value in options.items():
        if name in hints:
            check_value(name, value, hints[name])
