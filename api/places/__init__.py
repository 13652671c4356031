"""Where addresses, sites and fences are: looked up, corrected by people, remembered."""
