"""The ablation tables of the GIEL paper (J and F of DAVIS-17 val)."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row


def _published(j: float, f: float) -> dict[str, float]:
    return {"J": j, "F": f}


ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "giel",
            "what each part of GIEL gives (paper, ablation study), small network",
            "giel-small",
            (
                Row("GIEL", published=_published(80.2, 85.3)),
                Row(
                    "without instance embedding",
                    settings=("config.instance_embedding=false",),
                    published=_published(76.4, 81.8),
                ),
                Row(
                    "without global embedding",
                    settings=("config.global_embedding=false",),
                    published=_published(79.0, 83.8),
                ),
                Row(
                    "without temporal attention",
                    settings=("config.temporal_attention=none",),
                    published=_published(78.9, 84.2),
                ),
                Row(
                    "without refine decoder",
                    settings=("config.refine=false", "config.output=fast"),
                    published=_published(78.7, 83.7),
                ),
            ),
            recipe="giel-small",
        ),
        Ablation(
            "giel-support",
            "which frames support (paper, ablation study)",
            "giel-small",
            (
                Row("first", {"memory": "first"}, published=_published(69.8, 76.5)),
                Row("previous", {"memory": "latest"}, published=_published(69.4, 74.6)),
                Row("2", {"memory": "support:2"}, published=_published(79.9, 85.0)),
                Row("3", {"memory": "support:3"}, published=_published(79.9, 84.9)),
                Row("4", {"memory": "support:4"}, published=_published(79.8, 85.0)),
                Row("5", {"memory": "support:5"}, published=_published(80.2, 85.3)),
                Row("6", {"memory": "support:6"}, published=_published(80.0, 85.2)),
                Row("lfu:4, not in the paper", {"memory": "lfu:4", "include_last": True}),
            ),
        ),
    )
}
"""Tables by name. ``giel-support`` differs at inference only; until weights are shipped give them with ``--initial``.
The paper's *without refine decoder* is what it calls the fast variant."""
