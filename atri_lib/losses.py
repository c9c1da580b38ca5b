"""The objectives: ML-CLAP, CACL and KCL, all of them means of one pair loss.

Embeddings are expected L2-normalised and are not normalised here. Only `similarity / temperature`
matters, so scaling both sides by s is the same as dividing the temperature by s**2, and an
orthogonal map applied to all embeddings changes nothing. Similarities are computed in float32 or
wider, whatever the input or autocast says.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Temperature = float | Tensor


def pair_losses(clips: Tensor, texts: Tensor, temperature: Temperature) -> Tensor:
    """The loss l_ik of every (clip, language) pair: half the sum of its two cross-entropies.

    1. Compare every clip with every caption, language by language.
    2. Clip to text: which of language k's N captions belongs to clip i? Text to clip: which of
       the N clips belongs to caption (i, k)? The negatives of clip i in language k are the other
       clips in language k.
    3. l_ik is the mean of the two negative log-probabilities.

    clips: [N, d]; texts: [N, K, d]; both floating point. temperature: positive, a float or a scalar
    tensor. Returns nats, [N, K], float32 (float64 if an input is). Raises ValueError for a batch of
    one, no language, shapes that do not fit, or a float temperature <= 0. Source: the pair loss of
    the bound chapter; Yin et al. 2025, arXiv 2502.14627.
    """
    logits, matched = scaled_similarities(clips, texts, temperature)
    clip_to_text = logits.logsumexp(2) - matched
    text_to_clip = logits.logsumexp(1) - matched
    return (clip_to_text + text_to_clip).T / 2


def info_nce(a: Tensor, b: Tensor, temperature: Temperature) -> Tensor:
    """Contrast two aligned sets of embeddings in both directions (symmetric InfoNCE, as in CLIP).

    a, b: [N, d]; row i of one belongs to row i of the other, all other rows are negatives.
    Returns nats, a scalar: the mean over N of the two directions' average. Errors as `pair_losses`.
    Source: Radford et al. 2021, arXiv 2103.00020, Fig. 3.
    """
    losses = pair_losses(a, b[:, None], temperature)
    return losses.mean()


def ml_clap_loss(clips: Tensor, text: Tensor, temperature: Temperature) -> Tensor:
    """Contrast clips with one caption each, every one in its own randomly drawn language (ML-CLAP).

    clips, text: [N, d]. Which language row i is in is the sampling scheme's business
    (`schemes.SCHEMES["ml_clap"]`); the negatives of a clip are therefore captions in mixed
    languages. Returns nats, a scalar: `info_nce(clips, text)`. Source: Yan et al. 2024, arXiv
    2406.07012. Their code adds a small embedding regulariser, which is left out here.
    """
    return info_nce(clips, text, temperature)


def cacl_loss(
    clips: Tensor,
    english: Tensor,
    other: Tensor,
    temperature: Temperature,
    weights: Sequence[float] = (1 / 3,) * 3,
) -> Tensor:
    """Tie a clip, its English caption and one caption in another language to each other (co-anchor
    contrast).

    1. Sum both directions over the N clips for each side of the triangle: L_ae (clip, English),
       L_at (clip, other), L_et (English, other).
    2. Return (L_ae + L_at + L_et) / (6 N): the mean of three `info_nce`, or with `weights` their
       weighted sum.

    clips, english, other: [N, d]. Returns nats, a scalar. Errors as `pair_losses`. Relation: with
    other == english it is (2 info_nce(clips, english) + info_nce(english, english)) / 3. Source:
    Yin et al. 2025, arXiv 2502.14627 (CACL).
    """
    sides = ((clips, english), (clips, other), (english, other))
    losses = []
    for weight, side in zip(weights, sides, strict=True):
        losses.append(weight * info_nce(*side, temperature))
    return sum(losses)


def kcl_loss(clips: Tensor, texts: Tensor, temperature: Temperature) -> Tensor:
    """Contrast clips with every language's caption (1-to-K, per language).

    1. In each language, sum both directions' cross-entropies over the N clips: L_a2t and L_t2a,
       summed over K.
    2. Return (L_a2t + L_t2a) / (2 N K): the mean of `pair_losses`, the ideal distribution's loss.

    clips: [N, d]; texts: [N, K, d]. Returns nats, a scalar. Errors as `pair_losses`. Relations: K =
    1 is `ml_clap_loss`; any order of the languages gives the same value. Source: Yin et al. 2025,
    arXiv 2502.14627 (KCL).
    """
    losses = pair_losses(clips, texts, temperature)
    return losses.mean()


def scaled_similarities(
    clips: Tensor, texts: Tensor, temperature: Temperature
) -> tuple[Tensor, Tensor]:
    """Similarity / temperature, [K, N clips, N captions], and of the matching pairs, [K, N].

    Arguments and errors as `pair_losses`.
    """
    of_clips = f"clips {list(clips.shape)} {clips.dtype}"
    given = f"got {of_clips} and texts {list(texts.shape)} {texts.dtype}"
    fits = clips.ndim == 2 and texts.ndim == 3 and texts.shape[::2] == clips.shape
    if not (fits and texts.numel()):
        raise ValueError(f"expected clips [N, d] and texts [N, K, d], {given}")
    if len(clips) < 2:
        advice = "use larger batches, drop the rest"
        raise ValueError(f"a contrastive loss needs at least 2 clips, {given}: {advice}")
    if not (clips.is_floating_point() and texts.is_floating_point()):
        raise ValueError(f"embeddings must be floating point, {given}")
    # The value of a tensor is not looked at: that would wait for the device in every call.
    if not isinstance(temperature, Tensor) and not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}: the usual one is 0.07")
    # A bfloat16 similarity is off by up to 0.004, and a temperature of 0.07 makes that 0.06 nats.
    dtype = torch.promote_types(clips.dtype, texts.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    with torch.autocast(clips.device.type, enabled=False):
        by_language = texts.to(dtype).permute(1, 2, 0)  # [K, d, N]
        similarities = clips.to(dtype) @ by_language
        scaled = similarities / temperature
    return scaled, scaled.diagonal(dim1=1, dim2=2)
