"""Jobs, notifications and functions' output on Redis 6.2 or later.

`clients` opens connections, `names` says what lies where, `job_form` what a job looks like to others,
`scripts` are what has to be done in one step. `job_queue` implements the port, with `owner` (what a worker
has taken, and the sign that it lives), `claim`, `bell` (waiting for jobs) and `replies`; `notifications`
and `function_logs` (with `log_writer`, which writes in batches) implement the other ports.
"""
