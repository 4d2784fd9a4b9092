"""The gateway: takes calls, finds or asks for an instance, forwards, and answers the management API.

- `edge`       what the relay asks for each request: where to, and what to say when it can't be done
- `addressing`, `prefix`, `admission`, `own_fields`  which function a request is for, and what becomes a call
- `routes`, `names`, `places`  which instances there are, kept current by a registry watch, and the choice
- `settling`   who waits until a change has arrived there
- `activator`, `waiting_requests`, `waiting_queue`, `grant`  requests that no instance can take yet
- `provisioner`, `starts`, `demand`, `room`, `backoff`, `trouble`  the starts asked for them
- `retries`, `retry_budget`  requests that their instance did not take, or did not answer
- `call`       one call, from its head to its record; `platform_errors`, what it is told in an answer's place
- `rollouts`, `newest`  how newest versions are doing, and their starts ahead of any request
- `good_versions`  which version to fall back on
- `recorder`   invocation records, in batches, off the request path
- `metrics`    what `/metrics` tells
- `tls`        the certificate, read again when it changes
- `api`, `api_server`, `settled`  the management API, behind the edge, and what it sees of the registry
- `gateway`    the role: all of these, running
"""
