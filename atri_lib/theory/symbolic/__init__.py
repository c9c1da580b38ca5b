"""Derivations in sympy: `distribution` (what schemes sample), `direction`, `bound` (published),
`law` (mean square), `rates` (what each premise gives).
"""
