"""Everything in this process's memory: what `aether up` runs on.

`registry`, `job_queue`, `notifications` and `function_logs` each implement the port of that name.
They are lost with the process, as are the instances they speak of. `fanout` carries items to
those who listen. All of it belongs to one event loop; nothing here is safe to share with threads.
"""
