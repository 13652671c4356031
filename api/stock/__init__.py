"""Stock as requests speak of it: what is where, what moved, and below what somebody has to be told."""
