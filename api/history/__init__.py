"""What was, as the store remembers it: tracks, visits explained, work done, all that is held of a person."""
