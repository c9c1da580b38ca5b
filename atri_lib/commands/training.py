"""`features`, `train`, `evaluate` and `compare`: runs, and what they are worth."""

from argparse import Namespace

from atri_lib.commands.base import UsageError, say
from atri_lib.commands.settings import config_of, flag


def features(options: Namespace) -> None:
    """Compute and cache what the frozen encoders say of a dataset.

    Example: python -m atri_lib features --data my_sounds
    """
    from atri_lib.training import data_origin, load_data

    data = load_data(config_of(options))
    clips = {split: len(source) for split, source in data.splits.items()}
    say(options, {"data": data.checksum, "origin": data_origin(data), "clips": clips})


def train(options: Namespace) -> None:
    """Train one scheme; a finished run with the same key is loaded instead.

    Example: python -m atri_lib train --scheme kcl --epochs 30 --seed 0
    """
    from atri_lib.training import Run, load_data, load_or_train

    if options.resume:
        given = {name for name, value in vars(options).items() if value is not None}
        ignored = ", ".join(map(flag, sorted(given - {"json", "resume"})))
        if ignored:
            message = "--resume finishes a run as it was begun"
            raise UsageError(f"{message}: leave out {ignored}, or --resume")
        run = Run.resume(options.resume)
    else:
        config = config_of(options)
        run = load_or_train(config, load_data(config), folder=options.folder)
    say(options, {"run": str(run.path), "what": str(run)} | run.metrics)


def evaluate(options: Namespace) -> None:
    """Recall and consistency of a run, on its test split or on other data.

    Example: python -m atri_lib evaluate RUN --json
    """
    from atri_lib.training import Run, data_origin, fair_table, load_data, score
    from atri_lib.training.sources import clip_encoder_of

    run = Run.load(options.run)
    scores = run.scores
    about = {"origin": run.metrics["origin"], "note": run.metrics["note"]}
    shared = {}  # what captions and sounds that several clips share do to recall
    if options.data:
        encoder = clip_encoder_of(run.config)
        config = run.config.replace(data=options.data, clip_encoder=encoder)
        data = load_data(config, splits=("test",))
        test = data.splits["test"]
        model = run.model(data)
        scores = score(model, test)
        about = {"origin": data_origin(data) or options.data}
        table = fair_table(model, test)
        if len(table):
            shared = {"shared captions and sounds": table}
    say(options, {"languages": scores.table, "test": scores.summary} | about | shared)


def compare(options: Namespace) -> None:
    """Is one run better than another? Differences on the same test clips, with intervals.

    Example: python -m atri_lib compare RUN RUN --with RUN RUN
    """
    from atri_lib.compare import compare_runs
    from atri_lib.training import Run

    first = options.runs
    second = options.others
    if second is None:
        first, second = first[:1], first[1:]
    table = compare_runs(*[list(map(Run.load, side)) for side in (first, second)])
    sides = {"first": [*map(str, first)], "second": [*map(str, second)]}
    say(options, sides | {"measures": table})
