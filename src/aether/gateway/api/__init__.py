"""The management API: everything a gateway answers that is not an invocation.

- `app`: `create_api`, which puts the rest together
- `dependencies`: what it is given
- `envelope`, `access`, `answers`: around every call: call id, key, bounds, errors
- `models`, `fields`, `limits`, `views`, `cluster_views`, `status_views`: the JSON that is taken and given
- `functions`, `code`, `records`, `cluster`, `status`, `health`: the calls
- `changes`: what a change of a function means beyond its row
- `upload`, `multipart`: an archive from the wire to a file
- `openapi`, `docs_page`: what it says of itself
"""

from aether.gateway.api.app import create_api
from aether.gateway.api.dependencies import ApiDependencies

__all__ = ["ApiDependencies", "create_api"]
