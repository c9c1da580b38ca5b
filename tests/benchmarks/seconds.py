"""The seconds that chapters quote, measured alone on an idle machine and kept with hardware and
date.

`make benchmark` writes studies/rows/seconds.json in about three minutes; `make refresh` then brings
them into the chapters. While other programs are running it refuses; `--busy` measures all the same
and marks the figures as provisional.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

import psutil

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
# Before torch is loaded.
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ATRI_PROGRESS": "0"}

EPOCHS = 6  # of a timed run; the first is a warm-up
SCENES = 60
IDLE = 10.0  # percent of all cores that other programs may use
LANGUAGES = (1, 2, 4, 8, 16)  # of chapter 14
STEPS = {  # way of chapter 14 -> setting, numbers of languages; ML-CLAP and CACL do not depend on K
    "ML-CLAP": ({"scheme": "ml_clap"}, (1, 2, 16)),
    "CACL": ({"scheme": "cacl"}, (2, 16)),
    "KCL": ({"scheme": "kcl"}, LANGUAGES),
    "KCL by language": ({"scheme": "kcl", "text_chunk": 24}, LANGUAGES),
    "KCL cached": ({"scheme": "kcl", "text_chunk": 12}, LANGUAGES),
    "a quarter": ({"scheme": "kcl", "text_chunk": 6}, (2,)),
    "a sixth": ({"scheme": "kcl", "text_chunk": 4}, (2,)),
}


def training() -> list[dict]:
    """Seconds of an epoch for the book's schemes, and for the schemes of chapter 12 with its
    smaller projections.
    """
    from atri_lib.training import TrainConfig, load_data
    from studies import schedule_lists
    from studies.benchmark_seconds import cost_of

    base = TrainConfig.for_profile("book")
    configs = [base.replace(scheme=scheme) for scheme in ("ml_clap", "cacl", "kcl")]
    configs += [item.config for item in schedule_lists.numbers() if item.config.seed == 0]
    different = {json.dumps(cost_of(config), sort_keys=True): config for config in configs}
    data = load_data(base)
    rows = []
    for config in different.values():
        rows.append({"config": cost_of(config), "epoch": round(epoch_seconds(config, data), 4)})
        print(f"{rows[-1]['epoch']:8.3f} s an epoch  {rows[-1]['config']}", flush=True)
    return rows


def epoch_seconds(config, data) -> float:
    """Median seconds of an epoch of optimisation on one core, without the first."""
    from atri_lib.training import build_model
    from atri_lib.training.loop import train

    timed = config.replace(epochs=EPOCHS, evaluate_every=EPOCHS, checkpoint_every=EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        history = train(timed, data, build_model(timed, data), pathlib.Path(folder, "checkpoint"))
    return statistics.median(row["seconds"] for row in history[1:])


def steps() -> list[dict]:
    """Processor seconds and memory of a step for every setting of chapter 14."""
    from studies import cost

    settings = [
        cost.Setting(languages=languages, repeats=3, **way)
        for way, numbers in STEPS.values()
        for languages in numbers
    ]
    table = cost.measure(settings).drop(columns=["repeats", "seed"])
    print(table.to_string(), flush=True)
    table = table.round({"seconds": 4, "tensors": 2, "resident": 1})
    return table.astype(object).where(table.notna(), None).to_dict("records")


def scene() -> float:
    """Processor seconds to render one scene of the book."""
    from atri_lib.training import TrainConfig, load_datasets

    test = load_datasets(TrainConfig.for_profile("book"))["test"]
    start = time.process_time()
    for index in range(SCENES):
        test.clip(index)
    return round((time.process_time() - start) / SCENES, 5)


def machine() -> str:
    """Cores, processor, memory and what was installed, in one line that names nobody's machine."""
    import torch

    model = platform.processor() or platform.machine()
    described = pathlib.Path("/proc/cpuinfo")
    if described.exists():
        names = [
            line.split(":")[1].strip()
            for line in described.read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    memory = psutil.virtual_memory().total / 2**30
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return (
        f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GiB, {platform.system()}, {versions}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--busy", action="store_true", help="measure although other programs are running"
    )
    parser.add_argument(
        "--output", type=pathlib.Path, default=ROOT / "studies" / "rows" / "seconds.json"
    )
    given = parser.parse_args()
    load = psutil.cpu_percent(interval=3)
    if load > IDLE and not given.busy:
        parser.exit(
            1,
            f"Other programs use {load:.0f} % of the cores: "
            "wait for them, or add --busy (provisional).\n",
        )

    import torch

    from atri_lib import storage

    torch.set_num_threads(1)
    started = time.monotonic()
    found = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "scene": scene(),
        "training": training(),
        "steps": steps(),
    }
    # After it too: something may have been started meanwhile.
    load = max(load, psutil.cpu_percent(interval=3))
    found["busy"] = load > IDLE
    storage.write_sealed(given.output, found)
    print(f"{given.output.name}: written after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
