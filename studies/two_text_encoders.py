"""Both text encoders of the book read a caption; their vectors stand side by side.

An encoder of the studies, named as any encoder from outside is: `studies.two_text_encoders:Both`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atri_lib.encoders.presets import TEXT_ENCODERS
from atri_lib.storage import checksum


class Both(nn.Module):
    """USE and E5, each vector scaled to length 1."""

    name = "use and e5"

    def __init__(self) -> None:
        super().__init__()
        self.readers = nn.ModuleList([TEXT_ENCODERS[name]() for name in ("use", "e5")])
        self.dim = sum(reader.dim for reader in self.readers)

    @property
    def fingerprint(self) -> str:
        return checksum("both", [reader.fingerprint for reader in self.readers])

    @torch.no_grad()
    def embed(self, sentences: Sequence[str], language: str = "eng") -> Tensor:
        """Sentences in one language -> [N, 896]."""
        vectors = [reader.embed(sentences, language=language) for reader in self.readers]
        return torch.cat([nn.functional.normalize(rows, dim=-1) for rows in vectors], dim=-1)
