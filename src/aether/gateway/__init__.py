"""The gateway: takes calls, finds or asks for an instance, forwards, and answers the management API.

- `edge`       what the relay asks for each request: where to, and what to say when it can't be done
- `routes`     which instances there are, kept current by a registry watch
- `activator`  waiting requests and the starts asked for them
- `call`       one call, from its head to its record
- `good_versions`  which version to fall back on
- `recorder`   invocation records, in batches, off the request path
- `metrics`    what `/metrics` tells
- `api`, `api_server`, `settled`  the management API, behind the edge, and what it sees of the registry
- `gateway`    the role: all of these, running
"""
