// Modules of the function's own are imported by their whole name: './events.ts'.
export type Event = { name: string; data: unknown };

/** What the generator yields, one by one as the caller takes it; it ends when the caller goes. */
export function eventsOf(events: AsyncGenerator<Event>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(body) {
      const next = await events.next();
      if (next.done) return body.close();
      const { name, data } = next.value;
      body.enqueue(encoder.encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`));
    },
    async cancel() {
      await events.return(undefined);
    },
  });
}
