"""Derivations in sympy: `distribution` (what schemes sample) and `bound` (published)."""
