"""`scenes` and `translate`: data to train with."""

from argparse import Namespace

from atri_lib.commands.base import command, filled, option, path, say, seed, texts_of, whole
from atri_lib.languages import CODES

SCENE_COUNTS = {"train": 2000, "val": 250, "test": 500}


@command(
    "--out my_scenes --train 200 --val 40 --test 60",
    option("--out FOLDER", "folder to write (audio and manifest.jsonl)", type=path, required=True),
    *(
        option(f"--{split} N", f"number of {split} scenes (%(default)s)", type=whole, default=count)
        for split, count in SCENE_COUNTS.items()
    ),
    option("--seed N", "all follows from it (%(default)s)", type=seed, default=0),
)
def scenes(options: Namespace) -> None:
    """Compose scenes of recorded sounds and write them as audio files + manifest."""
    from atri_lib.data.banks import default_bank
    from atri_lib.data.manifest import free_folder, write_manifest
    from atri_lib.data.scenes import make_scenes

    free_folder(options.out)  # refused before the recordings are fetched
    bank = default_bank()
    sizes = {split: getattr(options, split) for split in SCENE_COUNTS}
    write_manifest(make_scenes(bank, sizes=sizes, seed=options.seed), options.out)
    say(options, {"folder": str(options.out), "sounds": bank.name} | sizes)


@command(
    "captions.txt --to fra deu --out captions.csv",
    option("captions", "text file, one English caption on each line", type=path),
    option(
        "--to CODE",
        "target languages (default: the seven others)",
        nargs="+",
        default=list(CODES[1:]),
        choices=CODES[1:],
    ),
    option(
        "--model MODEL",
        "seq2seq checkpoint of transformers: a path, or owner/name@COMMIT on a hub",
        type=filled,
    ),
    option("--out CSV", "CSV to write, one column per language", type=path, required=True),
)
def translate(options: Namespace) -> None:
    """Translate captions by NLLB-200; interrupted work is taken up again."""
    from atri_lib.data.translation import translate_to_csv

    sentences = texts_of(options.captions, "captions")
    if options.out.exists() and options.out.samefile(options.captions):
        message = f"--out {options.out} would replace the captions themselves; name another file"
        raise ValueError(message)
    say(options, translate_to_csv(sentences, options.to, options.out, model=options.model))
