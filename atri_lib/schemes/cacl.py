"""The co-anchor contrast as a scheme: an anchor's caption and one more tie a clip in a triangle."""

from fractions import Fraction
from typing import Any

import numpy as np
from pydantic import Field, PositiveInt
from torch import Tensor

from atri_lib.losses import Temperature, cacl_loss
from atri_lib.schemes.base import Pool, Pools, Scheme


class Cacl(Scheme):
    """An anchor (column 0) and one random other language (column 1), contrasted in a triangle with
    the clip.

    text_text: the weight of the side between the texts; the two clip-text sides share the rest by
    `weights`: by default 2/3 of the loss, where the theory's twin runs give them all of it. These
    two are the scheme's pair distribution: error 2 (K - 2) / K. Biased: the anchor
    has mass 1/2 in expectation, each other language 1 / (2 (K - 1)). anchor: its place among the
    languages, from 1; the paper's is English.
    """

    name = "cacl"
    label = "CACL"
    colour = "#0072B2"
    marker = "^"
    together = True
    m: PositiveInt = 2
    text_text: float = Field(1 / 3, ge=0, lt=1)
    anchor: PositiveInt = 1

    @staticmethod
    def pools(k: Any, m: Any) -> Pools:
        return Pool(1, 1, Fraction(1, 2)), Pool(k - 1, 1, Fraction(1, 2))

    def _pool_of(self) -> np.ndarray:
        if self.anchor > self.k:
            raise ValueError(
                f"anchor={self.anchor} is none of the {self.k} languages: give 1 ... {self.k}"
            )
        others = np.arange(1, self.k + 1) != self.anchor
        return others.astype(int)

    def languages(self, epoch: int) -> np.ndarray:
        others = self._generator(epoch).integers(1, self.k, size=self.clips)
        places = np.stack([np.zeros_like(others), others], axis=1)
        anchor_first = np.argsort(self._pool_of(), kind="stable")
        return anchor_first[places]

    def loss(
        self,
        clips: Tensor,
        texts: Tensor,
        temperature: Temperature,
        columns: slice = slice(None),
    ) -> Tensor:
        """The weighted triangle of clips, English and the other text [N, 2, d]; `cacl_loss` with
        text_text = 1/3.
        """
        clip_text = (1 - self.text_text) * self.weights
        sides = (*clip_text.tolist(), self.text_text)
        return cacl_loss(clips, texts[:, 0], texts[:, 1], temperature, weights=sides)


class CaclUnbiased(Cacl):
    """CACL whose clip-text part weighs English 1/K and the other language (K - 1)/K. Error 2 (K -
    2) / K, mean p.
    """

    name = "cacl_unbiased"
    label = "CACL unbiased"
    colour = "#332288"
    marker = "<"

    @staticmethod
    def pools(k: Any, m: Any) -> Pools:
        return Pool(1, 1, 1 / k), Pool(k - 1, 1, (k - 1) / k)
