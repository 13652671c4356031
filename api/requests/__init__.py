"""Service requests: read, listed, made into jobs."""
