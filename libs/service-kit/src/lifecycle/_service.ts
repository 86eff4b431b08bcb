// A small service for the tests of runService: what it does is its first argument.
import { createServer } from 'node:http';
import { runService } from './run-service.ts';

const what = process.argv[2] ?? '';
const hold = () => new Promise<never>(() => void setInterval(() => undefined, 1_000));

await runService(
  async (signal) => {
    if (what === 'fails') throw Object.assign(new Error('x'), { code: 'EACCES', syscall: 'mkdir', path: '/var/lib/x' });
    if (what === 'slow start') {
      process.stdout.write('ready\n');
      await new Promise((_resolve, reject) => {
        const timer = setTimeout(() => undefined, 60_000);
        signal.addEventListener('abort', () => {
          clearTimeout(timer);
          reject(signal.reason as Error);
        });
      });
    }
    const server = createServer().listen(0, '127.0.0.1');
    if (what === 'rejects') setTimeout(() => void Promise.reject(new Error('nobody caught me, token=pl4nt3d')), 10);
    if (what === 'finishes') setTimeout(() => finish(), 10);
    if (what === 'breaks') setTimeout(() => fail(new Error('broke')), 10);
    const { promise: finished, resolve: finish, reject: fail } = Promise.withResolvers<void>();
    process.stdout.write('ready\n');
    return {
      finished,
      async [Symbol.asyncDispose]() {
        process.stdout.write('disposing\n');
        if (what === 'hangs') await hold();
        if (what === 'leaks') setInterval(() => undefined, 1_000);
        server.close();
        process.stdout.write('disposed\n');
      },
    };
  },
  { graceMs: what === 'hangs' || what === 'leaks' ? 200 : 10_000 },
);
