"""A translation model of transformers, checked before it is used and told each language its way."""

import pathlib
from collections.abc import Callable, Sequence

from atri_lib.hub import CheckpointError
from atri_lib.languages import language

Generate = Callable[[Sequence[str], str], list[tuple[str, bool]]]


def load_model(
    folder: pathlib.Path, source: str, targets: list[str], beams: int, max_tokens: int, device: str
) -> Generate:
    """The function (sentences, language code) -> [(text, truncated)] of a checkpoint, every
    language checked first.
    """
    import torch

    tokenizer, network = _loaded(folder)
    network.eval().to(device)
    network.generation_config.max_length = None  # max_tokens decides
    ends = torch.tensor(network.generation_config.eos_token_id, device=device)  # one or several
    prompts = prompts_of(tokenizer, folder, source, targets)

    def checked(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores of a step: overflow in a network of finite weights is not translated from."""
        if scores.isnan().any():
            said = "the model computes what is no number"
            raise CheckpointError(f"{folder}: {said}; get its weights again")
        return scores

    @torch.inference_mode()
    def generate(batch: Sequence[str], code: str) -> list[tuple[str, bool]]:
        prefix, forced = prompts[code]
        prefixed = [prefix + sentence for sentence in batch]
        tokens = tokenizer(prefixed, padding=True, return_tensors="pt").to(device)
        options = {"num_beams": beams, "max_new_tokens": max_tokens, "do_sample": False}
        if forced is not None:
            options["forced_bos_token_id"] = forced
        ids = network.generate(**tokens, **options, logits_processor=[checked])
        # position 0 is the start token, which may be the end token too
        ended = torch.isin(ids[:, 1:], ends).any(1)
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [(text.strip(), not done) for text, done in zip(texts, ended.tolist(), strict=True)]

    return generate


def _loaded(folder: pathlib.Path):
    """Tokenizer and network of a checkpoint that is whole and finite."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
        network, loaded = AutoModelForSeq2SeqLM.from_pretrained(
            folder, output_loading_info=True, weights_only=True, **safe
        )
    except Exception as error:  # safetensors, the unpickler, transformers: each has its own types
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{folder}: no sequence-to-sequence checkpoint that can be read: {reason}"
        ) from error
    broken = [name for name, weight in network.named_parameters() if not weight.isfinite().all()]
    broken += [name for name, values in network.named_buffers() if values.isnan().any()]
    for fault, names in {"missing": sorted(loaded["missing_keys"]), "not finite": broken}.items():
        if names:
            said = f"{len(names)} weights are {fault}, the first is {names[0]}"
            raise CheckpointError(f"{folder}: {said}; get it again")
    return tokenizer, network


def prompts_of(
    tokenizer, model, source: str, targets: list[str]
) -> dict[str, tuple[str, int | None]]:
    """How the checkpoint is told each target: (text put before the sentence, first token
    forced).
    """
    if hasattr(tokenizer, "src_lang"):
        tokenizer.src_lang = _tag(tokenizer, model, source).strip("_")
        tags = {code: _tag(tokenizer, model, code) for code in targets}
        return {code: ("", tokenizer.convert_tokens_to_ids(tag)) for code, tag in tags.items()}
    told = getattr(tokenizer, "target_lang", None)
    prompts = {}
    for code in targets:  # Marian groups, MADLAD-400, a single pair
        token = _known(tokenizer, f">>{code}<<", f"<2{_short(code)}>")
        single = len(targets) == 1 and told in (None, _short(code), code)
        if token is None and not single:
            said = f"translates into {told or 'one language'} and has no tag for {code}"
            raise CheckpointError(f"{model} {said}")
        prompts[code] = (f"{token} " if token else "", None)
    return prompts


def _tag(tokenizer, model, code: str) -> str:
    """How NLLB-200, M2M-100 or mBART-50 calls a language."""
    entry = language(code)
    short = _short(code)
    regional = (f"{short}_XX", f"{short}_{short.upper()}", f"{short}_CN")
    tag = _known(tokenizer, entry.nllb, f"__{short}__", *regional)
    if not tag:
        raise CheckpointError(f"{model} has no language tag for {entry.name} ({code})")
    return tag


def _known(tokenizer, *tokens: str) -> str | None:
    """The first of these tokens that a tokenizer has."""
    unknown = (None, tokenizer.unk_token_id)
    for token in tokens:
        if tokenizer.convert_tokens_to_ids(token) not in unknown:
            return token
    return None


def _short(code: str) -> str:
    return language(code).locale.split("_")[0]
