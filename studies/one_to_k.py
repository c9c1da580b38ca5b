"""The loss that KCL descends from, which mixes the languages in one softmax."""

from torch import Tensor

from atri_lib.losses import scaled_similarities


def one_to_k_loss(clips: Tensor, texts: Tensor, temperature: float | Tensor) -> Tensor:
    """The 1-to-K loss: one softmax over all N K captions, as its authors' code computes it.

    1. Clip to text: clip i against all N K captions, each of its K captions a target; mean over
       the N K pairs. Its own other captions sit in the denominator, so this mean cannot fall below
       log K.
    2. Text to clip: as in `losses.kcl_loss`, but divided by K once more.
    3. Return half the sum.

    clips: [N, d]; texts: [N, K, d]. Returns nats, a scalar. Errors as `losses.pair_losses`. K = 1
    is `losses.info_nce`. Source: Nie et al. 2024, arXiv 2406.18254, released code
    (`get_unialign_contrastive_loss`).
    """
    logits, matched = scaled_similarities(clips, texts, temperature)
    clip_to_text = (logits.logsumexp((0, 2)) - matched).mean()
    text_to_clip = (logits.logsumexp(1) - matched).mean() / len(matched)
    return (clip_to_text + text_to_clip) / 2
