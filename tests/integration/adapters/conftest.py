"""The engines behind the adapters."""

from tests.engines import etcd_server, redis_server

__all__ = ["etcd_server", "redis_server"]
