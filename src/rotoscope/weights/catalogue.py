"""What can be loaded by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError, suggestion
from rotoscope.methods import METHODS

FOLDER = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Entry:
    """Weights, or a network without weights, that has a name.

    Attributes:
        name: the name that it is loaded by.
        method: the name of its method; empty for what only training begins with.
        task: what it does: follow objects whose masks are given, or find objects.
        file: the name of its file in the package's folder of weights; None if the package brings none.
        sha256: the SHA-256 of that file in hexadecimal; None without a file.
        parameters: the number of parameters of the network, in millions.
        summary: one line for ``rotoscope methods``.
        limits: one line on where it fails.
        speed: frames per second at 854x480 with one object, measured by ``rotoscope speed`` on two cores; None if
            it was not.
        config: fields of the method's config: all that matter for an entry without a file; of one with a file,
            those that concern inference go before what the file says.
    """

    name: str
    method: str
    task: str
    file: str | None
    sha256: str | None
    parameters: float
    summary: str
    limits: str
    speed: float | None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """Where the file is."""
        return FOLDER / self.file if self.file else None

    @property
    def finds(self) -> bool:
        """Whether it finds objects by itself, and takes no masks."""
        return self.task.startswith("no mask")


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="stcn-small",
            method="stcn",
            task="masks of one frame given",
            file="stcn-small.safetensors",
            sha256="c58b15cff6a4e0139074de98db3dc277df8a337ebc733fb96ddb95e858f9003d",
            parameters=1.6,
            summary="the default: STCN made for CPUs, on an EfficientNet-Lite0 trunk; trained by this project",
            limits="thin parts; objects that turn to sides never seen; see its model card",
            speed=25.1,
        ),
        Entry(
            name="stcn-small-resnet18",
            method="stcn",
            task="masks of one frame given",
            file="stcn-small-resnet18.safetensors",
            sha256="9be2b51d8839c59f96f6c9bb17ab7b877b0fa74f5834ac944055ebce918454a7",
            parameters=6.4,
            summary="the first stcn-small, with a ResNet-18 trunk; other small methods began with its trunk",
            limits="fast, blurred and small objects; look-alikes; slower and worse than stcn-small",
            speed=12.8,
        ),
        Entry(
            name="stcn",
            method="stcn",
            task="masks of one frame given",
            file=None,
            sha256=None,
            parameters=54.4,
            summary="STCN as published (ResNet-50)",
            limits="memory and time of the full-size network",
            speed=0.5,
        ),
        Entry(
            name="rvos-small",
            method="rvos",
            task="masks of one frame given",
            file="rvos-small.safetensors",
            sha256="0708212272a97069019e0f8c02a8488299c759d62fdd93c24ed5f4e8d8aa0029",
            parameters=6.4,
            summary="RVOS one-shot on an EfficientNet-Lite0 trunk, trained by this project; for CPUs",
            limits="what is lost is lost for good; growing objects; see its model card",
            speed=35.9,
        ),
        Entry(
            name="rvos-small-zeroshot",
            method="rvos",
            task="no mask: finds up to three objects",
            file="rvos-small-zeroshot.safetensors",
            sha256="4edac8d076c29070e137be9022c6363c9c4257bf30268f8e8c78a8dff6905f2a",
            parameters=6.4,
            summary="RVOS zero-shot on an EfficientNet-Lite0 trunk, trained by this project; for CPUs",
            limits="mostly takes all that stands out for one object; see its model card",
            speed=21.1,
            config={"one_shot": False},
        ),
        Entry(
            name="rvos",
            method="rvos",
            task="masks of one frame given",
            file=None,
            sha256=None,
            parameters=49.3,
            summary="RVOS one-shot as published (ResNet-101)",
            limits="works at 256x448; small objects; objects run one after another",
            speed=6.0,
        ),
        Entry(
            name="rvos-zeroshot",
            method="rvos",
            task="no mask: finds up to ten objects",
            file=None,
            sha256=None,
            parameters=49.3,
            summary="RVOS zero-shot as published (ResNet-101)",
            limits="works at 256x448; finds what its training calls objects",
            speed=3.1,
            config={"one_shot": False},
        ),
        Entry(
            name="rsis-small",
            method="rsis",
            task="no mask: finds up to ten objects",
            file="rsis-small.safetensors",
            sha256="c22f3ac0cb50180f3bfe53bd4aef9d4e99a9b1799b765db3efa8f78e5d4145b6",
            parameters=3.8,
            summary="RSIS on an EfficientNet-Lite0 trunk, trained by this project for some minutes; for CPUs",
            limits="tells objects from the rest, hardly from each other; see its model card",
            speed=None,
        ),
        Entry(
            name="rsis",
            method="rsis",
            task="no mask: finds up to ten objects",
            file=None,
            sha256=None,
            parameters=48.6,
            summary="RSIS as published for Pascal VOC (ResNet-101): the objects of a picture one by one, with classes",
            limits="works at 256x256; a clip is so many pictures; finds what its training calls objects",
            speed=None,
        ),
        Entry(
            name="agame-small",
            method="agame",
            task="masks of one frame given",
            file="agame-small.safetensors",
            sha256="ad7c9e72b47a2a8bd7092a5fc40ac292444186c34eedd6dfb11d117dc197a626",
            parameters=2.0,
            summary="A-GAME on an EfficientNet-Lite0 trunk, trained by this project; for CPUs",
            limits="spreads onto what looks like the object; objects that hide long; see its model card",
            speed=43.5,
        ),
        Entry(
            name="agame",
            method="agame",
            task="masks of one frame given",
            file=None,
            sha256=None,
            parameters=63.5,
            summary="A-GAME as published (ResNet-101)",
            limits="objects that stay hidden long; look-alikes; time of the full-size network",
            speed=1.4,
        ),
        Entry(
            name="capsulevos-small",
            method="capsulevos",
            task="masks of one frame given",
            file="capsulevos-small.safetensors",
            sha256="e1e182ae280e0eb8a6dcb38b3b77c38d70e0e84eb7fce3a2e7cb927bad8e8133",
            parameters=2.8,
            summary="CapsuleVOS on an EfficientNet-Lite0 trunk, eight frames at once, trained by this project",
            limits="answers up to seven frames late; objects that grow fast; errors add up; see its model card",
            speed=24.5,
        ),
        Entry(
            name="capsulevos",
            method="capsulevos",
            task="masks of one frame given",
            file=None,
            sha256=None,
            parameters=23.2,
            summary="CapsuleVOS as published, eight frames at once",
            limits="answers up to seven frames late; objects run one after another; time of the full-size network",
            speed=4.5,
        ),
        Entry(
            name="cosnet-small",
            method="cosnet",
            task="no mask: finds the primary object",
            file="cosnet-small.safetensors",
            sha256="416a1946c6e305ac2ab1db8ef3f719257bb36c444d4802754444fb1b45040233",
            parameters=5.5,
            summary="COSNet on an EfficientNet-Lite0 trunk, trained by this project; for CPUs",
            limits="one object, blurred outlines; finds what stands out beside it too; see its model card",
            speed=8.1,
        ),
        Entry(
            name="cosnet",
            method="cosnet",
            task="no mask: finds the primary object",
            file=None,
            sha256=None,
            parameters=81.2,
            summary="COSNet as published (ResNet-101)",
            limits="one object; what is salient in all of the clip; small objects; time of the full-size network",
            speed=0.5,
        ),
        Entry(
            name="giel-small",
            method="giel",
            task="masks of one frame given",
            file="giel-small.safetensors",
            sha256="e9f80bfbb33ed14a17d57bdd2bbfe06d260d309176b75a5c28698e51b6ab2f05",
            parameters=3.6,
            summary="GIEL on an EfficientNet-Lite0 trunk, six objects in one pass, trained by this project",
            limits="fast, blurred and small objects; look-alikes; see its model card",
            speed=11.1,
        ),
        Entry(
            name="giel-small-fast",
            method="giel",
            task="masks of one frame given",
            file="giel-small.safetensors",
            sha256="e9f80bfbb33ed14a17d57bdd2bbfe06d260d309176b75a5c28698e51b6ab2f05",
            parameters=3.6,
            summary="giel-small without its last decoder: the time hardly depends on the number of objects",
            limits="as giel-small; parts of objects that touch are told apart coarsely",
            speed=14.9,
            config={"output": "fast"},
        ),
        Entry(
            name="giel",
            method="giel",
            task="masks of one frame given",
            file=None,
            sha256=None,
            parameters=38.5,
            summary="GIEL as published (ResNet-50), six objects in one pass",
            limits="memory and time of the full-size network",
            speed=0.7,
        ),
        Entry(
            name="giel-fast",
            method="giel",
            task="masks of one frame given",
            file=None,
            sha256=None,
            parameters=28.5,
            summary="giel without its last decoder: the time hardly depends on the number of objects",
            limits="outlines as fine as the global map's; parts of look-alikes that touch",
            speed=0.9,
            config={"output": "fast", "refine": False},
        ),
        Entry(
            name="stm",
            method="giel",
            task="masks of one frame given",
            file=None,
            sha256=None,
            parameters=38.9,
            summary="STM as published (ResNet-50), GIEL's ground",
            limits="memory grows with the video; memory and time of the full-size network",
            speed=1.0,
            config={
                "kernel": 3,
                "shared": False,
                "others": True,
                "instance_embedding": False,
                "temporal_attention": "none",
                "memory": "every:5",
                "include_last": True,
                "border": "black",
            },
        ),
    )
}


def find(name: str) -> Entry:
    """Return the entry of a name.

    Raises:
        InputError: the name is not known.
    """
    if name not in CATALOGUE:
        raise InputError(
            f"{name}: neither a file nor known weights{suggestion(name, [*CATALOGUE, *METHODS])}; "
            f"known are {', '.join(CATALOGUE)}."
        )
    return CATALOGUE[name]
