"""`python -m atri_lib`: compose scenes, compute features, train, evaluate, search, translate, and see what can run."""

import argparse
import functools
import json
import os
import pathlib
import shutil
import sys

from atri_lib.languages import CODES
from atri_lib.terminal import plain

NOTES = (
    "Exit codes: 0 done; 1 it cannot be done, a message says why; 2 wrong usage; 130 interrupted; 141 the reader of "
    "the output has gone. Environment: ATRI_CACHE=FOLDER keeps runs and features there; ATRI_OFFLINE=1 forbids the "
    "network; ATRI_HUB=1 lets models be downloaded, at a named commit; ATRI_PROGRESS=0 hides progress bars."
)
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
MEMORY = "not enough memory; give smaller audio or captions, a smaller --batch-size, or --text-chunk"


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """All commands by name and summary; the options of `command`, whose settings alone are looked up."""
    top = argparse.ArgumentParser(prog="python -m atri_lib", description=__doc__, epilog=NOTES)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    columns = max(shutil.get_terminal_size().columns, 150) - 2  # one line an option, where there is room
    wide = functools.partial(argparse.HelpFormatter, max_help_position=32, width=columns)
    for name, (summary, example, options, _) in COMMANDS.items():
        epilog = f"Example: python -m atri_lib {name} {example}"
        sub = commands.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=wide)
        sub.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
        for flag, about in options.items():
            sub.add_argument(flag, **about)
        if name == command and name in ("features", "train"):
            _config_options(sub)
    return top


def _whole(text: str, least: int = 1) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {2**32 - 1}")
    return int(text)


def _config_options(sub: argparse.ArgumentParser) -> None:
    """One option for every field of TrainConfig: its meaning, limits and default are the field's."""
    from atri_lib.training.config import PROFILES, settings

    sub.add_argument("--profile", choices=tuple(PROFILES), default="book", help="start from these settings (book)")
    for profile in ("smoke", "paper"):
        changes = " ".join(_as_typed(*change) for change in PROFILES[profile].items())
        sub.add_argument_group(f"profile {profile}", changes)
    group = sub.add_argument_group("settings (their defaults are the profile book's)")
    kinds = {
        "integer": {"type": int, "metavar": "INT"}, "number": {"type": float, "metavar": "FLOAT"},
        "string": {"metavar": "TEXT"}, "boolean": {"action": argparse.BooleanOptionalAction},
        "scenes": {"nargs": 3, "metavar": ("TRAIN", "VAL", "TEST")}, "languages": {"nargs": "+", "metavar": "CODE"},
        "unfreeze": {"nargs": "+", "metavar": "SIDE=BLOCKS"},
    }  # fmt: skip
    for name, about in settings().items():
        notes = [" | ".join(about["enum"])] if "enum" in about else []
        notes += [f"{word} {about[bound]}" for bound, word in BOUNDS.items() if bound in about]
        notes += [f"default {_as_typed('', about.get('default')) or 'none'}"]
        told = f"{about['description']} ({'; '.join(notes)})"
        group.add_argument("--" + name.replace("_", "-"), help=told, **kinds[name if name in kinds else about["type"]])


def _as_typed(name: str, value: object) -> str:
    """A setting as it is typed: "--scenes 240 40 60"; the value alone without a name; nothing for none."""
    if isinstance(value, dict):
        value = [f"{side}={blocks}" for side, blocks in value.items()]
    words = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    return " ".join(map(str, [f"--{name.replace('_', '-')}", *words] if name else words))


def _config(options: argparse.Namespace):
    from atri_lib.encoders.presets import encoder_builders
    from atri_lib.training.config import TrainConfig, settings

    given = {name: value for name, value in vars(options).items() if name in settings() and value is not None}
    if "unfreeze" in given:
        given["unfreeze"] = dict(pair.partition("=")[::2] for pair in given["unfreeze"])
    config = TrainConfig.for_profile(options.profile, **given)
    encoder_builders(config.preset, config.audio_encoder, config.text_encoder)  # a wrong name: now, not after the data
    return config


def _scenes(options: argparse.Namespace) -> dict:
    from atri_lib.data.banks import default_bank
    from atri_lib.data.manifest import free_folder, write_manifest
    from atri_lib.data.scenes import make_scenes

    free_folder(options.out)  # refused before the recordings are fetched
    sizes = {split: getattr(options, split) for split in ("train", "val", "test")}
    bank = default_bank()
    splits = make_scenes(bank, sizes=sizes, seed=options.seed)
    write_manifest(splits, options.out)
    return {"folder": str(options.out), "sounds": bank.name} | {name: len(split) for name, split in splits.items()}


