"""Where the lines go that an instance prints."""

from __future__ import annotations

from aether.ports.function_logs import FunctionLogs, LogRecord
from aether.ports.vmm import LogLine, OnLog


def to_logs(logs: FunctionLogs, function_id: str, instance_id: str) -> OnLog:
    def on_log(line: LogLine) -> None:
        logs.append(LogRecord(function_id, instance_id, line.stream, line.text, line.at, line.call_id))

    return on_log
