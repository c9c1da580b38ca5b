"""SONAR's text encoder: one sentence space for 200 languages.

Source: Duquenne, Schwenk, Sagot, "SONAR: Sentence-Level Multimodal and Language-Agnostic
Representations", 2023 (arXiv 2308.11466). The encoder is transformers' M2M100 encoder (24 pre-norm
layers), the tokenizer NLLB-200's.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import BatchEncoding, M2M100Config, NllbTokenizer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

from atri_lib.encoders.text import checked, embed, mean_of_tokens, padded
from atri_lib.encoders.weights import fingerprint
from atri_lib.hub import CheckpointError, load_exactly, model_path, read_state_dict
from atri_lib.languages import language as find_language

PUBLISHED = "cointegrated/SONAR_200_text_encoder"
# What differs from transformers' M2M100Config, which is 1024 wide with 16 heads.
ARCHITECTURE = {
    "vocab_size": 256206,
    "encoder_layers": 24,
    "encoder_ffn_dim": 8192,
    "activation_dropout": 0.1,
    "encoder_layerdrop": 0.0,
}
# The authors' files (fairseq2) and the port to transformers name the same layers differently.
RENAMED = {
    "encoder_frontend.embed.": "embed_tokens.",
    "encoder.layers.": "layers.",
    ".output_proj.": ".out_proj.",
    ".ffn.inner_proj.": ".fc1.",
    ".ffn.out_proj.": ".fc2.",
    ".ffn_layer_norm.": ".final_layer_norm.",
}
# Rows of <s> <pad> </s> <unk> (0 to 3 in NLLB's tokenizer) in a fairseq2 embedding.
CONTROL_ROWS = [2, 0, 3, 1]


class SonarText(nn.Module):
    """Text encoder: sentences in any of the eight languages to one vector each, the mean of the
    token states.
    """

    name = "sonar"
    fingerprint = property(fingerprint)
    embed = embed

    def __init__(self, config: M2M100Config, tokenizer: NllbTokenizer | None = None) -> None:
        super().__init__()
        self.encoder = M2M100Encoder(config)
        self.tokenizer = tokenizer
        self.dim = config.d_model

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer layers, first to last."""
        return self.encoder.layers

    @classmethod
    def from_config(cls, tokenizer: NllbTokenizer | None = None, **changes) -> "SonarText":
        """The published architecture (766 million parameters) with random weights; nothing is
        downloaded.

        changes: fields of transformers' M2M100Config, for smaller models. Without a tokenizer it
        takes token ids only.
        """
        return cls(M2M100Config(**ARCHITECTURE | changes), tokenizer)

    @classmethod
    def pretrained(cls, model: str | os.PathLike = PUBLISHED) -> "SonarText":
        """The published encoder and tokenizer, in evaluation mode, from a folder or a hub id (its
        cache first).

        Raises OSError naming the folder, or the hub's cache and variables, when they cannot be had;
        CheckpointError when the weights or the tokenizer are of another model.
        """
        folder = model_path(model)
        try:
            config = M2M100Config.from_json_file(folder / "config.json")
        except (OSError, TypeError, ValueError) as error:
            said = f"no config.json of transformers that can be read: {error}"
            raise CheckpointError(f"{folder}: {said}") from error
        return cls(config, nllb_tokenizer(folder)).load_published(folder).eval()

    def load_published(self, source: Mapping[str, Tensor] | str | os.PathLike) -> "SonarText":
        """Load published weights, in place: a state dict, a .pt or .safetensors file, a folder, or
        a hub id.

        Both the port to transformers and the authors' files are accepted (`published_keys`). Raises
        CheckpointError listing keys that are missing, unexpected or of another shape.
        """
        name = f"SonarText of {len(self.blocks)} layers, {self.dim} wide"
        load_exactly(self.encoder, published_keys(read_state_dict(source)), name)
        return self

    def tokenize(self, sentences: Sequence[str], language: str = "eng") -> dict[str, Tensor]:
        """Sentences of one language -> ids int64 and mask bool, [N, longest], padded on the right.

        A row is [language tag] + pieces + [</s>]. Raises UnknownLanguage for a code that is none of
        the eight, ValueError for a sentence that is empty or has more than 512 tokens (SONAR was
        trained on no longer ones), CheckpointError when there is no tokenizer or it lacks the
        language.
        """
        rows = self._tokens(sentences, language)["input_ids"]
        return padded(rows, self.tokenizer.pad_token_id)

    def unknown_pieces(self, sentences: Sequence[str], language: str = "eng") -> list[list[str]]:
        """The characters of each sentence that the vocabulary does not know: they all become one
        and the same token.
        """
        encodings = self._tokens(sentences, language).encodings
        found = []
        for sentence, encoding in zip(sentences, encodings, strict=True):
            unknown = []
            for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
                if number == self.tokenizer.unk_token_id:
                    unknown.append(sentence[start:end])
            found.append(unknown)
        return found

    def _tokens(self, sentences: Sequence[str], language: str) -> BatchEncoding:
        if self.tokenizer is None:
            raise CheckpointError(
                "this SonarText has no tokenizer: use pretrained, or from_config(tokenizer)"
            )
        self.tokenizer.src_lang = _tag(self.tokenizer, language)
        return self.tokenizer(checked(sentences), verbose=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64, mask bool [N, L] -> sentence vectors [N, dim], not normalised."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # [N, L, dim]
        return mean_of_tokens(states, mask)


def nllb_tokenizer(folder: str | os.PathLike) -> NllbTokenizer:
    """The NLLB tokenizer of a model folder (tokenizer.json or sentencepiece.bpe.model,
    tokenizer_config.json).

    Raises CheckpointError when the language tags are not where the embedding expects them: after
    the pieces, before <mask>. That happens to a sentencepiece.bpe.model whose tokenizer_config.json
    lists no added tokens.
    """
    files = ("tokenizer.json", "sentencepiece.bpe.model")
    if not any(pathlib.Path(folder, file).is_file() for file in files):
        raise CheckpointError(f"{folder}: no tokenizer here; expected {' or '.join(files)}")
    tokenizer = NllbTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.legacy_behaviour = False  # SONAR's order: tag first
    mask, tag = tokenizer.convert_tokens_to_ids(["<mask>", _tag(tokenizer, "eng")])
    if mask < tag:
        raise CheckpointError(
            f"{folder}: <mask> stands before the language tags; get the model's own tokenizer.json"
        )
    return tokenizer


def _tag(tokenizer: NllbTokenizer, language: str) -> str:
    tag = find_language(language).nllb
    if tokenizer.convert_tokens_to_ids(tag) in (None, tokenizer.unk_token_id):
        raise CheckpointError(
            f"the tokenizer has no language tag {tag}: get the model's own tokenizer.json"
        )
    return tag


def published_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under the names of transformers' M2M100 encoder.

    The port (embed_tokens.*, layers.N.*, layer_norm.*) passes as it is. The authors' file is
    renamed (`RENAMED`) and its first four embedding rows, <pad> <unk> <s> </s>, are put in the
    order of NLLB's tokenizer.
    """
    if "encoder_frontend.embed.weight" not in state:
        constant = "embed_positions.weights"
        return {key: value for key, value in state.items() if key != constant}
    renamed = {}
    for key, value in state.items():
        for theirs, ours in RENAMED.items():
            key = key.replace(theirs, ours)
        renamed[key] = value
    rows = renamed["embed_tokens.weight"]
    renamed["embed_tokens.weight"] = torch.cat([rows[CONTROL_ROWS], rows[4:]])
    return renamed
