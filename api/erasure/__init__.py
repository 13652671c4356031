"""A person is erased: ordered by a request, carried out step by step, gone on with after a crash."""
