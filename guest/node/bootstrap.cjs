// Runs a function: loads its module from the working directory, and serves what it exports, if it
// does not listen on PORT itself. docs/functions.md says how the shapes are told apart.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { existsSync } = require('node:fs');
const Module = require('node:module');
const net = require('node:net');
const path = require('node:path');

const HINT_AFTER_MS = 3000;
const KEEP_ALIVE_MS = 75_000; // longer than any pool of the platform keeps a connection
const PROBE = 'x-aether-probe'; // taken off what comes from outside
const CALL_ID = /^[\x21-\x7e]{1,128}$/;

const port = Number(process.env.PORT || 3000);
const calls = new AsyncLocalStorage(); // of { id, fail }: the call that code runs for
Object.defineProperty(globalThis, Symbol.for('aether.calls'), { value: calls }); // for module/aether.cjs
let listening = false; // somebody has called listen on PORT

function complain(message) {
  process.stderr.write(`aether: ${message}\n`);
}

// ---- which call a line of output belongs to ----

/** `text` with `mark` before each of its lines; `fresh` says whether it starts one. */
function marked(text, mark, fresh) {
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  const tail = text.slice(body.length);
  return (fresh ? mark : '') + body.replaceAll('\n', `\n${mark}`) + tail;
}

function watchOutput(stream) {
  const write = stream.write.bind(stream);
  let fresh = true; // the last write ended its line
  stream.write = (chunk, encoding, done) => {
    const call = calls.getStore();
    const bytes = typeof chunk !== 'string' && chunk instanceof Uint8Array;
    if (bytes ? chunk.length === 0 : typeof chunk !== 'string' || chunk === '' || isEncoding(encoding)) {
      return write(chunk, encoding, done);
    }
    const began = fresh;
    fresh = bytes ? chunk[chunk.length - 1] === 10 : chunk.endsWith('\n');
    if (call?.id === undefined) return write(chunk, encoding, done);
    const mark = `\x1e${call.id}\x1f`;
    if (!bytes) return write(marked(chunk, mark, began), encoding, done);
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    return write(Buffer.from(marked(text, mark, began), 'latin1'), encoding, done);
  };
}

/** Whether write's second argument says that the text is no text (`'hex'`, `'base64'`). */
function isEncoding(encoding) {
  return typeof encoding === 'string' && !/^(utf-?8|ascii)$/i.test(encoding);
}

/** Whether the event loop runs: asked by the worker when a request is slow, and no matter of the function's. */
function answerProbe(response) {
  response.writeHead(204, { connection: 'close' });
  response.end();
  return true;
}

/** Runs what a server does for a request as that request's call. */
function watchRequests(server) {
  const emit = server.emit;
  server.emit = function (event, request, response) {
    if (event === 'request' && request?.headers?.[PROBE] !== undefined) return answerProbe(response);
    const id = event === 'request' || event === 'upgrade' ? request?.headers?.['x-call-id'] : undefined;
    if (typeof id !== 'string' || !CALL_ID.test(id)) return emit.apply(this, arguments);
    const call = { id, fail: null };
    return calls.run(call, () => emit.apply(this, arguments));
  };
}

function watchListen() {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (first) {
    const asked = first !== null && typeof first === 'object' ? first.port : first;
    if (Number(asked) === port) listening = true;
    if (!Object.hasOwn(this, 'emit')) watchRequests(this);
    return listen.apply(this, arguments);
  };
}

// ---- answering ----

/** The 500 of a call whose handler threw; the instance goes on. */
function failCall(response, error, id) {
  process.stderr.write(`${error?.stack ?? String(error)}\n`);
  if (response.writableEnded) return;
  if (response.headersSent) {
    response.destroy(); // cut, so that nobody takes it for a whole answer
    return;
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const message = String(error?.message ?? error);
  response.writeHead(500, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: { code: 'function_error', message, component: 'function', call_id: id } }));
}

function webRequest(request, response) {
  const { Readable } = require('node:stream');
  const headers = new Headers();
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    headers.append(request.rawHeaders[i], request.rawHeaders[i + 1]);
  }
  const gone = new AbortController();
  response.on('close', () => response.writableEnded || gone.abort());
  const bodyless = request.method === 'GET' || request.method === 'HEAD';
  const proto = request.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';
  const host = request.headers['x-forwarded-host'] ?? request.headers.host ?? 'localhost';
  const url = request.url.startsWith('/') ? `${proto}://${host}${request.url}` : request.url;
  return new Request(URL.canParse(url) ? url : new URL(request.url, 'http://localhost'), {
    method: request.method,
    headers,
    body: bodyless ? undefined : Readable.toWeb(request),
    duplex: 'half',
    signal: gone.signal,
  });
}

