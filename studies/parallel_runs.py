"""Many small runs at once, each on one processor core: two cores finish two of them sooner than one
after the other.

The processes are our own because they end with us, however we end: joblib 1.6's went on with the
whole list after a kill.
"""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from atri_lib import storage
from atri_lib.progress import progress
from atri_lib.training.config import TrainConfig
from atri_lib.training.runs import Run, RunError, load_or_train, run_name
from atri_lib.training.sources import TrainingData, load_data

# Of every process that is started beside others, before it loads torch: idle threads of OpenMP must
# not spin.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def train_all(
    configs: Sequence[TrainConfig], data: TrainingData, workers: int | None = None
) -> list[Run]:
    """The run of every config, in order, from the cache's runs; what is missing is trained side by
    side.

    data: load_data of these configs, which differ in scheme, seed and optimisation only. workers:
    how many processes of one thread each, by default one a core; `Run.seconds` is then the time on
    one core while the others are busy. Raises RunError with the message of a run that fails;
    finished runs are kept.
    """
    todo: queue.SimpleQueue = queue.SimpleQueue()
    for config in configs:
        if not (storage.cache_dir("runs") / run_name(config, data) / "metrics.json").exists():
            todo.put(config)
    count = min(workers or torch.get_num_threads(), todo.qsize())
    with (
        progress([], "training", total=todo.qsize(), unit="run") as bar,
        ThreadPoolExecutor(count or 1) as pool,
    ):
        for outcome in [pool.submit(_work_off, todo, bar.update) for _ in range(count)]:
            outcome.result()
    return [load_or_train(config, data) for config in configs]


def _work_off(todo: queue.SimpleQueue, finished) -> None:
    """Hand one config after the other to a process of our own; it ends with its input, so also when
    we are killed.
    """
    command, pipe = [sys.executable, "-c", f"from {__name__} import main; main()"], subprocess.PIPE
    environment = os.environ | ONE_THREAD | {"ATRI_PROGRESS": "0"}
    worker = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    )
    try:
        while True:
            config = todo.get_nowait()
            worker.stdin.write(json.dumps(config.as_dict()) + "\n")
            worker.stdin.flush()
            if not worker.stdout.readline():
                break
            finished()
    except queue.Empty:
        return
    finally:
        error = worker.communicate()[1]
    while not todo.empty():  # the others finish what they are at
        todo.get()
    raise RunError(f"training {config.scheme} with seed {config.seed} failed:\n{error.strip()}")


def main() -> None:
    """Configs as JSON lines on standard input -> a line on standard output for each run that is in
    the cache.
    """
    data = None
    for line in sys.stdin:
        config = TrainConfig.from_dict(json.loads(line))
        data = data or load_data(config)
        load_or_train(config, data)
        print("done", flush=True)