def _features(options: argparse.Namespace) -> dict:
    from atri_lib.training import data_origin, load_data

    config = _config(options)
    if config.unfreeze:
        raise ValueError("features are computed of frozen encoders: leave out --unfreeze, and --profile paper")
    data = load_data(config)
    shapes = {split: [list(source.audio.shape), list(source.text.shape)] for split, source in data.splits.items()}
    return {"data": data.checksum, "origin": data_origin(data), "audio and text features": shapes}


def _train(options: argparse.Namespace) -> dict:
    from atri_lib.training import Run, load_data, load_or_train

    if options.resume:
        run = Run.resume(options.resume)
    else:
        config = _config(options)
        run = load_or_train(config, load_data(config), folder=options.folder)
    return {"run": str(run.path), "what": str(run)} | run.metrics


def _evaluate(options: argparse.Namespace) -> dict:
    from atri_lib.training import Run, data_origin, load_data, score

    run = Run.load(options.run_folder)
    scores, about = run.scores, {name: run.metrics[name] for name in ("origin", "note") if run.metrics[name]}
    if options.data:
        data = load_data(run.config.replace(data=options.data), splits=("test",))
        scores, about = score(run.model(data), data.splits["test"]), {"origin": data_origin(data) or options.data}
    if options.json:
        return {"test": scores.summary, "languages": scores.table.to_dict("index")} | about
    print(scores.table.round(2).to_string(), end="\n\n")
    return scores.summary | about


def _search(options: argparse.Namespace) -> dict:
    from atri_lib.audio import read_audio
    from atri_lib.search import Index, Searcher, SearchError, check_query, index_folder, index_sentences
    from atri_lib.training import Run

    if (options.query is None) == (options.audio is None):
        raise SearchError("give either a text or --audio FILE")
    if options.captions and options.query is not None:
        raise SearchError("--captions are searched with a sound: give --audio FILE instead of a text")
    if not (options.captions or options.folder or options.index):
        raise SearchError("say where to search: --folder with sounds, --index FILE, or --captions FILE with --audio")
    if options.query is not None:
        check_query(options.query)
    if options.index and (not options.folder or options.index.exists()):
        index = Index.load(options.index)  # before any work: the wrong file is not written over
    searcher = Searcher(Run.load(options.run_folder))
    if options.captions:
        index = index_sentences(searcher, _lines(options.captions), options.language)
    elif options.folder:
        index = index_folder(searcher, options.folder)
        if options.index:
            index.save(options.index)
    if index.weights != searcher.weights:
        fix = "build it again with --folder FOLDER --index FILE"
        raise SearchError(f"{options.index} was built with other weights than those of {options.run_folder}: {fix}")
    sound, text = options.audio, options.query
    query = searcher.embed_audio(read_audio(sound)) if sound else searcher.embed_texts([text], options.language)[0]
    return {"results": [{"name": name, "similarity": round(s, 4)} for name, s in index.nearest(query, options.k)]}


