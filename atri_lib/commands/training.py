"""`features`, `train`, `evaluate` and `compare`: runs, and what they are worth."""

from argparse import Namespace

from atri_lib.commands.base import UsageError, as_text, command, filled, option, path, say
from atri_lib.commands.settings import all_settings, config_of, data_settings, flag
from atri_lib.terminal import plain


@command("--data my_sounds", data_settings)
def features(options: Namespace) -> None:
    """Compute and cache what the frozen encoders say of a dataset."""
    from atri_lib.training import data_origin, load_data

    data = load_data(config_of(options))
    shapes = {
        split: [list(source.clip_features.shape), list(source.text.shape)]
        for split, source in data.splits.items()
    }
    result = {"data": data.checksum, "origin": data_origin(data)}
    say(options, result | {"clip and text features": shapes})


@command(
    "--scheme kcl --epochs 30 --seed 0",
    option("--folder FOLDER", "where runs are kept (default: the cache)", type=path),
    option("--resume RUN", "finish an interrupted run folder instead", type=path),
    all_settings,
)
def train(options: Namespace) -> None:
    """Train one scheme; a finished run with the same key is loaded instead."""
    from atri_lib.training import Run, load_data, load_or_train

    if options.resume:
        given = {name for name, value in vars(options).items() if value is not None}
        ignored = given - {"command", "json", "resume"}
        if ignored:
            flags = ", ".join(map(flag, sorted(ignored)))
            message = f"--resume finishes a run as it was begun, so it takes no {flags}"
            raise UsageError(f"{message}; leave that out, or train another run without --resume")
        run = Run.resume(options.resume)
    else:
        config = config_of(options)
        run = load_or_train(config, load_data(config), folder=options.folder)
    say(options, {"run": str(run.path), "what": str(run)} | run.metrics)


@command(
    "RUN --json",
    option("run RUN", "folder of a finished run", type=path),
    option(
        "--data MANIFEST",
        "manifest whose test split is scored instead of the run's",
        type=filled,
    ),
)
def evaluate(options: Namespace) -> None:
    """Recall and consistency of a run, on its test split or on other data."""
    from atri_lib.training import Run, data_origin, fair_table, load_data, score
    from atri_lib.training.sources import clip_encoder_of

    run = Run.load(options.run)
    scores = run.scores
    about = {name: run.metrics[name] for name in ("origin", "note") if run.metrics[name]}
    shared = ()  # what captions and sounds that several clips share do to recall
    if options.data:
        encoder = clip_encoder_of(run.config)
        config = run.config.replace(data=options.data, clip_encoder=encoder)
        data = load_data(config, splits=("test",))
        test = data.splits["test"]
        model = run.model(data)
        scores = score(model, test)
        shared = fair_table(model, test)
        about = {"origin": data_origin(data) or options.data}
    result = {"test": scores.summary, "languages": scores.table.to_dict("index")} | about
    text = f"{_table(scores.table)}\n\n{as_text(scores.summary | about)}"
    if len(shared):
        result["shared captions and sounds"] = shared.to_dict("index")
        text += f"\n\nSeveral clips share a caption or a sound:\n{_table(shared)}"
    say(options, result, text)


@command(
    "RUN RUN --with RUN RUN",
    option(
        "runs RUN",
        "two finished runs; or, before --with, the seeds of the first setting",
        nargs="+",
        type=path,
    ),
    option(
        "--with RUN", "the same seeds of the other setting", nargs="+", type=path, dest="others"
    ),
)
def compare(options: Namespace) -> None:
    """Is one run better than another? Differences on the same test clips, with intervals."""
    first, second = options.runs, options.others
    if second is None:
        if len(first) != 2:
            raise UsageError(
                f"two runs are compared, not {len(first)}; "
                "for several seeds: compare RUN RUN ... --with RUN RUN ..."
            )
        first, second = first[:1], first[1:]
    import pandas as pd

    from atri_lib.compare import compare_runs
    from atri_lib.training import Run

    compared = compare_runs([Run.load(run) for run in first], [Run.load(run) for run in second])
    rows = {}
    for one in compared:
        rows[one.measure] = {
            "first": one.first,
            "second": one.second,
            "difference": one.difference,
            "95 % interval": f"{one.low:.2f} to {one.high:.2f}",
            "p": "< 0.001" if one.p_value < 0.001 else f"{one.p_value:.3f}",
            "better": one.better or "cannot tell",
        }
    sides = {"first": [*map(str, first)], "second": [*map(str, second)]}
    said = as_text({name: " ".join(runs) for name, runs in sides.items()})
    table = _table(pd.DataFrame.from_dict(rows, orient="index"), corner="")
    measures = {one.measure: one.as_dict() for one in compared}
    say(options, sides | {"measures": measures}, f"{said}\n\n{table}")


def _table(frame, corner: str = "language") -> str:
    """A data frame as text, numbers with two decimals; corner: what stands above its index."""
    named = frame.rename_axis(index=None, columns=corner)
    return plain(named.to_string(float_format="{:.2f}".format))
