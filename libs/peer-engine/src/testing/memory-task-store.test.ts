import { describeTaskStore } from '../conformance/task-store.ts';
import { MemoryTaskStore } from './memory-task-store.ts';

describeTaskStore('MemoryTaskStore', (options) =>
  Promise.resolve({ store: new MemoryTaskStore(options), [Symbol.asyncDispose]: () => Promise.resolve() }),
);
