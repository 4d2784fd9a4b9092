"""Archives to deploy."""

from __future__ import annotations

from tests.api import archive

ECHO = """
const http = require("node:http");
console.log("starts as", process.env.AETHER_INSTANCE || "?");
const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const path = request.url;
    console.log(`${request.method} ${path}`);
    const body = Buffer.concat(parts);
    const headers = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      headers.push([request.rawHeaders[i].toLowerCase(), request.rawHeaders[i + 1]]);
    }
    const answer = JSON.stringify({
      method: request.method, path, headers, body: body.toString(), body_bytes: body.length,
      code: VERSION, instance_id: process.env.AETHER_INSTANCE || "",
    });
    misbehave(request, response, answer, () => {
      response.writeHead(200, { "content-type": "application/json", "content-length": answer.length });
      response.end(answer);
    });
  });
});
server.keepAliveTimeout = 60000;
server.listen(process.env.PORT || 3000);
"""
"""Says what it was sent, as simulated functions do, unless `misbehave` does otherwise."""

WELL = "const misbehave = (request, response, answer, go_on) => go_on();"


def echo(version: str = "1", misbehave: str = WELL) -> bytes:
    """A Node program whose requests all go through `misbehave`, a function that it defines."""
    return archive(f"const VERSION = {version!r};\n{misbehave}\n{ECHO}")
