"""`scenes` and `translate`: data to train with."""

import argparse

from atri_lib.commands.base import DONE, Command, captions_of, filled, path, say, seed, whole
from atri_lib.languages import CODES

SCENE_COUNTS = {"train": 2000, "val": 250, "test": 500}


def _scenes_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="FOLDER",
        help="folder to write (audio and manifest.jsonl)",
    )
    for split, count in SCENE_COUNTS.items():
        about = f"number of {split} scenes (%(default)s)"
        parser.add_argument(f"--{split}", type=whole, default=count, metavar="N", help=about)
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="all follows from it (%(default)s)"
    )


def _scenes(options: argparse.Namespace) -> int:
    from atri_lib.data.banks import default_bank
    from atri_lib.data.manifest import free_folder, write_manifest
    from atri_lib.data.scenes import make_scenes

    free_folder(options.out)  # refused before the recordings are fetched
    bank = default_bank()
    sizes = {split: getattr(options, split) for split in SCENE_COUNTS}
    splits = make_scenes(bank, sizes=sizes, seed=options.seed)
    write_manifest(splits, options.out)
    result = {"folder": str(options.out), "sounds": bank.name}
    for name, split in splits.items():
        result[name] = len(split)
    say(options, result)
    return DONE


def _translate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("captions", type=path, help="text file, one English caption on each line")
    parser.add_argument(
        "--to",
        nargs="+",
        default=list(CODES[1:]),
        choices=CODES[1:],
        metavar="CODE",
        help="target languages (default: the seven others)",
    )
    parser.add_argument(
        "--model",
        type=filled,
        help="seq2seq checkpoint of transformers: a path, or owner/name@COMMIT on a hub",
    )
    parser.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="CSV",
        help="CSV to write, one column per language",
    )


def _translate(options: argparse.Namespace) -> int:
    from atri_lib.data import translation

    sentences = captions_of(options.captions)
    if not sentences:
        raise ValueError(f"{options.captions}: no captions; write one English caption on each line")
    if options.out.exists() and options.out.samefile(options.captions):
        message = f"--out {options.out} would replace the captions themselves; name another file"
        raise ValueError(message)
    made = translation.translate_to_csv(sentences, options.to, options.out, model=options.model)
    say(options, made)
    return DONE


SCENES = Command(
    name="scenes",
    summary="Compose scenes of recorded sounds and write them as audio files + manifest.",
    example="--out my_scenes --train 200 --val 40 --test 60",
    add_options=_scenes_options,
    run=_scenes,
)
TRANSLATE = Command(
    name="translate",
    summary="Translate captions by NLLB-200; interrupted work is taken up again.",
    example="captions.txt --to fra deu --out captions.csv",
    add_options=_translate_options,
    run=_translate,
)
