"""The ablation table of the A-GAME paper."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

ABLATIONS: dict[str, Ablation] = {
    "agame": Ablation(
        "agame",
        "what each part of A-GAME gives (paper, ablation study), small network",
        "agame-small",
        (
            Row("A-GAME", published=("A-GAME",)),
            Row("no appearance module", settings=("config.appearance=none",), published=("No appearance module",)),
            Row("no mask propagation", settings=("config.propagation=false",), published=("No mask-prop module",)),
            Row("unimodal appearance", settings=("config.appearance=unimodal",), published=("Unimodal appearance",)),
            Row("no update", settings=("config.update_rate=0.0",), published=("No update",)),
            Row(
                "softmax appearance classifier",
                settings=("config.appearance=softmax",),
                published=("Appearance SoftMax",),
            ),
            Row("no end-to-end", settings=("config.end_to_end=false",), published=("No end-to-end",)),
        ),
        recipe="agame-small",
        published=("agame:1",),
    ),
    "agame-update": Ablation(
        "agame-update",
        "what an appearance model should learn from predictions; best on clips whose objects hide (--long-kind hidden)",
        "agame-small",
        (
            Row("update, as released"),
            Row("update but while hidden", {"freeze_hidden": True}),
            Row("update at a third of the rate", {"update_rate": 0.033}),
            Row("no update", {"update_rate": 0.0}),
        ),
    ),
}
"""Tables by name. The last two rows of ``agame`` are not in the released code; see :class:`Appearance
<rotoscope.methods.agame.appearance.Appearance>` and :class:`~rotoscope.methods.agame.config.AGAMEConfig`."""
