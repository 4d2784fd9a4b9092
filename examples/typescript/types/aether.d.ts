/**
 * The id of the call that this code runs for, as in the request's `X-Call-Id`, the answer's, and each
 * line of the log. It follows promises, timers and events that began in the call.
 *
 * `undefined` outside of calls (while the module is loaded), in worker threads and child processes.
 */
export function callId(): string | undefined;
