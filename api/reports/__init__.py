"""Reports: one literal registry of what is asked of the store, and how it is answered."""
