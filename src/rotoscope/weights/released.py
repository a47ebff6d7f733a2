"""Where the weights that authors released are hosted, and those that training begins with, and on what terms."""

from __future__ import annotations

from dataclasses import dataclass

MB = 10**6
DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
"""Google Drive's address of a file without its page that asks whether to go on."""
RVOS = "https://imatge.upc.edu/web/sites/default/files/projects/segmentation/public_html/rvos-pretrained-models/"


@dataclass(frozen=True)
class HostedWeights:
    """A file that authors released. No author of a method published its size or a hash.

    Attributes:
        page: the address of the page where its authors write about it.
        url: the address of the file; None if getting it takes a browser.
        hosts: the hosts that may answer, those that the first sends on to too; ``*.`` stands for any host under a
            domain.
        file: the name that the file gets here.
        about: its size in bytes, as far as it follows from the network's size; what an optimiser kept may be added.
        most: the size in bytes above which a file is not taken.
        licence: the licence of code and weights, as its authors state it.
        trained: the data that it was trained on.
        by_hand: why and how it is got by hand; empty if it need not be.
        hash_begins: hexadecimal digits that its SHA-256 begins with, where the file's own name states them.
    """

    page: str
    url: str | None
    hosts: tuple[str, ...]
    file: str
    about: int
    most: int
    licence: str
    trained: str
    by_hand: str = ""
    hash_begins: str = ""


RELEASED: dict[str, HostedWeights] = {
    "stcn": HostedWeights(
        page="https://github.com/hkchengrex/STCN",
        url=f"{DRIVE}1mRrE0uCI2ktdWlUgapJI_KmgeIiF2eOm",
        hosts=("drive.usercontent.google.com",),
        file="stcn.pth",
        about=218 * MB,
        most=800 * MB,
        licence="code MIT; the weights' is not stated",
        trained="still images, BL30K, YouTube-VOS, DAVIS",
    ),
    "stm": HostedWeights(
        page="https://github.com/seoungwugoh/STM",
        url="https://www.dropbox.com/s/mtfxdr93xc3q55i/STM_weights.pth?dl=1",
        hosts=("www.dropbox.com", "*.dropboxusercontent.com"),
        file="STM_weights.pth",
        about=156 * MB,
        most=600 * MB,
        licence="CC BY-NC-SA, non-commercial use only",
        trained="still images, then videos, DAVIS among them",
    ),
    "rvos": HostedWeights(
        page="https://github.com/imatge-upc/rvos",
        url=f"{RVOS}one-shot-model-youtubevos.zip",
        hosts=("imatge.upc.edu",),
        file="one-shot-model-youtubevos.zip",
        about=206 * MB,
        most=1000 * MB,
        licence="no commercial use (its README)",
        trained="YouTube-VOS",
    ),
    "rvos-zeroshot": HostedWeights(
        page="https://github.com/imatge-upc/rvos",
        url=f"{RVOS}zero-shot-model-youtubevos.zip",
        hosts=("imatge.upc.edu",),
        file="zero-shot-model-youtubevos.zip",
        about=206 * MB,
        most=1000 * MB,
        licence="no commercial use (its README)",
        trained="YouTube-VOS",
    ),
    "rsis": HostedWeights(
        page="https://github.com/imatge-upc/rsis",
        url=None,
        hosts=(),
        file="rsis-pascal",
        about=203 * MB,
        most=1000 * MB,
        licence="code MIT; the weights' is not stated",
        trained="Pascal VOC 2012",
        by_hand="its authors link https://mega.nz/#!988QkDZS!3Mnn_A3XnhynEfsfPGKDUAPRmAMtFqyIf_0xrxU0obU, which takes "
        "a browser. Download it, unpack it, and give the folder that holds encoder.pt and decoder.pt",
    ),
    "agame": HostedWeights(
        page="https://github.com/joakimjohnander/agame-vos",
        url=f"{DRIVE}1lVv7n0qOtJEPk3aJ2-KGrOfYrOHVnBbT",
        hosts=("drive.usercontent.google.com",),
        file="main_runfile_beta_best.pth.tar",
        about=262 * MB,
        most=1000 * MB,
        licence="none stated: all rights are its authors'",
        trained="DAVIS, YouTube-VOS",
    ),
    "cosnet": HostedWeights(
        page="https://github.com/carrierlxk/COSNet",
        url=f"{DRIVE}14ya3ZkneeHsegCgDrvkuFtGoAfVRgErz",
        hosts=("drive.usercontent.google.com",),
        file="co_attention.pth",
        about=325 * MB,
        most=1200 * MB,
        licence="none stated: all rights are its authors'",
        trained="DAVIS 2016, and images of salient objects",
    ),
    "capsulevos": HostedWeights(
        page="https://github.com/KevinDuarte/CapsuleVOS",
        url=None,
        hosts=(),
        file="capsulevos.zip",
        about=93 * MB,
        most=600 * MB,
        licence="none stated: all rights are its authors'",
        trained="YouTube-VOS",
        by_hand="its authors link https://drive.google.com/open?id=12zvvqd5i3EVNzPF-hEfq_hi2CEzRRSjS, which takes a "
        "browser. Download what is there, and give the zip, or the .index file, whose .data files lie beside it",
    ),
}
"""By the name that they are loaded by."""

TORCHVISION = "https://download.pytorch.org/models/"
IMAGENET = "imagenet"
"""What names of trunks learnt on ImageNet begin with, as in ``imagenet-resnet50``."""


def _torchvision(stem: str, digits: str, about: int, trained: str) -> HostedWeights:
    return HostedWeights(
        page="https://github.com/pytorch/vision",
        url=f"{TORCHVISION}{stem}-{digits}.pth",
        hosts=("download.pytorch.org",),
        file=f"{stem}-{digits}.pth",
        about=about * MB,
        most=2 * about * MB,
        licence="code BSD-3; weights: terms may derive from the data set",
        trained=trained,
        hash_begins=digits,
    )


BEGINNINGS: dict[str, HostedWeights] = {
    f"{IMAGENET}-resnet18": _torchvision("resnet18", "f37072fd", 47, "ImageNet-1k"),
    f"{IMAGENET}-resnet50": _torchvision("resnet50", "0676ba61", 103, "ImageNet-1k"),
    f"{IMAGENET}-resnet101": _torchvision("resnet101", "63fe2227", 179, "ImageNet-1k"),
    "maskrcnn-resnet50": _torchvision("maskrcnn_resnet50_fpn_coco", "bf2d0c1e", 178, "COCO"),
    "cosnet-deeplabv3": HostedWeights(
        page="https://github.com/carrierlxk/COSNet",
        url=f"{DRIVE}1hy0-BAEestT9H4a3Sv78xrHrzmZga9mj",
        hosts=("drive.usercontent.google.com",),
        file="deeplab_davis_12_0.pth",
        about=240 * MB,
        most=1000 * MB,
        licence="none stated: all rights are its authors'",
        trained="images of salient objects; its authors do not list them",
    ),
}
"""What the published recipes begin with. No method loads them by name; ``train --set trunk=NAME`` does."""
