"""Taking the functions of a SQLite file over into the database that a platform works with.

- `source`: the file, of ours or of the system that Aether grew from, read and never changed
- `mending`: what a function of that system may say that ours doesn't
- `taking`: from one into the other, each once
"""

from aether.adapters.sql.adopt.source import Source, names_in, opened
from aether.adapters.sql.adopt.taking import Adopted, adopt

__all__ = ["Adopted", "Source", "adopt", "names_in", "opened"]
