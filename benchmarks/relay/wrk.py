"""As many requests as go through, by wrk, each with headers that no other has."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32

# Fields as a browser sends them, with values that change from request to request, and sometimes more of
# them: remembering whole heads must not pay.
SCRIPT = """
local counter = 0
local cookies = {
    "", "Cookie: session=%d\\r\\n", "", "Cookie: session=%d; theme=dark\\r\\nX-Requested-With: fetch\\r\\n"
}
local agents = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "curl/7.88.1"
}
function request()
    counter = counter + 1
    local cookie = cookies[counter % 4 + 1]
    return "GET " .. wrk.path .. "?n=" .. counter .. " HTTP/1.1\\r\\nHost: bench.example\\r\\nUser-Agent: "
        .. agents[counter % 3 + 1]
        .. "\\r\\nAccept: text/html,application/json;q=0.9\\r\\nAccept-Language: en-GB,en;q=0.5\\r\\n"
        .. string.format(cookie, counter) .. "X-Request-Number: " .. counter .. "\\r\\n\\r\\n"
end
"""


@dataclass(frozen=True)
class Load:
    requests: int
    rps: float
    mbps: float
    """Megabytes (10^6) a second, heads included."""


def load(url: str, seconds: float, folder: Path) -> Load:
    """Raises RuntimeError when any answer was not a 200, or a connection broke."""
    script = folder / "requests.lua"
    script.write_text(SCRIPT)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}", "-s", str(script), url]
    report = subprocess.check_output(command, text=True, timeout=seconds + 30)
    if "Non-2xx" in report or "Socket errors" in report:
        raise RuntimeError(f"not every request to {url} was answered:\n{report}")
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s), ([\d.]+)(B|KB|MB|GB) read", report)
    if found is None:
        raise RuntimeError(f"wrk said something new:\n{report}")
    took_s = float(found[2]) / (1000 if found[3] == "ms" else 1)
    unit = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[found[5]]
    return Load(int(found[1]), int(found[1]) / took_s, float(found[4]) * unit / took_s / 1e6)
