"""Where and since when: geodesy, shapes, the packed R-tree and its kernel, fence sets, rules, visits.

Pure: NumPy and Numba, no clock, no I/O, no Kafka. Time is an argument.
"""