async function sendWebResponse(answer, response) {
  response.statusCode = answer.status;
  if (answer.statusText) response.statusMessage = answer.statusText;
  for (const [name, value] of answer.headers) {
    if (name !== 'set-cookie') response.setHeader(name, value);
  }
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) response.setHeader('set-cookie', cookies);
  if (answer.body === null) response.end();
  else await sendStream(answer.body, response);
}

async function sendStream(source, response) {
  const { Readable } = require('node:stream');
  const { pipeline } = require('node:stream/promises');
  const readable = source instanceof Readable ? source : Readable.from(source);
  response.flushHeaders();
  await pipeline(readable, response).catch((error) => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error; // the caller has gone
  });
}

/** Generators and the like. An array can be iterated too, but is a value. */
function streams(value) {
  if (typeof value?.[Symbol.asyncIterator] === 'function') return true;
  return typeof value?.[Symbol.iterator] === 'function' && typeof value.next === 'function';
}

/** Any value that a handler may return. */
async function send(value, response) {
  if (response.headersSent || response.writableEnded) return;
  const typed = (type) => response.setHeader('content-type', type);
  if (value instanceof Response) {
    await sendWebResponse(value, response);
  } else if (value === undefined) {
    response.statusCode = 204;
    response.end();
  } else if (typeof value === 'string') {
    typed('text/plain; charset=utf-8');
    response.end(value);
  } else if (value instanceof Uint8Array) {
    typed('application/octet-stream');
    response.end(value);
  } else if (streams(value)) {
    typed('application/octet-stream');
    await sendStream(value, response);
  } else {
    const body = JSON.stringify(value);
    typed('application/json');
    response.end(body);
  }
}

/** Serves a handler on PORT. `web`: it takes a Request and returns its answer. */
function serve(handler, web) {
  const http = require('node:http');
  if (web) void globalThis.Response; // loaded now, not by the first call
  const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 });
  server.on('request', async (request, response) => {
    const call = calls.getStore();
    const fail = (error) => failCall(response, error, call?.id);
    if (call) call.fail = fail;
    try {
      if (web) await send(await handler(webRequest(request, response)), response);
      else await handler(request, response);
    } catch (error) {
      fail(error);
    }
  });
  const stray = (error) => {
    const call = calls.getStore();
    if (call?.fail) return call.fail(error);
    process.stderr.write(`${error?.stack ?? String(error)}\n`);
    return process.exit(1); // nobody's call: as Node does without us
  };
  process.on('uncaughtException', stray);
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
  server.listen(port, '0.0.0.0');
}

// ---- loading ----

/** The handler among a module's exports, bound to what it hangs on; undefined if there is none. */
function handlerOf(exported) {
  if (typeof exported === 'function') return { handler: exported, web: exported.length < 2 };
  if (exported === null || typeof exported !== 'object') return undefined;
  if (typeof exported.handler === 'function') {
    return { handler: exported.handler.bind(exported), web: exported.handler.length < 2 };
  }
  if (typeof exported.fetch === 'function') return { handler: exported.fetch.bind(exported), web: true };
  return exported.default === exported ? undefined : handlerOf(exported.default);
}

/** True when `exported` needs nothing more of us. */
function adopt(exported) {
  if (listening) return true;
  if (exported instanceof net.Server) {
    exported.listen(port, '0.0.0.0');
    return true;
  }
  const found = handlerOf(exported);
  if (found) serve(found.handler, found.web);
  return found !== undefined;
}

function hint() {
  if (listening) return;
  complain(
    `${process.env.AETHER_ENTRYPOINT} neither listens on port ${port} nor exports a handler: ` +
      'call listen(process.env.PORT), or export a function (module.exports = …, export default …)',
  );
}

async function main() {
  const entrypoint = process.env.AETHER_ENTRYPOINT || 'handler.js';
  const file = path.resolve(entrypoint);
  if (!existsSync(file)) {
    complain(`there is no ${entrypoint} in the function's code`);
    process.exit(1);
  }
  watchListen();
  watchOutput(process.stdout);
  watchOutput(process.stderr);
  process.argv[1] = file;
  if (adopt(Module._load(file, null, true))) return; // as the main module: `require.main === module`
  const { pathToFileURL } = require('node:url');
  if (adopt(await import(pathToFileURL(file).href))) return; // an ES module is loaded by then
  setTimeout(hint, HINT_AFTER_MS).unref();
  process.on('exit', hint);
}

main();
