"""`python -m atri_lib`: compose scenes, compute features, train, evaluate, search, translate, and see what can run."""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import types
import typing

from atri_lib.languages import CODES

try:
    from atri_lib.encoders.presets import encoder_builders
    from atri_lib.training.config import PROFILES, TrainConfig
except ImportError as error:  # the doctor works without them, and says what is missing
    PROFILES, TrainConfig, MISSING = {}, None, error
else:
    MISSING = None

EXAMPLES = {
    "scenes": "python -m atri_lib scenes --out my_scenes --train 200 --val 40 --test 60",
    "features": "python -m atri_lib features --profile book",
    "train": "python -m atri_lib train --scheme kcl --epochs 30 --seed 0",
    "evaluate": "python -m atri_lib evaluate RUN_FOLDER --json",
    "search": "python -m atri_lib search --run RUN_FOLDER --folder sounds 'un chien aboie' --language fra",
    "translate": "python -m atri_lib translate captions.txt --to fra deu --out captions.csv",
    "doctor": "python -m atri_lib doctor",
}


def parser() -> argparse.ArgumentParser:
    """All commands and their typed options."""
    codes = "Exit codes: 0 done; 1 it cannot be done, a message says why; 2 wrong usage; 130 interrupted."
    top = argparse.ArgumentParser(prog="python -m atri_lib", description=__doc__, epilog=codes)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, epilog=f"Example: {EXAMPLES[name]}")
        sub.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
        sub.set_defaults(run=run)
        return sub

    command("doctor", _doctor, "What this machine can run, what is missing, and the command that fixes it.")
    if MISSING:
        return top
    scenes = command("scenes", _scenes, "Compose scenes of recorded sounds and write them as audio files + manifest.")
    scenes.add_argument("--out", type=pathlib.Path, required=True, help="folder to write (audio and manifest.jsonl)")
    for split, count in (("train", 2000), ("val", 250), ("test", 500)):
        scenes.add_argument(f"--{split}", type=_count, default=count, help=f"number of {split} scenes (%(default)s)")
    scenes.add_argument("--seed", type=int, default=0, help="everything follows from it (%(default)s)")

    features = command("features", _features, "Compute and cache what the frozen encoders say of a dataset.")
    train = command("train", _train, "Train one scheme; a finished run with the same key is loaded instead.")
    for sub in (features, train):
        sub.add_argument("--profile", choices=tuple(PROFILES), default="book", help="start from these settings")
        _config_options(sub)
    train.add_argument("--folder", type=pathlib.Path, help="where runs are kept (default: the cache)")
    train.add_argument("--resume", type=pathlib.Path, metavar="RUN", help="finish an interrupted run folder instead")

    evaluate = command("evaluate", _evaluate, "Recall and consistency of a run, on its test split or on other data.")
    evaluate.add_argument("run_folder", type=pathlib.Path, help="folder of a finished run")
    evaluate.add_argument("--data", help="manifest whose test split is scored instead")

    search = command("search", _search, "Find the sounds of a folder for a text, or the captions for a sound.")
    search.add_argument("query", nargs="?", help="text in any of the eight languages")
    search.add_argument("--language", default="eng", choices=CODES, help="language of the text (%(default)s)")
    search.add_argument("--audio", type=pathlib.Path, help="search with this sound instead of a text")
    search.add_argument("--run", dest="run_folder", type=pathlib.Path, required=True, help="folder of a finished run")
    search.add_argument("--folder", type=pathlib.Path, help="audio files to search in")
    search.add_argument("--captions", type=pathlib.Path, help="text file, one caption a line, to search with --audio")
    search.add_argument("--index", type=pathlib.Path, help="index file: written with --folder, else read")
    search.add_argument("-k", type=int, default=5, help="how many results (%(default)s)")

    translate = command("translate", _translate, "Translate captions by NLLB-200; interrupted work is taken up again.")
    translate.add_argument("captions", type=pathlib.Path, help="text file, one English caption a line")
    translate.add_argument("--to", nargs="+", default=list(CODES[1:]), choices=CODES[1:], metavar="CODE",
                           help="target languages (default: the seven others)")  # fmt: skip
    translate.add_argument("--model", help="seq2seq checkpoint of transformers: a path, or an id on a hub")
    translate.add_argument("--out", type=pathlib.Path, required=True, help="CSV to write, one column a language")

    return top


