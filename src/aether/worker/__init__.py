"""The worker: takes jobs, runs instances, and says what it has.

- `worker`           the role: takes jobs, keeps its registry entries current, drains
- `answering`        what becomes of a job, told to who asked
- `host`             what all its instances share
- `instance`         one instance from its start to its end: `start`, `drain`, `ends`
- `instance_proxy`   what the relay asks on the way into an instance; `wording` of its own answers
- `side_by_side`     two things under way, the first of which to end decides
- `health`           whether an instance is well, by `probe` and by the `signs` its requests give; `doubts`
- `heartbeat`        what a worker says of itself
- `crash_loops`      instances that ended by themselves, counted
- `code_cache`       code images, fetched on need by `code_fetch`; `cached_images` are those here
- `foreign_code`     what a foreign gateway changes
- `known_functions`  what the registry said of functions
- `capacity`         how much memory there is to give
"""
