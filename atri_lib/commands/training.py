"""`features`, `train`, `evaluate` and `compare`: runs, and what they are worth."""

import argparse

from atri_lib.commands.base import (
    DONE,
    Command,
    UsageError,
    as_text,
    filled,
    path,
    say,
    table,
)
from atri_lib.commands.settings import (
    add_schemes,
    add_settings,
    config_of,
    flag,
    given_settings,
)
from atri_lib.terminal import one_line


def _features_options(parser: argparse.ArgumentParser) -> None:
    from atri_lib.training.config import DATA_SETTINGS

    add_settings(parser, DATA_SETTINGS)


def _features(options: argparse.Namespace) -> int:
    from atri_lib.training import data_origin, load_data

    data = load_data(config_of(options))
    shapes = {}
    for split, source in data.splits.items():
        shapes[split] = [list(source.clip_features.shape), list(source.text.shape)]
    result = {"data": data.checksum, "origin": data_origin(data)}
    say(options, result | {"clip and text features": shapes})
    return DONE


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=path, metavar="FOLDER", help="where runs are kept (default: the cache)"
    )
    parser.add_argument(
        "--resume", type=path, metavar="RUN", help="finish an interrupted run folder instead"
    )
    add_schemes(parser)
    add_settings(parser)


def _train(options: argparse.Namespace) -> int:
    from atri_lib.training import Run, load_data, load_or_train

    if options.resume:
        given = list(given_settings(options))
        for name in ("profile", "folder"):
            if getattr(options, name) is not None:
                given.append(name)
        if given:
            flags = ", ".join(map(flag, given))
            message = f"--resume finishes a run as it was begun, so it takes no {flags}"
            raise UsageError(f"{message}; leave that out, or train another run without --resume")
        run = Run.resume(options.resume)
    else:
        config = config_of(options)
        run = load_or_train(config, load_data(config), folder=options.folder)
    say(options, {"run": str(run.path), "what": str(run)} | run.metrics)
    return DONE


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--data",
        type=filled,
        metavar="MANIFEST",
        help="manifest whose test split is scored instead of the run's",
    )


def _evaluate(options: argparse.Namespace) -> int:
    from atri_lib.training import Run, data_origin, fair_table, load_data, score
    from atri_lib.training.sources import clip_encoder_of

    run = Run.load(options.run_folder)
    shared = None  # what captions and sounds that several clips share do to recall
    if options.data:
        encoder = clip_encoder_of(run.config)
        config = run.config.replace(data=options.data, clip_encoder=encoder)
        data = load_data(config, splits=("test",))
        test = data.splits["test"]
        model = run.model(data)
        scores = score(model, test)
        shared = fair_table(model, test)
        about = {"origin": data_origin(data) or options.data}
    else:
        scores = run.scores
        about = {name: run.metrics[name] for name in ("origin", "note") if run.metrics.get(name)}
    result = {"test": scores.summary, "languages": scores.table.to_dict("index")} | about
    parts = [_as_table(scores.table), as_text(scores.summary | about)]
    if shared is not None and len(shared):
        result["shared captions and sounds"] = shared.to_dict("index")
        parts.append(f"Several clips share a caption or a sound:\n{_as_table(shared)}")
    say(options, result, "\n\n".join(parts))
    return DONE


def _as_table(values) -> str:
    """A data frame with one row per language, as text."""
    rows = [[values.index.name or "language", *values.columns]]
    for language, numbers in zip(values.index, values.to_numpy(), strict=True):
        rows.append([language, *map(_rounded, numbers)])
    return table(rows)


def _rounded(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        type=path,
        metavar="RUN",
        help="two finished runs; or, before --with, the seeds of the first setting",
    )
    parser.add_argument(
        "--with",
        nargs="+",
        type=path,
        dest="others",
        metavar="RUN",
        help="the same seeds of the other setting",
    )


def _compare(options: argparse.Namespace) -> int:
    if options.others is None and len(options.runs) != 2:
        raise UsageError(
            f"two runs are compared, not {len(options.runs)}; "
            "for several seeds: compare RUN RUN ... --with RUN RUN ..."
        )
    from atri_lib.compare import compare_runs
    from atri_lib.training import Run

    first, second = options.runs, options.others
    if second is None:
        first, second = first[:1], first[1:]
    compared = compare_runs([Run.load(run) for run in first], [Run.load(run) for run in second])
    result = {}
    lines = []
    for name, runs in (("first", first), ("second", second)):
        result[name] = [str(run) for run in runs]
        lines.append(f"{name}: {one_line(' '.join(result[name]))}")
    result["measures"] = {one.measure: one.as_dict() for one in compared}
    say(options, result, "\n".join([*lines, "", _comparisons(compared)]))
    return DONE


def _comparisons(compared) -> str:
    """What compare_runs found, as text: one row a measure."""
    rows = [["", "first", "second", "difference", "95 % interval", "p", "better"]]
    for one in compared:
        p = "< 0.001" if one.p_value < 0.001 else f"{one.p_value:.3f}"
        rows.append(
            [
                one.measure,
                f"{one.first:.2f}",
                f"{one.second:.2f}",
                f"{one.difference:.2f}",
                f"{one.low:.2f} to {one.high:.2f}",
                p,
                one.better or "cannot tell",
            ]
        )
    return table(rows)


FEATURES = Command(
    name="features",
    summary="Compute and cache what the frozen encoders say of a dataset.",
    example="--data my_sounds",
    add_options=_features_options,
    run=_features,
)
TRAIN = Command(
    name="train",
    summary="Train one scheme; a finished run with the same key is loaded instead.",
    example="--scheme kcl --epochs 30 --seed 0",
    add_options=_train_options,
    run=_train,
)
EVALUATE = Command(
    name="evaluate",
    summary="Recall and consistency of a run, on its test split or on other data.",
    example="RUN --json",
    add_options=_evaluate_options,
    run=_evaluate,
)
COMPARE = Command(
    name="compare",
    summary="Is one run better than another? Differences on the same test clips, with intervals.",
    example="RUN RUN --with RUN RUN",
    add_options=_compare_options,
    run=_compare,
)
