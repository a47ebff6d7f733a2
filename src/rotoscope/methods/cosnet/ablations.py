"""The ablation tables of the COSNet paper."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

PUBLISHED_REFERENCES = {0: 71.3, 1: 77.6, 2: 79.7, 5: 80.5, 7: 80.5}
"""J on DAVIS 2016 val by number of reference frames."""

ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "cosnet-attention",
            "how frames look at each other (COSNet)",
            "cosnet-small",
            (
                Row("none", settings=("config.attention=none",)),
                Row("vanilla", settings=("config.attention=vanilla",)),
                Row("symmetric", settings=("config.attention=symmetric",), published={"J": 80.5}),
                Row("channel-wise", settings=("config.attention=channel",)),
            ),
            recipe="cosnet-small",
            task="unsupervised",
        ),
        Ablation(
            "cosnet-fusion",
            "how several references become one mask (COSNet)",
            "cosnet-small",
            (
                Row("prediction", {"fusion": "prediction"}, published={"J": 79.5}),
                Row("attention summary", {"fusion": "summary"}, published={"J": 80.5}),
                Row("group", {"fusion": "group"}, published={"J": 81.1}),
            ),
            task="unsupervised",
        ),
        Ablation(
            "cosnet-sampling",
            "which frames are references (COSNet)",
            "cosnet-small",
            (
                Row("global uniform", {"sampling": "uniform"}),
                Row("global random", {"sampling": "random"}),
                Row("local consecutive", {"sampling": "consecutive"}),
            ),
            task="unsupervised",
        ),
        Ablation(
            "cosnet-references",
            "number of reference frames (COSNet)",
            "cosnet-small",
            tuple(
                Row(str(count), {"references": count}, published={"J": j}) for count, j in PUBLISHED_REFERENCES.items()
            ),
            task="unsupervised",
        ),
    )
}
"""Tables by name. Published figures that could not be read are left out, not guessed."""
