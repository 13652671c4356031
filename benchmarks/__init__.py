"""Benchmarks: each measures Onsite beside an anchor in the same run; ``python -m benchmarks`` lists them.

A benchmark is a module with ``run(quick: bool) -> dict`` that answers ``{"figures": …, "anchors": …, "ratios": …}``:
names to numbers, each name with its unit, each ratio named ``onsite_vs_<anchor>``. One with too many figures for a list
adds ``"tables"``, rich tables that are printed instead. The first line of its docstring says what it measures.
"""
