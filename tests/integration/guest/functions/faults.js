// What can go wrong with a function, by the path that is called.
'use strict';

const EVER = new Promise(() => {});

const faults = {
  '/': async (request, response) => response.end('well'),
  '/hang': () => {
    console.log('hanging');
    for (;;);
  },
  '/sleep': () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), // a hang that costs no CPU
  '/compute': (request, response) => {
    const until = Date.now() + 3000;
    while (Date.now() < until);
    response.end('computed');
  },
  '/heap': () => {
    const all = [];
    for (;;) all.push(new Array(1000).fill({}));
  },
  '/buffers': () => {
    const all = [];
    for (;;) all.push(Buffer.alloc(4 << 20, 1));
  },
  '/exit': () => {
    console.error('leaving');
    process.exit(3);
  },
  '/last': (request, response) => response.end('well', () => process.exit(0)),
  '/mid': (request, response) => {
    response.write('half');
    setTimeout(() => process.exit(4), 100);
  },
  '/cut': (request, response) => {
    response.write('half');
    setTimeout(() => response.destroy(), 100);
  },
  '/garbage': (request, response) => response.socket.end('this is no HTTP\r\n\r\n'),
  '/wait': async (request, response) => {
    console.log(`waiting ${request.headers['x-timeout-ms']}`);
    response.on('close', () => console.log('closed'));
    await EVER;
  },
};

module.exports = (request, response) => faults[request.url](request, response);
