"""The worker: takes jobs, runs instances, and says what it has.

Its life
- `role`             a process of its own: its id, adoption, the end; `home` is who it is
- `worker`           what it does in any process; `intake` of jobs, `answering` of them
- `hearing`          what the registry says, `registry_watch` by `reached`; `known_functions`
- `telling`          what it says of itself: `heartbeat`, `crash_loops`, `failed_starts`
- `own_server`       its own HTTP server, and the `metrics` there
- `adopting`         machines that an earlier process left, by what it `kept` of them
- `handing_over`     busy functions, before it drains; `requests` that others may come late for

Its instances
- `host`             what all its instances share
- `instance`         one instance from its start to its end: `start`, `serving`, `drain`, `ends`
- `instance_proxy`   what the relay asks on the way into an instance; `proxy_ports`, `hop`, `wording`
- `side_by_side`     two things under way, the first of which to end decides
- `health`           whether an instance is well, by `probe` and by the `signs` its requests give; `doubts`
- `output`           where the lines go that it prints; `records` of what is told of it
- `code_cache`       code images by need: `cached_images`, `code_fetch`, `current_code`, `foreign_code`
- `capacity`         how much memory there is to give
"""
