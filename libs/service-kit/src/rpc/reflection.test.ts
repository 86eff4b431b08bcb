import { createFileRegistry, create, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { reflection, reflectionAlpha, scheduler } from '@d7y/api';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Listener } from '../listener/listen.ts';
import { listen } from '../listener/listen.ts';
import { createLogger } from '../observe/logger.ts';
import { createHealth } from './health.ts';

const SERVICES = [reflection.ServerReflection, reflectionAlpha.ServerReflection] as const;

describe.each(SERVICES)('$typeName', (service) => {
  let listener: Listener;
  beforeAll(async () => {
    listener = await listen({
      host: '127.0.0.1',
      logger: createLogger({ name: 'test', level: 'silent' }),
      health: createHealth(),
      reflection: true,
      grpc: (router) => void router.service(scheduler.Scheduler, { statTask: () => ({}) }),
    });
  });
  afterAll(() => listener[Symbol.asyncDispose]());

  /** The answers to questions on one stream. */
  async function ask(...questions: reflection.ServerReflectionRequest['messageRequest'][]) {
    const transport = createGrpcTransport({ baseUrl: `http://${listener.address}` });
    // Both versions have the same messages under different names.
    const client = createClient(service as typeof reflection.ServerReflection, transport);
    const requests = async function* () {
      for (const messageRequest of questions)
        yield await Promise.resolve(create(reflection.ServerReflectionRequestSchema, { host: 'h', messageRequest }));
    };
    const answers = [];
    for await (const { validHost, messageResponse } of client.serverReflectionInfo(requests())) {
      expect(validHost).toBe('h');
      answers.push(messageResponse);
    }
    return answers;
  }

  it('lists the services of the listener', async () => {
    const [answer] = await ask({ case: 'listServices', value: '*' });
    expect(answer?.case === 'listServicesResponse' && answer.value.service.map(({ name }) => name)).toEqual([
      ...['grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'],
      'scheduler.v2.Scheduler',
    ]);
  });

  it.each([
    { case: 'fileContainingSymbol', value: 'scheduler.v2.Scheduler' },
    { case: 'fileContainingSymbol', value: 'scheduler.v2.Scheduler.AnnouncePeer' },
    { case: 'fileContainingSymbol', value: 'scheduler.v2.AnnouncePeerRequest' },
    { case: 'fileByFilename', value: 'scheduler/v2/scheduler.proto' },
  ] as const)('gives the whole of what declares $value', async (question) => {
    const [answer] = await ask(question);
    if (answer?.case !== 'fileDescriptorResponse') throw new Error(`answered ${answer?.case}`);
    const file = answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    expect(file[0]?.name).toBe('scheduler/v2/scheduler.proto');
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: file.toReversed() }));
    const method = registry.getService('scheduler.v2.Scheduler')?.method['announcePeer'];
    expect(method?.input.fields.map(({ name }) => name)).toContain('register_peer_request');
  });

  it('says what it does not know, and goes on', async () => {
    const answers = await ask(
      { case: 'fileContainingSymbol', value: 'no.Such' },
      { case: 'fileByFilename', value: 'no/such.proto' },
      { case: 'allExtensionNumbersOfType', value: 'no.Such' },
      { case: undefined },
      { case: 'allExtensionNumbersOfType', value: 'scheduler.v2.AnnouncePeerRequest' },
    );
    const codes = answers.map((answer) => (answer.case === 'errorResponse' ? answer.value.errorCode : answer.case));
    expect(codes).toEqual([5, 5, 5, 3, 'allExtensionNumbersResponse']);
  });
});
