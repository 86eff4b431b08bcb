import { packetIdOf } from '@d7y/peer-protocol';
import { type Context, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace, type Tracer } from '@opentelemetry/api';
import { describe, expect, it } from '@jest/globals';
import { FakeTask, TASK_ID } from '../_fakes.ts';
import { ChildTraces } from './child-traces.ts';
import { Uploads } from './uploads.ts';

const CHILD = { ip: '10.0.0.5', packetId: packetIdOf('10.0.0.5-node') };
const signal = new AbortController().signal;

function setUp(options: { disableShared?: boolean } = {}) {
  const task = new FakeTask(2500);
  const traces = new ChildTraces();
  const parents: Context[] = [];
  const tracer: Tracer = {
    startSpan: (_name, _options, parent) => {
      parents.push(parent ?? ROOT_CONTEXT);
      return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
    },
    startActiveSpan: () => {
      throw new Error('uploads end when the transfer does');
    },
  };
  const sent: number[] = [];
  const uploads = new Uploads({
    store: task.store,
    pieces: task,
    traces,
    tracer,
    metrics: { uploadStarted: () => undefined, uploadEnded: (bytes) => void sent.push(bytes) },
    steering: { asked: () => () => undefined },
    disableShared: options.disableShared ?? false,
  });
  const open = (number: number) => uploads.openPiece('standard', TASK_ID, number, CHILD, { signal });
  return { task, traces, parents, uploads, open, sent };
}

describe('Uploads', () => {
  it('describes a finished piece and reads it from its own start', async () => {
    const { task, open } = setUp();
    await task.finish(2);
    const piece = await open(2);
    expect(piece).toMatchObject({ number: 2, offset: 2000, length: 500, parentId: '' });
    const target = Buffer.alloc(1000);
    expect(await piece?.read(100, target)).toBe(400);
    expect(target.subarray(0, 400)).toEqual(task.content.subarray(2100, 2500));
  });

  it('has no piece that is not here and not coming', async () => {
    const { task, open } = setUp();
    expect(await open(0)).toBeUndefined();
    await task.finish(1);
    expect(await open(0)).toBeUndefined();
  });

  it('weakness 41: serves nothing when sharing is off, and no family of tasks it does not have', async () => {
    const { task, open } = setUp({ disableShared: true });
    await task.finishAll();
    expect(await open(0)).toBeUndefined();
    const other = setUp();
    await other.task.finishAll();
    expect(await other.uploads.openPiece('persistent', TASK_ID, 0, CHILD, { signal })).toBeUndefined();
  });

  it('counts what is sent, once per piece', async () => {
    const { task, open, uploads, sent } = setUp();
    await task.finishAll();
    const first = await open(0);
    const second = await open(1);
    expect(uploads.countsOf(TASK_ID)).toEqual({ uploading: 2, uploaded: 0 });
    first?.close(1000);
    first?.close(1000);
    second?.close(300, new Error('the child left'));
    expect(uploads.countsOf(TASK_ID)).toEqual({ uploading: 0, uploaded: 1 });
    expect(uploads.totalBytes).toBe(1300);
    expect(sent).toEqual([1000, 300]);
  });

  it('puts an upload into the trace of the child that asked for it', async () => {
    const { task, traces, parents, open } = setUp();
    await task.finishAll();
    const context = ROOT_CONTEXT.setValue(Symbol('trace'), 'theirs');
    const other = ROOT_CONTEXT.setValue(Symbol('trace'), 'another');
    traces.remember(TASK_ID, '10.0.0.9-other', other);
    traces.remember(TASK_ID, '10.0.0.5-node', context);
    await open(0);
    expect(parents).toEqual([context]);
  });

  it('finds the trace by address or packet id alone, where only that fits', () => {
    const traces = new ChildTraces();
    const context = ROOT_CONTEXT.setValue(Symbol('trace'), 'theirs');
    traces.remember(TASK_ID, '10.0.0.5-node', context);
    expect(traces.find(TASK_ID, { ip: '192.0.2.1', packetId: CHILD.packetId })).toBe(context);
    expect(traces.find(TASK_ID, { ip: '::ffff:10.0.0.5', packetId: CHILD.packetId ^ 1 })).toBe(context);
    expect(traces.find(TASK_ID, { ip: '192.0.2.1', packetId: CHILD.packetId ^ 1 })).toBeUndefined();
  });
});
