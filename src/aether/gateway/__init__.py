"""The gateway: takes calls, finds or asks for an instance, forwards, and answers the management API.

- `edge`       what the relay asks for each request: where to, and what to say when it can't be done
- `addressing`, `admission`, `own_fields`  which function a request is for, and what becomes a call
- `routes`, `names`, `places`  which instances there are, kept current by a registry watch, and the choice
- `activator`, `waiting_requests`, `waiting_queue`  requests that no instance can take yet
- `provisioner`, `starts`, `demand`, `room`, `backoff`, `trouble`  the starts asked for them
- `retries`, `retry_budget`  requests that their instance did not take, or did not answer
- `call`       one call, from its head to its record
- `rollouts`   how newest versions are doing
- `good_versions`  which version to fall back on
- `recorder`   invocation records, in batches, off the request path
- `metrics`    what `/metrics` tells
- `api`, `api_server`, `settled`  the management API, behind the edge, and what it sees of the registry
- `gateway`    the role: all of these, running
"""