def _lines(path: pathlib.Path) -> list[str]:
    from atri_lib import storage

    try:
        return storage.regular(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error


def _translate(options: argparse.Namespace) -> dict:
    from atri_lib.data import translation

    sentences = [line.strip() for line in _lines(options.captions) if line.strip()]
    if not sentences:
        raise ValueError(f"{options.captions}: no captions; write one English caption a line")
    if options.out.exists() and options.out.samefile(options.captions):
        raise ValueError(f"--out {options.out} would replace the captions themselves; name another file")
    return translation.translate_to_csv(sentences, options.to, options.out, model=options.model)


def _doctor(options: argparse.Namespace) -> dict:
    from atri_lib.doctor import examine

    findings = [vars(finding) for finding in examine()]
    if options.json:
        return {"findings": findings}
    for finding in findings:
        print(f"{'ok     ' if finding['ok'] else 'missing'} {finding['what']}: {plain(finding['detail'])}")
        if not finding["ok"]:
            print(f"        fix: {plain(finding['fix'])}")
    return {}


def _show(result: dict, indent: str = "") -> None:
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _show(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for entry in value:
                print(indent + "  ".join(plain(part, newlines=False) for part in entry.values()))
        elif value != "":
            print(f"{indent}{name}: {value:.4g}" if isinstance(value, float) else f"{indent}{name}: {plain(value)}")


FILE = {"type": pathlib.Path}
RUN = FILE | {"help": "folder of a finished run"}
NUMBER = {"type": _whole}
# name -> summary, example, options (train and features have those of TrainConfig, too), what runs it
COMMANDS = {
    "scenes": ("Compose scenes of recorded sounds and write them as audio files + manifest.",
        "--out my_scenes --train 200 --val 40 --test 60", {
            "--out": FILE | {"required": True, "help": "folder to write (audio and manifest.jsonl)"},
            **{f"--{split}": NUMBER | {"default": size, "help": f"number of {split} scenes (%(default)s)"}
               for split, size in {"train": 2000, "val": 250, "test": 500}.items()},
            "--seed": {"type": lambda text: _whole(text, 0), "default": 0, "help": "all follows from it (%(default)s)"},
        }, _scenes),
    "features": ("Compute and cache what the frozen encoders say of a dataset.", "--profile book", {}, _features),
    "train": ("Train one scheme; a finished run with the same key is loaded instead.",
        "--scheme kcl --epochs 30 --seed 0", {
            "--folder": FILE | {"help": "where runs are kept (default: the cache)"},
            "--resume": FILE | {"metavar": "RUN", "help": "finish an interrupted run folder instead"},
        }, _train),
    "evaluate": ("Recall and consistency of a run, on its test split or on other data.", "RUN_FOLDER --json", {
            "run_folder": RUN,
            "--data": {"help": "manifest whose test split is scored instead"},
        }, _evaluate),
    "search": ("Find the sounds of a folder for a text, or the captions for a sound.",
        "--run RUN_FOLDER --folder sounds 'un chien aboie' --language fra", {
            "query": {"nargs": "?", "help": "text in any of the eight languages"},
            "--language": {"default": "eng", "choices": CODES, "help": "language of the text (%(default)s)"},
            "--audio": FILE | {"help": "search with this sound instead of a text"},
            "--run": RUN | {"dest": "run_folder", "required": True},
            "--folder": FILE | {"help": "audio files to search in"},
            "--captions": FILE | {"help": "text file, one caption a line, to search with --audio"},
            "--index": FILE | {"help": "index file: written with --folder, else read"},
            "-k": NUMBER | {"default": 5, "help": "how many results (%(default)s)"},
        }, _search),
    "translate": ("Translate captions by NLLB-200; interrupted work is taken up again.",
        "captions.txt --to fra deu --out captions.csv", {
            "captions": FILE | {"help": "text file, one English caption a line"},
            "--to": {"nargs": "+", "default": list(CODES[1:]), "choices": CODES[1:], "metavar": "CODE",
                     "help": "target languages (default: the seven others)"},
            "--model": {"help": "seq2seq checkpoint of transformers: a path, or owner/name@COMMIT on a hub"},
            "--out": FILE | {"required": True, "help": "CSV to write, one column a language"},
        }, _translate),
    "doctor": ("What this machine can run, what is missing, and the command that fixes it.", "", {}, _doctor),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 with a message on standard error when it cannot be done, 2 for wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name = next((word for word in arguments if word in COMMANDS), "")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a terminal without Japanese
    try:
        options = parser(name).parse_args(arguments)
        result = COMMANDS[options.command][-1](options)
        if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
            ascii_only = sys.stdout.encoding.lower().replace("-", "") != "utf8"
            print(json.dumps(result, ensure_ascii=ascii_only, allow_nan=False)) if options.json else _show(result)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # as in `evaluate RUN | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor does the flush at exit complain
        return 141
    except KeyboardInterrupt:
        print(f"\natri_lib {name}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    except Exception as error:
        if (message := explained(error)) is None:
            raise
        print(f"atri_lib {name}: {plain(message)}", file=sys.stderr)
        return 1


def explained(error: Exception) -> str | None:
    """The message for an error that has a cause outside this program; None for what is our own fault."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "out of memory" in str(error):
        return MEMORY
    if isinstance(error, ImportError):
        return f"{error}; `python -m atri_lib doctor` says what is missing"
    known = isinstance(error, (ValueError, OSError, RuntimeError)) or type(error).__name__ == "SafetensorError"
    return str(error) if known else None


if __name__ == "__main__":
    raise SystemExit(main())
