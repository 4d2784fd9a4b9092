// Tells who answered and what it was sent. POST /eval runs the body as an async function in here.
const http = require("node:http");

http
  .createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", async () => {
      const body = Buffer.concat(pieces).toString();
      console.log(`${request.method} ${request.url}`);
      const answer = {
        instance_id: process.env.AETHER_INSTANCE,
        method: request.method,
        path: request.url,
        body,
      };
      if (request.url === "/eval") {
        try {
          answer.result = await new Function("require", `return (async () => {${body}})()`)(require);
        } catch (error) {
          answer.error = String(error);
        }
      }
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(answer));
    });
  })
  .listen(process.env.PORT);
