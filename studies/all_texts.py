"""Schemes that tie the translations of a caption to each other in the loss, in all languages.

They are schemes of the studies, not of the library, and are named as any scheme from outside is:
`studies.all_texts:AllTexts`.
"""

import numpy as np
from pydantic import Field
from torch import Tensor

from atri_lib.losses import ml_clap_loss, pair_losses
from atri_lib.schemes import SCHEMES
from studies.fixed_counts import different

MlClap = SCHEMES["ml_clap"]  # one language an epoch


class AllTexts(MlClap):
    """ML-CLAP's draw is contrasted with the clips, and the caption in the drawn language with its
    translations into all others.

    `languages` has a column per language although m is 1: the drawn one first, and only that one
    meets the clips. text_text: the share of the loss between texts. For two languages or more.
    """

    name = "all_texts"
    together = True
    text_text: float = Field(1 / 3, ge=0, lt=1)

    @property
    def weights(self) -> np.ndarray:
        return np.eye(self.k)[0]

    def languages(self, epoch: int) -> np.ndarray:
        return self._orders(epoch)

    def loss(
        self,
        clips: Tensor,
        texts: Tensor,
        temperature: float | Tensor,
        columns: slice = slice(None),
    ) -> Tensor:
        """clips: [N, d]; texts: [N, K, d], the drawn language first. Nats, a scalar."""
        drawn = texts[:, 0]
        with_clips = ml_clap_loss(clips, drawn, temperature)
        with_translations = pair_losses(drawn, texts[:, 1:], temperature).mean()
        return (1 - self.text_text) * with_clips + self.text_text * with_translations


class AllTextsBalanced(AllTexts):
    """The same with the draws of `balanced`."""

    name = "all_texts_balanced"

    def _correlation(self, e: np.ndarray, f: np.ndarray) -> np.ndarray:
        same_round = e // self.k == f // self.k
        return np.where(e == f, 1.0, np.where(same_round, different(self.k), 0.0))

    def languages(self, epoch: int) -> np.ndarray:
        number, position = divmod(epoch, self.k)
        return np.roll(self._orders(number), -position, axis=1)
