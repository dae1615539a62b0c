"""MossFormer2's recurrent module, without recurrence: a gated feed-forward sequential memory (FSMN)."""

import torch
from torch import Tensor, nn

from methods.audio_separation.gated_attention._attention import ConvolvedLinear

REACH = 20
"""Frames that the memory of the first layer reaches on either side, its own among them."""
LAYERS = 2


class DenseMemory(nn.Module):
    """Depth-wise convolutions over time, dilated by 1, 2, ...; each reads what came in and what all before it gave, of
    its own channel. (n, channels, frames)."""

    def __init__(self, channels: int, reach: int = REACH, layers: int = LAYERS) -> None:
        super().__init__()
        kernel = 2 * reach - 1
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(
                    (number + 1) * channels, channels, kernel, padding=(reach - 1) * 2**number, dilation=2**number,
                    groups=channels, bias=False,
                ),
                nn.InstanceNorm1d(channels, affine=True),
                nn.PReLU(channels),
            )
            for number in range(layers)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        seen = x[:, :, None]
        for layer in self.layers:
            out = layer(seen.flatten(1, 2))
            seen = torch.cat([out[:, :, None], seen], 2)  # side by side in each channel, as groups of it are
        return out


class GatedMemory(nn.Module):
    """x + out(norm(v * memory(u) + h)), where h = norm(PReLU(in(x))) has half the width or so, and u, v are of h."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Linear(width, inner), nn.PReLU(), nn.LayerNorm(inner))
        self.u = ConvolvedLinear(inner, inner, nn.LayerNorm(inner))
        self.v = ConvolvedLinear(inner, inner, nn.LayerNorm(inner))
        self.project = nn.Sequential(nn.Linear(inner, inner), nn.ReLU(), nn.Linear(inner, inner, bias=False))
        self.memory = DenseMemory(inner)
        self.wide = nn.Sequential(nn.LayerNorm(inner), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, frames, width), as it comes out."""
        hidden = self.narrow(x)
        u = self.u(hidden)
        remembered = u + self.memory(self.project(u).transpose(1, 2)).transpose(1, 2)
        return x + self.wide(self.v(hidden) * remembered + hidden)
