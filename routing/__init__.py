"""How long the road takes: one file for each provider of travel times."""
