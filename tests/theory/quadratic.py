"""Quadratic pair losses, of which every path of draws can be written down."""

import itertools

import numpy as np


class Quadratic:
    """Quadratic pair losses l_ik = (w - c_ik)' A (w - c_ik) / 2: every expectation is a finite
    sum.
    """

    def __init__(self, clips, languages, m, rate, steps, curvature, seed):
        self.rate, self.steps, self.m, self.languages = rate, steps, m, languages
        self.curvature = np.asarray(curvature)  # eigenvalues of A
        self.centres = np.random.default_rng(seed).normal(
            size=(clips, languages, len(self.curvature))
        )
        subsets = list(itertools.combinations(range(languages), m))
        self.draws = list(itertools.product(subsets, repeat=clips))

    def gradients(self, weights):
        return self.curvature * (weights - self.centres)  # [N, K, D]

    def drawn(self, weights, draw):
        gradients = self.gradients(weights)
        return np.mean(
            [gradients[clip, list(languages)].mean(0) for clip, languages in enumerate(draw)],
            axis=0,
        )

    def run(self, path):
        """Ideal and scheme weights along one path of draws: errors [T], rho [T], xi [T]."""
        w = v = np.zeros(len(self.curvature))
        errors, rho, xi = [], [], []
        for draw in path:
            mean_w, mean_v, used = (
                self.gradients(w).mean((0, 1)),
                self.gradients(v).mean((0, 1)),
                self.drawn(v, draw),
            )
            gap = np.linalg.norm(w - v)
            rho.append(np.linalg.norm(w - v - self.rate * (mean_w - mean_v)) / gap if gap else 1.0)
            xi.append(np.linalg.norm(mean_v - used))
            w, v = w - self.rate * mean_w, v - self.rate * used
            errors.append(np.linalg.norm(w - v))
        return errors, rho, xi

    def every_path(self):
        """errors, rho, xi, each [paths, T], over every possible sequence of draws."""
        return (
            np.array(x)
            for x in zip(
                *map(self.run, itertools.product(self.draws, repeat=self.steps)), strict=True
            )
        )
