"""What Latin shows over several epochs: every language once in any K, so that its data distribution
error does not add up.
"""

import sympy as sp

from atri_lib.theory.symbolic import distribution
from atri_lib.theory.symbolic.distribution import IDEAL, K, N, language, m

offset = sp.Symbol("o", integer=True)  # of a clip
start = sp.Symbol("e_0", integer=True)  # the first epoch of a window
rounds = sp.Symbol("q", integer=True, nonnegative=True)


def latin_visits(epochs: sp.Expr) -> sp.Expr:
    """In how many of `epochs` consecutive epochs Latin shows a clip in a given language.

    Epoch e shows language k if (offset + e - k) mod K = 0, so this counts the multiples of K in a
    window.
    """
    shift = start + offset - language
    return _multiples(shift + epochs - 1) - _multiples(shift - 1)


def _multiples(last: sp.Expr) -> sp.Expr:
    """How many multiples of K there are from 1 to `last`."""
    return sp.floor(sp.expand(last / K))


def latin_accumulated_error(remainder: sp.Expr = m) -> sp.Expr:
    """sum_ik |q K p - sum_e p'_e| after E = q K + remainder epochs of Latin, 0 <= remainder <= K.

    K epochs visit every language once (latin_visits), so `remainder` languages have been seen q + 1
    times, the rest q.
    """
    ahead = remainder, (rounds + 1) / N
    behind = K - remainder, rounds / N
    epochs = rounds * K + remainder
    total = distribution.error_sum((ahead, behind), ideal=epochs * IDEAL)
    return distribution.evaluate(total, least=remainder)
