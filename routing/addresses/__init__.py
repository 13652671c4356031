"""Where an address is: from a file that was made of a map, or from a server that knows; what was asked is kept."""
