"""What every route shares of HTTP: bodies, parameters, answers, problems, pages of lists, how much a token may."""
