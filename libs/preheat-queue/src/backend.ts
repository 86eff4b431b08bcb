import {
  createPostgresBackend,
  type Processor,
  Queue,
  QueueEvents,
  type QueueOptions,
  Worker,
  type WorkerOptions,
} from 'bullmq';
import type { CancelChannel } from './cancel-channel.ts';
import { PostgresCancelChannel, RedisCancelChannel } from './cancel-channel.ts';
import {
  connectRedis,
  DEFAULT_PREFIX,
  DEFAULT_SCHEMA,
  type PostgresAddress,
  type QueueAddress,
  type RedisAddress,
} from './connection.ts';

type SharedQueueOptions = Omit<QueueOptions, 'connection' | 'prefix'>;
type SharedWorkerOptions = Omit<WorkerOptions, 'connection' | 'prefix'>;

/** Makes the parts of BullMQ on one kind of store. Whoever asks for one closes it; disposing the backend closes what it shares among them. */
export interface Backend extends AsyncDisposable {
  readonly kind: QueueAddress['kind'];
  queue(name: string, options: SharedQueueOptions): Queue;
  worker(name: string, processor: Processor, options: SharedWorkerOptions): Worker;
  events(name: string): QueueEvents;
  cancelChannel(): CancelChannel;
}

/** @param onError hears of connections that broke; they are opened again by themselves */
export function createBackend(address: QueueAddress, onError: (error: Error) => void): Backend {
  return address.kind === 'redis' ? redisBackend(address, onError) : postgresBackend(address, onError);
}

function redisBackend(address: RedisAddress, onError: (error: Error) => void): Backend {
  const prefix = address.prefix ?? DEFAULT_PREFIX;
  const shared = connectRedis(address, 'ask');
  shared.on('error', onError);
  // Workers and listeners block: each has a connection of its own, a copy of this one.
  const waiting = connectRedis(address, 'work');
  waiting.on('error', onError);
  const heard = <Part extends { on(event: 'error', listener: (error: Error) => void): unknown }>(part: Part): Part => {
    part.on('error', onError);
    return part;
  };
  return {
    kind: 'redis',
    queue: (name, options) => heard(new Queue(name, { ...options, connection: shared, prefix })),
    worker: (name, processor, options) =>
      heard(new Worker(name, processor, { ...options, connection: waiting, prefix })),
    events: (name) => heard(new QueueEvents(name, { connection: waiting, prefix })),
    cancelChannel: () =>
      new RedisCancelChannel(shared, () => connectRedis(address, 'work'), `${prefix}:job-cancel`, onError),
    async [Symbol.asyncDispose]() {
      shared.disconnect();
      waiting.disconnect();
      await Promise.resolve();
    },
  };
}

function postgresBackend(address: PostgresAddress, onError: (error: Error) => void): Backend {
  const schema = address.schema ?? DEFAULT_SCHEMA;
  const { host, port, user, password, database, tls } = address;
  const client = {
    ...{ host, port, user, database, keepAlive: true, application_name: 'dragonfly-queue' },
    ...(password !== undefined && { password: password.reveal() }),
    ...(tls !== undefined && { ssl: tls }),
  };
  const connection = { ...client, max: 3, schema, migrate: true };
  const heard = (part: { on(event: 'error', listener: (error: Error) => void): unknown }): unknown => {
    part.on('error', onError);
    return part;
  };
  return {
    kind: 'postgres',
    queue: (name, options) => heard(new Queue(name, { ...options, connection }, createPostgresBackend)) as Queue,
    worker: (name, processor, options) =>
      heard(new Worker(name, processor, { ...options, connection }, createPostgresBackend)) as Worker,
    events: (name) => heard(new QueueEvents(name, { connection }, createPostgresBackend)) as QueueEvents,
    cancelChannel: () => new PostgresCancelChannel(client, `${schema}_job_cancel`, onError),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
