"""Convolutions with fixed weights as oneDNN has them: packed once, and what stands behind done in the same pass."""

from __future__ import annotations

import functools
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["none", "relu", "relu6"]
"""What stands behind a convolution."""
NAMES: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
"""Names of oneDNN and their limits."""


class PackedConv2d(nn.Conv2d):
    """A convolution that keeps its weights a second time, as oneDNN wants them, and answers channels last.

    A plain convolution reorders its weights on every call, and on one thread PyTorch computes those of 1x1 in a way
    that is several times slower. Where gradients are wanted, or off the CPU, it is a plain convolution; weights that
    have changed are packed again.
    """

    _packed: tuple[Tensor, tuple[int, int]] | None = None

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> PackedConv2d:
        """The same convolution, with the very same parameters."""
        made = cls(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            convolution.stride,  # type: ignore[arg-type]
            convolution.padding,  # type: ignore[arg-type]
            convolution.dilation,  # type: ignore[arg-type]
            convolution.groups,
            convolution.bias is not None,
            device="meta",
        )
        made.weight, made.bias = convolution.weight, convolution.bias
        return made.train(convolution.training)

    def takes(self, x: Tensor) -> bool:
        """Whether oneDNN computes it: on the CPU, in the weights' own type, if it can here, without gradients."""
        right = x.device.type == "cpu" and x.ndim == 4 and x.dtype == self.weight.dtype
        here = self.weight.device.type == "cpu" and not torch.is_grad_enabled()
        return right and here and has_packed(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, Cin, H, W]`` -> ``[B, Cout, H', W']``."""
        return self.fused(x) if self.takes(x) else super().forward(x)

    def fused(self, x: Tensor, activation: Activation = "none", plus: Tensor | None = None) -> Tensor:
        """With what stands behind it, for an ``x`` that it :meth:`takes`.

        Args:
            x: ``[B, Cin, H, W]``.
            activation: what is done last.
            plus: is added before that, of the shape of the result.
        """
        name, limits = NAMES[activation]
        shape = (self.padding, self.stride, self.dilation, self.groups)
        packed = self._weights(x)
        out: Tensor
        if plus is None:
            out = torch.ops.mkldnn._convolution_pointwise(x, packed, self.bias, *shape, name, limits, "")
            return out
        layout = plus.contiguous(memory_format=torch.channels_last)
        last = "relu" if activation == "relu" else None  # the only one that may stand behind a sum
        out = torch.ops.mkldnn._convolution_pointwise.binary(
            x, layout, packed, self.bias, *shape, "add", 1.0, last, [], ""
        )
        return F.relu6(out, inplace=True) if activation == "relu6" else out

    def _weights(self, x: Tensor) -> Tensor:
        """The packed weights; their best order depends on the size of what they meet, the first of which decides."""
        now = (self.weight.data_ptr(), 0 if self.weight.is_inference() else self.weight._version)
        if self._packed is None or self._packed[1] != now:
            shape: tuple[Any, ...] = (self.padding, self.stride, self.dilation, self.groups, list(x.shape))
            packed = torch.ops.aten.mkldnn_reorder_conv2d_weight(self.weight.to_mkldnn(), *shape)
            self._packed = (packed, now)
        return self._packed[0]

    def __getstate__(self) -> dict[str, Any]:
        """All but the packed weights, which copies make for themselves."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}


def fused(
    x: Tensor,
    convolution: nn.Conv2d,
    norm: nn.Module | None = None,
    *,
    activation: Activation = "none",
    plus: Tensor | None = None,
) -> Tensor:
    """A convolution and what stands behind it, in one pass where its weights are packed.

    Args:
        x: ``[B, Cin, H, W]``.
        convolution: packed or not.
        norm: is applied to its result, unless it has been folded into the weights.
        activation: is applied last.
        plus: is added before that, ``[B, Cout, H', W']``.
    """
    folded = norm is None or isinstance(norm, nn.Identity)
    if folded and isinstance(convolution, PackedConv2d) and convolution.takes(x):
        return convolution.fused(x, activation, plus)
    y: Tensor = convolution(x)
    return finished(y if norm is None else norm(y), activation, plus)


def finished(y: Tensor, activation: Activation, plus: Tensor | None) -> Tensor:
    """What stands behind a convolution, on its result ``y``, which may be overwritten."""
    y = y if plus is None else y + plus
    if activation == "relu":
        return F.relu(y, inplace=True)
    return F.relu6(y, inplace=True) if activation == "relu6" else y


@functools.cache
def has_packed(dtype: torch.dtype = torch.float32) -> bool:
    """Whether PyTorch has the operations here, which are its compiler's own: tried on a small convolution.

    oneDNN refuses to pack bfloat16 on a processor that has neither AVX-512 nor AVX-NE-CONVERT, and float16 on most.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    with torch.inference_mode():
        plain = nn.Conv2d(2, 2, 1, device="meta")  # there weights draw no random numbers
        plain.weight = nn.Parameter(torch.tensor([[0.5, -0.25], [0.125, 0.375]], dtype=dtype)[..., None, None])
        plain.bias = nn.Parameter(torch.tensor([0.5, -0.5], dtype=dtype))
        x = torch.linspace(-9, 9, 8).view(1, 2, 2, 2).to(dtype)
        try:
            out = PackedConv2d.of(plain).fused(x, "relu6", x)
        except (AttributeError, RuntimeError, TypeError):  # another PyTorch or processor, whose operations are others
            return False
        wanted = F.relu6(F.conv2d(x.float(), plain.weight.float(), plain.bias.float()) + x.float())
        return torch.allclose(out.float(), wanted, atol=max(1e-5, 16 * torch.finfo(dtype).eps))
