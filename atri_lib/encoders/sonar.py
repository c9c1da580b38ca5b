"""SONAR's text encoder: one sentence space for 200 languages.

Source: Duquenne, Schwenk, Sagot, "SONAR: Sentence-Level Multimodal and Language-Agnostic
Representations", 2023 (arXiv 2308.11466). The encoder is transformers' M2M100 encoder (24 pre-norm
layers), the tokenizer NLLB-200's.
"""

import os
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from transformers import M2M100Config, NllbTokenizer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

from atri_lib.encoders.text import TextEncoder, mean_of_tokens
from atri_lib.hub import CheckpointError, load_exactly, model_path, read_state_dict
from atri_lib.languages import language as find_language
from atri_lib.storage import read_json

PUBLISHED = "cointegrated/SONAR_200_text_encoder"
# What differs from transformers' M2M100Config, which is 1024 wide with 16 heads.
ARCHITECTURE = {
    "vocab_size": 256206,
    "encoder_layers": 24,
    "encoder_ffn_dim": 8192,
    "activation_dropout": 0.1,
    "encoder_layerdrop": 0.0,
}


class SonarText(TextEncoder):
    """Text encoder: sentences in any of the eight languages to one vector each, the mean of the
    token states.
    """

    name = "sonar"
    unknown = 3  # in NLLB's vocabulary

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

        Raises OSError naming the file, or the hub's cache and variables, when they cannot be had;
        CheckpointError when the weights or the tokenizer are of another model.
        """
        folder = model_path(model)
        config = M2M100Config(**read_json(folder / "config.json"))
        return cls(config, nllb_tokenizer(folder)).load_published(folder).eval()

    def load_published(self, source: Mapping[str, Tensor] | str | os.PathLike) -> "SonarText":
        """Load published weights, in place: a state dict, a .bin or .safetensors file, a folder, or
        a hub id, with the names of the port to transformers (embed_tokens.*, layers.N.*,
        layer_norm.*).

        Raises CheckpointError listing keys that are missing, unexpected or of another shape.
        """
        state = read_state_dict(source)
        state.pop("embed_positions.weights", None)  # a constant
        name = f"SonarText of {len(self.blocks)} layers, {self.dim} wide"
        load_exactly(self.encoder, state, name)
        return self

    def pieces(self, sentences: Sequence[str], language: str) -> list[list[tuple[int, str]]]:
        """A row is [language tag] + pieces + [</s>]."""
        self.tokenizer.src_lang = find_language(language).nllb
        encodings = self.tokenizer(sentences, verbose=False).encodings
        rows = []
        for sentence, encoding in zip(sentences, encodings, strict=True):
            texts = [sentence[start:end] for start, end in encoding.offsets]
            rows.append(list(zip(encoding.ids, texts, strict=True)))
        return rows

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64, mask bool [N, L] -> sentence vectors [N, dim], not normalised."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # [N, L, dim]
        return mean_of_tokens(states, mask)


def nllb_tokenizer(folder: str | os.PathLike) -> NllbTokenizer:
    """The NLLB tokenizer of a model folder (tokenizer.json or sentencepiece.bpe.model,
    tokenizer_config.json).

    Raises CheckpointError when the language tags are not where the embedding expects them: after
    the pieces, before <mask>. They are not without those files, nor with a sentencepiece.bpe.model
    whose tokenizer_config.json lists no added tokens.
    """
    tokenizer = NllbTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.legacy_behaviour = False  # SONAR's order: tag first
    tag, mask = tokenizer.convert_tokens_to_ids([find_language("eng").nllb, "<mask>"])
    if not tokenizer.unk_token_id < tag < mask:
        said = "no tokenizer with language tags before <mask>"
        raise CheckpointError(f"{folder}: {said}; get the model's own tokenizer.json")
    return tokenizer
