"""The ablation table of the CapsuleVOS paper."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

ABLATIONS: dict[str, Ablation] = {
    "capsulevos": Ablation(
        "capsulevos",
        "what each part of CapsuleVOS gives (paper, table 3), small network",
        "capsulevos-small",
        (
            Row("CapsuleVOS", published=("Full Method",)),
            Row("no zooming", settings=("config.zoom=none",), published=("No Zooming",)),
            Row("hand-crafted zooming", settings=("config.zoom=crafted",), published=("HC Zooming",)),
            Row("concatenation routing", settings=("config.routing=concatenation",), published=("Concat Routing",)),
            Row("fully convolutional", settings=("config.capsules=false",), published=("Fully Conv",)),
            Row("no memory", settings=("config.carry_states=false",), published=("No Memory",)),
        ),
        recipe="capsulevos-small",
        published=("capsulevos:3",),
    )
}
"""Tables by name."""
