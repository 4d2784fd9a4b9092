"""For all tests: a property that takes long is slow, not wrong; how fast machines are is not tested here."""

from hypothesis import settings

settings.register_profile("aether", deadline=None)
settings.load_profile("aether")
