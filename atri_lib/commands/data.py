"""`scenes` and `translate`: data to train with."""

from argparse import ArgumentParser, Namespace

from atri_lib.commands.base import option, say, texts_of
from atri_lib.languages import CODES


def scenes_options(parser: ArgumentParser) -> None:
    option(parser, "--out FOLDER", "folder to write (audio and manifest.jsonl)", required=True)
    option(parser, "--train N", "number of train scenes (%(default)s)", default=2000)
    option(parser, "--val N", "number of val scenes (%(default)s)", default=250)
    option(parser, "--test N", "number of test scenes (%(default)s)", default=500)
    option(parser, "--seed SEED", "all follows from it (%(default)s)", default=0)


def scenes(options: Namespace) -> None:
    """Compose scenes of recorded sounds and write them as audio files + manifest.

    Example: python -m atri_lib scenes --out my_scenes --train 200 --val 40 --test 60
    """
    from atri_lib.data.banks import default_bank
    from atri_lib.data.manifest import free_folder, write_manifest
    from atri_lib.data.scenes import make_scenes

    free_folder(options.out)  # refused before the recordings are fetched
    bank = default_bank()
    sizes = {"train": options.train, "val": options.val, "test": options.test}
    write_manifest(make_scenes(bank, sizes=sizes, seed=options.seed), options.out)
    say(options, {"folder": str(options.out), "sounds": bank.name} | sizes)


def translate_options(parser: ArgumentParser) -> None:
    targets = CODES[1:]
    option(parser, "captions FILE", "text file, one English caption on each line")
    about = "target languages (default: the seven others)"
    option(parser, "--to CODE", about, nargs="+", default=targets, choices=targets)
    about = "seq2seq checkpoint of transformers: a path, or owner/name@COMMIT on a hub"
    option(parser, "--model MODEL", about)
    option(parser, "--out FILE", "CSV to write, one column per language", required=True)


def translate(options: Namespace) -> None:
    """Translate captions by NLLB-200; interrupted work is taken up again.

    Example: python -m atri_lib translate captions.txt --to fra deu --out captions.csv
    """
    from atri_lib.data.translation import translate_to_csv

    sentences = texts_of(options.captions)
    say(options, translate_to_csv(sentences, options.to, options.out, model=options.model))