def _count(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _config_options(sub: argparse.ArgumentParser) -> None:
    """One typed option for every scalar field of TrainConfig."""
    group = sub.add_argument_group("settings (default: those of the profile; see TrainConfig)")
    for entry in dataclasses.fields(TrainConfig):
        kind = entry.type
        if isinstance(kind, types.UnionType):
            kind = next(part for part in typing.get_args(kind) if part is not type(None))
        flag = "--" + entry.name.replace("_", "-")
        if kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        elif kind in (int, float, str):
            group.add_argument(flag, type=kind, metavar=kind.__name__.upper())
    group.add_argument("--scenes", type=int, nargs=3, metavar=("TRAIN", "VAL", "TEST"))
    group.add_argument("--unfreeze", nargs="+", metavar="SIDE=BLOCKS", help="for example audio=2 text=all")


def _config(options: argparse.Namespace) -> TrainConfig:
    names = {entry.name for entry in dataclasses.fields(TrainConfig)}
    given = {name: value for name, value in vars(options).items() if name in names and value is not None}
    if "scenes" in given:
        given["scenes"] = tuple(given["scenes"])
    if "unfreeze" in given:
        pairs = (part.partition("=") for part in given["unfreeze"])
        given["unfreeze"] = {side: int(blocks) if blocks.isdigit() else blocks for side, _, blocks in pairs}
        for side, blocks in given["unfreeze"].items():
            if blocks != "all" and not isinstance(blocks, int):
                raise ValueError(f"--unfreeze {side}={blocks}: give a number of blocks or all, as in {side}=2")
    config = TrainConfig.for_profile(options.profile, **given)
    encoder_builders(config.preset, config.audio_encoder, config.text_encoder)  # a wrong name: now, not after the data
    return config


def _scenes(options: argparse.Namespace) -> dict:
    from atri_lib.data.banks import default_bank
    from atri_lib.data.manifest import write_manifest
    from atri_lib.data.scenes import make_scenes

    sizes = {split: getattr(options, split) for split in ("train", "val", "test")}
    splits = make_scenes(default_bank(), sizes=sizes, seed=options.seed)
    write_manifest(splits, options.out)
    return {"folder": str(options.out), **{split: len(dataset) for split, dataset in splits.items()}}


def _features(options: argparse.Namespace) -> dict:
    from atri_lib.training import load_data

    config = _config(options)
    if config.unfreeze:
        raise ValueError("features are computed of frozen encoders: leave out --unfreeze, and --profile paper")
    data = load_data(config)
    shapes = {split: [list(source.audio.shape), list(source.text.shape)] for split, source in data.splits.items()}
    return {"data": data.checksum, "audio and text features": shapes}


def _train(options: argparse.Namespace) -> dict:
    from atri_lib.training import Run, load_data, load_or_train

    if options.resume:
        run = Run.resume(options.resume)
    else:
        config = _config(options)
        run = load_or_train(config, load_data(config), folder=options.folder)
    return {"run": str(run.path), "what": str(run)} | run.metrics


def _evaluate(options: argparse.Namespace) -> dict:
    from atri_lib.training import Run, load_data, score

    run = Run.load(options.run_folder)
    scores = run.scores
    if options.data:
        data = load_data(run.config.replace(data=options.data), splits=("test",))
        scores = score(run.model(data), data.splits["test"])
    if not options.json:
        print(scores.table.round(2).to_string(), end="\n\n")
    return {"test": scores.summary, "languages": scores.table.to_dict("index")} if options.json else scores.summary


def _search(options: argparse.Namespace) -> dict:
    from atri_lib.data.manifest import read_audio
    from atri_lib.search import Index, Searcher, SearchError, index_folder, index_sentences
    from atri_lib.training import Run

    if (options.query is None) == (options.audio is None):
        raise SearchError("give either a text or --audio FILE")
    if options.captions and options.query is not None:
        raise SearchError("--captions are searched with a sound: give --audio FILE instead of a text")
    if options.k < 1:
        raise SearchError(f"-k {options.k}: at least 1 result")
    searcher = Searcher(Run.load(options.run_folder))
    if options.captions:
        index = index_sentences(searcher, _lines(options.captions), options.language)
    elif options.folder:
        index = index_folder(searcher, options.folder)
        if options.index:
            index.save(options.index)
    elif options.index:
        index = Index.load(options.index)
    else:
        raise SearchError("say where to search: --folder with sounds, --index FILE, or --captions FILE with --audio")
    if index.run != searcher.name:
        raise SearchError(f"{options.index} was built with run {index.run}, not {searcher.name}: build it again")
    if options.audio:
        query = searcher.embed_audio(read_audio(options.audio))
    else:
        query = searcher.embed_texts([options.query], options.language)[0]
    return {"results": [{"name": name, "similarity": round(s, 4)} for name, s in index.nearest(query, options.k)]}


def _lines(path: pathlib.Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error


def _translate(options: argparse.Namespace) -> dict:
    from atri_lib.data import translation

    sentences = [line.strip() for line in _lines(options.captions) if line.strip()]
    if not sentences:
        raise ValueError(f"{options.captions}: no captions; write one English caption a line")
    return translation.translate_to_csv(sentences, options.to, options.out, model=options.model)


def _doctor(options: argparse.Namespace) -> dict:
    from atri_lib.doctor import examine

    findings = examine()
    if options.json:
        return {"findings": [dataclasses.asdict(finding) for finding in findings]}
    for finding in findings:
        print(f"{'ok     ' if finding.ok else 'missing'} {finding.what}: {finding.detail}")
        if not finding.ok:
            print(f"        fix: {finding.fix}")
    return {}


def _show(result: dict, indent: str = "") -> None:
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _show(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for entry in value:
                print(indent + "  ".join(str(part) for part in entry.values()))
        else:
            print(f"{indent}{name}: {value:.4g}" if isinstance(value, float) else f"{indent}{name}: {value}")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 with a message on standard error when it cannot be done, 2 for wrong usage."""
    if MISSING and (arguments or sys.argv[1:])[:1] != ["doctor"]:
        print(f"atri_lib: {MISSING}; `python -m atri_lib doctor` says what is missing", file=sys.stderr)
        return 1
    options = parser().parse_args(arguments)
    try:
        result = options.run(options)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"atri_lib {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\natri_lib {options.command}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
        print(json.dumps(result, ensure_ascii=False)) if options.json else _show(result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
