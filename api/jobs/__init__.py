"""Jobs as requests speak of them: read, placed, listed, handed to their one writer, put on record."""
