// The runtime's own module, `import { callId } from 'aether'`: found at /node_modules/aether of the
// root, where Node looks last, so that a function's own package of that name comes before it.
'use strict';

const calls = globalThis[Symbol.for('aether.calls')]; // the bootstrap's; none in a worker thread

exports.callId = function callId() {
  return calls?.getStore()?.id;
};
