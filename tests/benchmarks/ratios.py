"""How fast the library is, as ratios: each figure is compared with a limit or an obvious reference
that is measured beside it, in the same minute on the same machine.

    OMP_WAIT_POLICY=ACTIVE python tests/benchmarks/ratios.py     # two minutes

A share of 1 would be the limit itself. ACTIVE is what trains fastest where nothing else runs.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from atri_lib import evaluation
from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.features import encode_clips, load_ahead
from atri_lib.training import TrainConfig, TrainingData, build_model, load_data
from atri_lib.training.loop import train
from atri_lib.training.step import backward

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SIDE = 2048  # of the square matrices whose product is the limit of arithmetic
RANKED = 10_000  # queries and clips
CLIPS = 128  # whose features are computed
SCHEMES = {
    "ML-CLAP": {"scheme": "ml_clap"},
    "KCL": {"scheme": "kcl"},
    "KCL, cached gradients": {"scheme": "kcl", "text_chunk": 100},
}


def fastest(function: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the fastest of some calls, after one that warms up."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def product_rate() -> float:
    """Floating-point operations a second of a product of two large float32 matrices."""
    a = torch.randn(SIDE, SIDE)
    b = torch.randn(SIDE, SIDE)
    return 2 * SIDE**3 / fastest(lambda: a @ b)


def report(name: str, seconds: float, reference: float, what: str) -> None:
    print(f"{name:<34} {1000 * seconds:9.2f} ms {reference / seconds:8.2f} of {what}", flush=True)


def step_alone(config: TrainConfig, data: TrainingData) -> tuple[float, int]:
    """Seconds of forward, backward and Adam on one batch, and the operations of its products."""
    source = data.splits["train"]
    model = build_model(config, data).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    scheme = config.build_scheme(len(source))
    rows = torch.arange(config.batch_size)
    languages = torch.from_numpy(scheme.languages(0))[rows]
    clips = source.clips(rows)
    texts = [source.captions(rows, column) for column in languages.T]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        backward(model, scheme, clips, texts, config.text_chunk)
        optimizer.step()

    with FlopCounterMode(display=False) as counted:
        step()
    return fastest(step, repeats=30), counted.get_total_flops()


def step_in_loop(config: TrainConfig, data: TrainingData) -> float:
    """Seconds of a step within an epoch of training, the fastest epoch of three."""
    timed = config.replace(epochs=4, evaluate_every=100, checkpoint_every=100)
    steps = len(data.splits["train"]) // config.batch_size
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = pathlib.Path(folder, "checkpoint")
        history = train(timed, data, build_model(timed, data), checkpoint, epochs=3)
    return min(row["seconds"] for row in history) / steps


def steps(data: TrainingData) -> None:
    """Steps of training against the time that their matrix products alone would take."""
    for name, changes in SCHEMES.items():
        config = TrainConfig(**changes)
        rate = product_rate()
        alone, operations = step_alone(config, data)
        limit = operations / rate
        report(f"a step of {name}", alone, limit, f"its products at {rate / 1e9:.0f} GFLOP/s")
        report("  the same in the loop", step_in_loop(config, data), limit, "the same")


def ranks() -> None:
    """Ranks of all queries against the matrix of their scores."""
    generator = np.random.default_rng(0)
    queries, gallery = generator.normal(size=(2, RANKED, 256)).astype(np.float32)
    targets = np.arange(RANKED)
    reference = fastest(lambda: queries @ gallery.T, repeats=3)
    took = fastest(lambda: evaluation.retrieval_ranks(queries, gallery, targets), repeats=3)
    report(f"ranks of {RANKED} x {RANKED}", took, reference, "the product that gives the scores")


def features(data: TrainingData) -> None:
    """Features of sounds and captions, from the data on, against the encoders alone."""
    dataset = data.splits["test"].dataset
    waveforms = [dataset.clip(index) for index in range(CLIPS)]
    clip_encoder = data.clip_encoder
    text_encoder = data.text_encoder
    batches = [
        torch.from_numpy(np.stack(waveforms[first : first + 32])) for first in range(0, CLIPS, 32)
    ]

    def network() -> None:
        with torch.inference_mode():
            for batch in batches:
                clip_encoder(batch)

    def from_the_dataset() -> None:
        coming = list(load_ahead(dataset, range(CLIPS)))
        for first in range(0, CLIPS, 32):
            encode_clips(coming[first : first + 32], clip_encoder, 3)

    reference = fastest(network, repeats=2)
    report(
        f"YAMNet's features of {CLIPS} clips",
        fastest(from_the_dataset, 2),
        reference,
        "YAMNet alone",
    )
    sentences = dataset.sentences("eng")
    tokens = text_encoder.tokenize(sentences, "eng")

    def text_network() -> None:
        with torch.inference_mode():
            text_encoder(**tokens)

    took = fastest(lambda: text_encoder.embed(sentences, "eng"), repeats=3)
    reference = fastest(text_network, repeats=3)
    report(
        f"USE's features of {len(sentences)} captions", took, reference, "USE alone, in one batch"
    )


def scenes(data: TrainingData) -> None:
    """Scenes against the time that it takes to hear them."""
    dataset = data.splits["test"].dataset
    samples = len(dataset.clip(0))
    took = fastest(lambda: [dataset.clip(index) for index in range(20)], repeats=3) / 20
    report("a scene", took, samples / SAMPLE_RATE, "the time to hear it")


def start() -> None:
    """`python -m atri_lib --help` against Python that does nothing."""

    def run(*command: str) -> None:
        subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

    reference = fastest(lambda: run("-c", "pass"), repeats=3)
    report(
        "python -m atri_lib --help",
        fastest(lambda: run("-m", "atri_lib", "--help"), 3),
        reference,
        "Python alone",
    )


def main() -> None:
    os.environ["ATRI_PROGRESS"] = "0"
    policy = os.environ["OMP_WAIT_POLICY"]
    print(f"{torch.get_num_threads()} threads that wait {policy}, torch {torch.__version__}")
    data = load_data(TrainConfig())
    steps(data)
    ranks()
    features(data)
    scenes(data)
    start()


if __name__ == "__main__":
    main()
