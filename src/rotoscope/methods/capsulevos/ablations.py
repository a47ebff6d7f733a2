"""The ablation table of the CapsuleVOS paper."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

ABLATIONS: dict[str, Ablation] = {
    "capsulevos": Ablation(
        "capsulevos",
        "what each part of CapsuleVOS gives (paper, ablation study: overall on YouTube-VOS 2018), small network",
        "capsulevos-small",
        (
            Row("CapsuleVOS", published={"overall": 62.3}),
            Row("no zooming", settings=("config.zoom=none",), published={"overall": 54.3}),
            Row("hand-crafted zooming", settings=("config.zoom=crafted",), published={"overall": 60.4}),
            Row("concatenation routing", settings=("config.routing=concatenation",), published={"overall": 59.7}),
            Row("fully convolutional", settings=("config.capsules=false",), published={"overall": 59.4}),
            Row("no memory", settings=("config.carry_states=false",), published={"overall": 58.4}),
        ),
        recipe="capsulevos-small",
    )
}
"""Tables by name."""
