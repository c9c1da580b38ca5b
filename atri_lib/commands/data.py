"""`scenes` and `translate`: data to train with."""

from argparse import Namespace

from atri_lib.commands.base import say, texts_of


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


def translate(options: Namespace) -> None:
    """Translate captions by NLLB-200; interrupted work is taken up again.

    Example: python -m atri_lib translate captions.txt --to fra deu --out captions.csv
    """
    from atri_lib.data.translation import translate_to_csv

    sentences = texts_of(options.captions)
    say(options, translate_to_csv(sentences, options.to, options.out, model=options.model))
