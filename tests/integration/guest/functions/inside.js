// Tells what a function finds around it, and how far it gets when it tries to leave.
const fs = require('node:fs');
const { execFileSync } = require('node:child_process');

function attempt(action) {
  try {
    return String(action());
  } catch (error) {
    return error.code ?? error.message;
  }
}

const status = () =>
  Object.fromEntries(
    fs.readFileSync('/proc/self/status', 'utf8').split('\n').map((line) => line.split(/:\s*/, 2)),
  );
const mounts = () =>
  Object.fromEntries(
    fs.readFileSync('/proc/mounts', 'utf8').trim().split('\n')
      .map((line) => line.split(' ')).map(([, where, , options]) => [where, options.split(',')]),
  );

const vports = fs.readdirSync('/dev').filter((name) => name.startsWith('vport'));

module.exports = () => ({
  status: status(),
  mounts: mounts(),
  cwd: process.cwd(),
  hostname: require('node:os').hostname(),
  oom: fs.readFileSync('/proc/self/oom_score_adj', 'utf8').trim(),
  agentOom: attempt(() => fs.readFileSync('/proc/1/oom_score_adj', 'utf8').trim()),
  writes: {
    '/tmp/x': attempt(() => fs.writeFileSync('/tmp/x', '1')),
    '/dev/shm/x': attempt(() => fs.writeFileSync('/dev/shm/x', '1')),
    '/dev/stdout': attempt(() => fs.writeFileSync('/dev/stdout', 'direct\n')),
    '/x': attempt(() => fs.writeFileSync('/x', '1')),
    '/code/x': attempt(() => fs.writeFileSync('/code/x', '1')),
    '/usr/bin/node': attempt(() => fs.appendFileSync('/usr/bin/node', '1')),
    '/proc/sysrq-trigger': attempt(() => fs.writeFileSync('/proc/sysrq-trigger', 'b')),
    '/dev/vda': attempt(() => fs.openSync('/dev/vda', 'r')),
    '/dev/vdb': attempt(() => fs.openSync('/dev/vdb', 'r')),
    '/dev/mem': attempt(() => fs.openSync('/dev/mem', 'r')),
    control: vports.map((name) => attempt(() => fs.openSync(`/dev/${name}`, 'r+'))),
  },
  killAgent: attempt(() => process.kill(1, 'SIGKILL')),
  aetherEnv: attempt(() => execFileSync('/usr/bin/aether-env', ['/usr/bin/node', '-p', 'process.env.GREETING'])),
});
