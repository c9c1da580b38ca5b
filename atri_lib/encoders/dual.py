"""Two towers, two projections, one space."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atri_lib.encoders.alignment import Alignment
from atri_lib.pooling import TimePooling, encode_parts

LEAST_TEMPERATURE = 0.01  # of a learned one: the cosines are multiplied by 100 at most


def projection(width_in: int, hidden: int, width_out: int, dropout: float) -> nn.Sequential:
    """Two layers from a tower's features to the shared space; GELU keeps the loss twice
    differentiable (bounds).

    The norm has no scale and shift: the linear layer after it has both, and frozen features then
    need no gradient.
    """
    return nn.Sequential(
        nn.LayerNorm(width_in, elementwise_affine=False),
        nn.Linear(width_in, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, width_out),
    )


class DualEncoder(nn.Module):
    """Clips and texts projected into one space of unit vectors.

    Without towers it reads their cached features (clips [N, P, clip_width], text [...,
    text_width]); with a tower it reads the clips themselves or tokens. The names of weights
    (`audio_projection`, `audio_tower`) say "audio" whatever the clips are, since stored runs do.
    `unfreeze` opens a tower's last blocks: {"clips": 2} or {"text": "all"}. With an alignment,
    cached text features go through `align` before they are encoded. The temperature is a fixed
    number unless learn_temperature is set; then its logarithm is a parameter that is kept at
    LEAST_TEMPERATURE or above from the start, as in CLIP (Radford et al. 2021, arXiv 2103.00020,
    Sec. 2.5: needed for stable training). A fixed temperature has no such limit.
    """

    def __init__(
        self,
        clip_width: int,
        text_width: int,
        *,
        width: int = 256,
        hidden: int = 512,
        parts: int = 3,
        dropout: float = 0.1,
        temperature: float = 0.07,
        learn_temperature: bool = False,
        audio_tower: nn.Module | None = None,
        text_tower: nn.Module | None = None,
        unfreeze: dict[str, int | str] | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        super().__init__()
        self.pooling = TimePooling(parts)
        self.audio_projection = projection(clip_width * parts, hidden, width, dropout)
        self.text_projection = projection(text_width, hidden, width, dropout)
        logarithm = torch.tensor(math.log(temperature))
        self.log_temperature = nn.Parameter(logarithm, requires_grad=learn_temperature)
        self.audio_tower = audio_tower
        self.text_tower = text_tower
        self.alignment = alignment
        opened = unfreeze or {}
        for side, tower in {"clips": audio_tower, "text": text_tower}.items():
            if tower is not None:
                open_blocks(tower, opened.get(side, 0))

    @property
    def temperature(self) -> Tensor:
        """The softmax temperature, a positive scalar.

        A learned one that an optimiser step has moved below its floor is put back there first, so
        that the next gradient can raise it (a clamp within the graph would stop all gradients).
        """
        if self.log_temperature.requires_grad:
            with torch.no_grad():
                self.log_temperature.clamp_(min=math.log(LEAST_TEMPERATURE))
        return self.log_temperature.exp()

    def encode_clips(self, clips: Tensor | Sequence[Tensor]) -> Tensor:
        """Patch features or parts of clips [N, P, F], or with a tower N waveforms or pictures,
        stacked or a list -> [N, d].
        """
        if self.audio_tower is not None:
            clips = encode_parts(self.audio_tower, clips, self.pooling.parts)
        pooled = self.pooling(clips)
        projected = self.audio_projection(pooled)
        return nn.functional.normalize(projected, dim=-1)

    def align(self, features: Tensor, language: int) -> Tensor:
        """Text features [..., F] of one of the run's languages (its place, English 0), aligned if
        the model has an alignment.
        """
        if self.alignment is None:
            return features
        return self.alignment(features, language)

    def encode_text(self, text: Tensor | dict[str, Tensor]) -> Tensor:
        """Tokens of N captions (with a tower) or aligned sentence features [..., F] -> unit
        vectors [..., d].
        """
        if self.text_tower is not None:
            text = self.text_tower(**text)
        projected = self.text_projection(text)
        return nn.functional.normalize(projected, dim=-1)

    def forward(self, clips: Tensor, text: Tensor | dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Both encodings at once."""
        return self.encode_clips(clips), self.encode_text(text)


def open_blocks(tower: nn.Module, last: int | str) -> None:
    """Freeze a tower, then make its last `last` blocks trainable; "all" opens every parameter.

    Raises ValueError when there are fewer blocks, or `last` is neither a count nor "all".
    """
    tower.requires_grad_(last == "all")
    if last == "all":
        return
    blocks = list(tower.blocks)
    if last not in range(len(blocks) + 1):
        kind = type(tower).__name__
        raise ValueError(f"unfreeze: {kind} has blocks 0 to {len(blocks)}; give a count or 'all'")
    first = len(blocks) - last
    for block in blocks[first:]:
        block.requires_grad_(True)
