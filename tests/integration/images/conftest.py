import os
from pathlib import Path

import pytest

from aether.images.setup import setup
from aether.images.store import default_cache_dir


@pytest.fixture(scope="session")
def cache():
    """The user's cache, with everything in it."""
    folder = Path(os.environ.get("AETHER_CACHE_DIR") or default_cache_dir())
    setup(folder, lambda _progress: None)
    return folder


@pytest.fixture(scope="session")
def images(cache):
    return setup(cache, lambda _progress: None)
