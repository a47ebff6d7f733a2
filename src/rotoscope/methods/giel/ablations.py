"""The ablation tables of the GIEL paper (its table 1)."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "giel",
            "what each part of GIEL gives (paper, ablation study), small network",
            "giel-small",
            (
                Row("GIEL", published=("Full model (5 support images)",)),
                Row(
                    "without instance embedding",
                    settings=("config.instance_embedding=false", "config.judged=keys"),
                    published=("w/o instance embedding",),
                ),
                Row(
                    "without global embedding",
                    settings=("config.global_embedding=false",),
                    published=("w/o global embedding",),
                ),
                Row(
                    "without temporal attention",
                    settings=("config.temporal_attention=none",),
                    published=("w/o temporal attention",),
                ),
                Row(
                    "without refine decoder",
                    settings=("config.refine=false", "config.output=fast"),
                    published=("w/o refine decoder",),
                ),
            ),
            recipe="giel-small",
            published=("giel:1",),
        ),
        Ablation(
            "giel-support",
            "which frames support (paper, ablation study)",
            "giel-small",
            (
                Row("first", {"memory": "first"}, published=("First",)),
                Row("previous", {"memory": "latest"}, published=("Previous",)),
                Row("2", {"memory": "support:2"}, published=("2",)),
                Row("3", {"memory": "support:3"}, published=("3",)),
                Row("4", {"memory": "support:4"}, published=("4",)),
                Row("5", {"memory": "support:5"}, published=("5",)),
                Row("6", {"memory": "support:6"}, published=("6",)),
                Row("lfu:4, not in the paper", {"memory": "lfu:4", "include_last": True}),
            ),
            published=("giel:1",),
        ),
    )
}
"""Tables by name. ``giel-support`` differs at inference only.
The paper's *without refine decoder* is what it calls the fast variant."""
