export { FakeDaemon } from './fake-daemon.ts';
export { FakeRegistry, PASSWORD, TOKEN } from './fake-registry.ts';
