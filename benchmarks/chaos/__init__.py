"""Chaos: a whole system under simulated phones while its processes are killed, and whether it lost anything."""
