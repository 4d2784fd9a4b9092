"""The worker: takes jobs, runs instances, and says what it has.

- `worker`          the role: takes jobs, keeps its registry entries current, drains
- `instance`        one instance from its start to its end
- `instance_proxy`  what the relay asks on the way into an instance
- `code_cache`      code images, fetched on need
- `capacity`        how much memory there is to give
"""
