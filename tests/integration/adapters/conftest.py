"""The engines behind the adapters."""

from tests.engines import etcd_server, redis_server
from tests.postgres import postgres_server
from tests.s3 import s3_server

__all__ = ["etcd_server", "postgres_server", "redis_server", "s3_server"]
