"""The tiny checkpoints of the studies, under the name by which tests import them."""

from studies.random_checkpoints import (  # noqa: F401
    SENTENCES,
    sentencepiece_model,
    write_sentencepiece_tokenizer,
    write_tokenizer,
    write_translator,
)
