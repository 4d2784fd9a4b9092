// Counts down as server-sent events; each leaves when it is made.
import { callId } from 'aether';
import { eventsOf, type Event } from './events.ts';

export default (request: Request): Response => {
  const from = Number(new URL(request.url).searchParams.get('from') ?? 3);
  console.log(`counting from ${from}`);
  return new Response(eventsOf(countdown(from)), { headers: { 'content-type': 'text/event-stream' } });
};

async function* countdown(from: number): AsyncGenerator<Event> {
  for (let left = from; left > 0; left--) {
    yield { name: 'tick', data: { left, call: callId() } };
    await new Promise((go) => setTimeout(go, 500));
  }
  yield { name: 'done', data: {} };
}
