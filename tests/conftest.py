"""What holds for every test."""

from hypothesis import settings

# Two cores shared with a broker and a store: an example that takes long once says nothing.
settings.register_profile("onsite", deadline=None)
settings.load_profile("onsite")
