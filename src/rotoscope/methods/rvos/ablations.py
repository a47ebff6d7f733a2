"""Tables of the RVOS paper, and one of our own: how overlapping slots become labels."""

from __future__ import annotations

from rotoscope.methods.ablation import Ablation, Row

MOST_OBJECTS = 5

ABLATIONS: dict[str, Ablation] = {
    table.name: table
    for table in (
        Ablation(
            "rvos-oneshot",
            "recurrence over space and time, and training on inferred masks (RVOS, one-shot)",
            "rvos-small",
            (
                Row("S", settings=("loss.inferred=0", "config.recurrence=spatial")),
                Row("T", settings=("loss.inferred=0", "config.recurrence=temporal")),
                Row("ST", settings=("loss.inferred=0",)),
                Row("ST+"),
            ),
            recipe="rvos-small",
        ),
        Ablation(
            "rvos-zeroshot",
            "recurrence over space and time (RVOS, zero-shot; published on YouTube-VOS)",
            "rvos-small-zeroshot",
            (
                Row("S", settings=("config.recurrence=spatial",)),
                Row("T", settings=("config.recurrence=temporal",)),
                Row("ST", published={"J seen": 44.7, "J unseen": 21.2, "F seen": 45.0, "F unseen": 23.9}),
                Row("ST, any slot may match", settings=("loss.any_slot=1",)),
                Row("ST, empty slots not taught", settings=("loss.empty=0",)),
            ),
            recipe="rvos-small-zeroshot",
            task="zero-shot",
        ),
        Ablation(
            "rvos-instances",
            "by number of objects (RVOS, one-shot)",
            "rvos-small",
            tuple(Row(f"{count} object{'s' * (count > 1)}", objects=count) for count in range(1, MOST_OBJECTS + 1)),
        ),
        Ablation(
            "rvos-merging",
            "how slots that overlap become labels (not in the paper)",
            "rvos-small",
            (
                Row("soft", {"merging": "soft"}),
                Row("published", {"merging": "published"}),
                Row("soft, first mask not given again", {"merging": "soft", "first_mask_again": False}),
            ),
        ),
    )
}
"""Tables by name. Published figures that could not be read are left out, not guessed."""
