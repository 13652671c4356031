"""The tracker: pings in frames -> visits, live states; checkpoints; late data."""
