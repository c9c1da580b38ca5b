"""Derivations of single chapters, in sympy, on those of atri_lib.theory.symbolic."""
