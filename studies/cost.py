"""What a training step costs: memory and time of every scheme, each measured in a process of its
own.
"""

import itertools
import json
import multiprocessing
import resource
import subprocess
import sys
import time
import timeit
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import pandas as pd

RSS_UNIT = 1 if sys.platform == "darwin" else 2**10  # bytes in getrusage's unit of resident memory


@dataclass(frozen=True)
class Setting:
    """scheme, m and text_chunk as in TrainConfig; K; the size of the batch and of a text tower with
    SONAR's design.
    """

    scheme: str
    languages: int
    text_chunk: int = 0
    batch: int = 24
    length: int = 24
    width: int = 128
    layers: int = 3
    repeats: int = 2
    seed: int = 0
    m: int | None = None


def measure(settings: Sequence[Setting]) -> pd.DataFrame:
    """One row a setting: its fields, seconds of a step, and two peaks of memory in MiB, tensors and
    resident.

    seconds: processor time on one core, the best of `repeats`, so that other programs hardly count.
    tensors: all tensors alive at the worst moment (weights, gradients, activations), exact, as a
    GPU's allocator counts them. resident: growth of the process's memory as the operating system
    sees it. Each setting is measured in a process of its own, which finds no memory that another
    one left. Raises RuntimeError with the message of one that fails.
    """
    lines = "\n".join(json.dumps(asdict(setting)) for setting in settings)
    done = subprocess.run(
        [sys.executable, "-m", "studies.cost"], input=lines, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"measuring the cost of a step failed: {done.stderr.strip()}")
    return pd.DataFrame([json.loads(line) for line in done.stdout.splitlines()])


def step_cost(setting: Setting) -> dict:
    """Build the model of a setting in this process and measure its step; see measure."""
    import torch

    from atri_lib.encoders.dual import DualEncoder
    from atri_lib.encoders.sonar import SonarText
    from atri_lib.schemes import SCHEMES
    from atri_lib.training.step import backward

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.manual_seed(setting.seed)
    sizes = {
        "d_model": setting.width,
        "encoder_layers": setting.layers,
        "encoder_ffn_dim": 8 * setting.width,
    }
    tower = SonarText.from_config(vocab_size=1000, encoder_attention_heads=4, **sizes)
    model = DualEncoder(
        64, setting.width, parts=1, text_tower=tower, unfreeze={"text": "all"}
    ).train()
    shape = (setting.batch, setting.length)
    clips = torch.randn(setting.batch, 1, 64)
    scheme = SCHEMES[setting.scheme](clips=setting.batch, languages=setting.languages, m=setting.m)
    texts = [{"ids": torch.randint(4, 1000, shape), "mask": torch.ones(shape, dtype=torch.bool)}
             for _ in range(scheme.m)]  # fmt: skip

    def step() -> None:
        model.zero_grad(set_to_none=True)
        backward(model, scheme, clips, texts, setting.text_chunk)

    seconds = timeit.repeat(step, timer=time.process_time, number=1, repeat=setting.repeats)
    resident = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * RSS_UNIT / 2**20
    model.zero_grad(set_to_none=True)
    weights = sum(value.nbytes for value in model.parameters())
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as recorded:
        step()
    events = [
        event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    alive = itertools.accumulate(
        event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())
    )
    tensors = (weights + max(alive)) / 2**20
    return asdict(setting) | {"seconds": min(seconds), "tensors": tensors, "resident": resident}


def _main() -> None:
    """Settings as JSON lines on standard input -> results on standard output, a forked child
    each.
    """
    import torch

    import atri_lib.encoders.sonar
    import atri_lib.training.step  # noqa: F401, imported once, before the forks

    torch.set_num_threads(1)
    for line in sys.stdin:
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as child:
            print(
                json.dumps(child.submit(step_cost, Setting(**json.loads(line))).result()),
                flush=True,
            )


if __name__ == "__main__":
    _main()
