"""Multilingual audio-text retrieval with consistent ranks: the library behind the book."""

import os

__version__ = "0.1.0"

# Two torch processes on two cores wait for each other with spinning threads and become ten times
# slower; sleeping ones do not. OpenMP reads this when torch is loaded, so it comes before anything
# of ours can import torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
