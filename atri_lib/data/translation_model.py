"""A translation model of transformers, checked before it is used and told each language its way."""

import pathlib
import textwrap
from collections.abc import Callable, Sequence

from atri_lib.hub import CheckpointError
from atri_lib.languages import language


def load_model(
    folder: pathlib.Path, targets: list[str], beams: int, max_tokens: int, device: str
) -> Callable[[Sequence[str], str], list[tuple[str, bool]]]:
    """The function (sentences, language code) -> [(text, truncated)] of a checkpoint, every
    language checked first.
    """
    import torch

    tokenizer, network = _loaded(folder)
    network.eval().to(device)
    network.generation_config.max_length = None  # max_tokens decides
    ends = torch.tensor(network.generation_config.eos_token_id, device=device)  # one or several
    prompts = prompts_of(tokenizer, folder, targets)

    def checked(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores of a step; a word that is ruled out has minus infinity."""
        if not (scores < torch.inf).all():
            said = "the model computes what is no number"
            raise CheckpointError(f"{folder}: {said}; get its weights again")
        return scores

    @torch.inference_mode()
    def generate(batch: Sequence[str], code: str) -> list[tuple[str, bool]]:
        prefix, forcing = prompts[code]
        prefixed = [prefix + sentence for sentence in batch]
        tokens = tokenizer(prefixed, padding=True, return_tensors="pt").to(device)
        length = {"max_new_tokens": max_tokens, "num_beams": beams}
        options = {"do_sample": False, "logits_processor": [checked]}
        ids = network.generate(**tokens, **length, **forcing, **options)
        # position 0 is the start token, which may be the end token too
        ended = torch.isin(ids[:, 1:], ends).any(1)
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return list(zip(map(str.strip, texts), (~ended).tolist(), strict=True))

    return generate


def _loaded(folder: pathlib.Path):
    """Tokenizer and network of a checkpoint that is whole."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
        network, loaded = AutoModelForSeq2SeqLM.from_pretrained(
            folder, output_loading_info=True, weights_only=True, **safe
        )
    except Exception as error:  # safetensors, the unpickler, transformers: each has its own types
        why = textwrap.shorten(str(error), 200)
        said = f"no sequence-to-sequence checkpoint that can be read: {why}"
        raise CheckpointError(f"{folder}: {said}") from error
    if missing := ", ".join(sorted(loaded["missing_keys"])):
        raise CheckpointError(f"{folder}: weights are missing ({missing:.200}); get it again")
    return tokenizer, network


def prompts_of(tokenizer, model, targets: list[str]) -> dict[str, tuple[str, dict[str, int]]]:
    """How the checkpoint is told each target: (text put before the sentence, options of
    `generate`).
    """
    forces = hasattr(tokenizer, "src_lang")  # NLLB-200, M2M-100, mBART-50
    if forces:
        tokenizer.src_lang = _tag(tokenizer, "eng").strip("_")
    prompts = {}
    for code in targets:
        tag = _tag(tokenizer, code)
        only = getattr(tokenizer, "target_lang", None)
        single = targets == [code] and only in (None, code, language(code).locale[:2])
        if not tag and (forces or not single):
            raise CheckpointError(f"{model} translates into {only or 'others'}, not into {code}")
        if forces:
            prompts[code] = ("", {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(tag)})
        else:
            prompts[code] = (f"{tag} ".lstrip(), {})
    return prompts


def _tag(tokenizer, code: str) -> str:
    """How a checkpoint calls a language: NLLB-200, M2M-100, mBART-50, Marian groups or MADLAD-400;
    empty where it has no name for it.
    """
    spoken = language(code)
    short = spoken.locale[:2]
    mbart = (f"{short}_XX", f"{short}_{short.upper()}", f"{short}_CN")
    for tag in (spoken.nllb, f"__{short}__", *mbart, f">>{code}<<", f"<2{short}>"):
        if tokenizer.convert_tokens_to_ids(tag) not in (None, tokenizer.unk_token_id):
            return tag
    return ""
