"""What all separators here share: a learned filter bank, a mask for each speaker, and the way back."""

from torch import Tensor, nn


class MaskedSeparator(nn.Module):
    """Frames of `length` samples, each half a frame after the last; masks (n, 2, filters, frames) of (n, filters,
    frames) are what a separator brings. ReLU after the encoder, as in both papers."""

    def __init__(self, masks: nn.Module, filters: int, length: int) -> None:
        super().__init__()
        self.length, self.hop = length, length // 2
        self.encoder = nn.Conv1d(1, filters, length, self.hop, bias=False)
        self.masks = masks
        self.decoder = nn.ConvTranspose1d(filters, 1, length, self.hop, bias=False)

    def forward(self, mixes: Tensor) -> Tensor:
        """(n, 2, samples) of (n, samples), however many. Silence of a hop goes before, and after as much as fills the
        last frame."""
        samples = mixes.shape[-1]
        rest = -samples % self.hop
        padded = nn.functional.pad(mixes, (self.hop, self.hop + rest))
        frames = self.encoder(padded[:, None]).relu()
        masked = self.masks(frames) * frames[:, None]
        return self.decoder(masked.flatten(0, 1)).view(len(mixes), 2, -1)[..., self.hop : self.hop + samples]
