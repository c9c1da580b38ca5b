"""What two torch processes at once cost each other: a training step alone and beside a second one,
threads that wait spinning (OpenMP's default) or sleeping (OMP_WAIT_POLICY=PASSIVE). Takes a minute:
python tests/benchmarks/cores.py
"""

import os
import statistics
import subprocess
import sys

ROUNDS, SECONDS = 3, 2.0
STEP = """
import sys, time
import torch  # before the library, which would choose PASSIVE
from atri_lib.losses import kcl_loss
from torch.nn.functional import normalize

torch.manual_seed(0)

def tower(dim):
    first, last = torch.nn.Linear(dim, 512), torch.nn.Linear(512, 256)
    return torch.nn.Sequential(first, torch.nn.GELU(), last)

clips = tower(3072)
text = tower(512)
optimizer = torch.optim.Adam([*clips.parameters(), *text.parameters()])
sounds, captions = torch.randn(100, 3072), torch.randn(100, {k}, 512)

def step():
    optimizer.zero_grad()
    kcl_loss(normalize(clips(sounds), dim=-1), normalize(text(captions), dim=-1), 0.1).backward()
    optimizer.step()

for _ in range(10):
    step()
print("ready", flush=True)
for line in sys.stdin:
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < {seconds}:
        step()
        steps += 1
    print((time.perf_counter() - start) / steps * 1000, flush=True)
"""


def milliseconds(processes: int, policy: str | None, languages: int) -> float:
    """A step's time in each of `processes` processes at once: the median over rounds of their
    mean.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    command = [sys.executable, "-c", STEP.format(k=languages, seconds=SECONDS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, env=environment, **pipes) for _ in range(processes)]
    try:
        for worker in workers:
            worker.stdout.readline()
        rounds = []
        for _ in range(ROUNDS):
            for worker in workers:
                worker.stdin.write("go\n")
                worker.stdin.flush()
            rounds.append(statistics.mean(float(worker.stdout.readline()) for worker in workers))
        return statistics.median(rounds)
    finally:
        for worker in workers:
            worker.communicate()


def main() -> None:
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    print(f"{cores} cores, load {load:.1f} before the start (other programs spoil the numbers)")
    print(f"{'step':<18}{'processes':>10}{'spinning':>12}{'PASSIVE':>12}{'ratio':>8}")
    for name, languages in (("ML-CLAP, K = 1", 1), ("KCL, K = 8", 8)):
        for processes in (1, cores):
            spinning, passive = (
                milliseconds(processes, policy, languages) for policy in (None, "PASSIVE")
            )
            ratio = spinning / passive
            print(
                f"{name:<18}{processes:>10}{spinning:>9.1f} ms{passive:>9.1f} ms{ratio:>8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
