import { readFileSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { common, scheduler } from '@d7y/api';
import { describe, expect, it } from '@jest/globals';
import { eventually, PeerStream, SchedulerRig, TASK_ID } from './_rig.ts';

type Request = MessageInitShape<typeof scheduler.AnnouncePeerRequestSchema>['request'];
type Member = scheduler.AnnouncePeerRequest['request']['case'];

interface Step {
  readonly peer?: string;
  readonly to?: Member | 'nothing';
  readonly from?: string;
  readonly end?: string;
  readonly cut?: true;
  readonly state?: { readonly peer: string; readonly is: string } | { readonly task: string };
  /** Fields of the registration, as protobuf JSON. */
  readonly download?: JsonObject;
  readonly piece?: number;
  readonly parent?: string;
  /** Peers that had been offered, repeated in full. */
  readonly candidates?: readonly string[];
  /** Peers that must be offered. */
  readonly parents?: readonly string[];
}

interface Recorded {
  readonly hosts: Readonly<Record<string, number>>;
  readonly conversations: readonly { readonly name: string; readonly steps: readonly Step[] }[];
}

const recorded = JSON.parse(
  readFileSync(new URL('../testdata/stock-conversations.json', import.meta.url), 'utf8'),
) as Recorded;
const PIECE_LENGTH = 4 * 2 ** 20;
const REGISTRATION = {
  url: 'https://registry.example/v2/library/app/blobs/x',
  actualContentLength: String(2 * PIECE_LENGTH),
  actualPieceLength: String(PIECE_LENGTH),
  actualPieceCount: '2',
};

const peerId = (name: string): string => `peer-${name}`;

/** Plays one conversation against a real scheduler. */
class Player implements AsyncDisposable {
  readonly #rig: SchedulerRig;
  readonly #streams = new Map<string, PeerStream>();
  readonly #offered = new Map<string, common.Peer>();

  constructor(rig: SchedulerRig) {
    this.#rig = rig;
  }

  async play(step: Step): Promise<void> {
    const { peer: name = '', to, from, end, cut, state } = step;
    if (state !== undefined) return this.#expectState(state);
    let stream = this.#streams.get(name);
    if (to !== undefined) {
      if (stream === undefined) {
        stream = new PeerStream(this.#rig.client, { hostId: name, taskId: TASK_ID, peerId: peerId(name) });
        this.#streams.set(name, stream);
      }
      stream.say(to === 'nothing' ? undefined : this.#request(to, step));
    } else if (stream === undefined) throw new Error(`${name} has not spoken yet`);
    if (from !== undefined) await this.#expectAnswer(await stream?.answer(), from, step.parents);
    if (end !== undefined) await this.#expectEnd(stream, end);
    if (cut === true) {
      stream?.cut();
      this.#streams.delete(name);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams.values()) await stream[Symbol.asyncDispose]();
  }

  #request(member: Exclude<Member, undefined>, step: Step): Request {
    const times = { cost: { nanos: 5_000_000 }, createdAt: { seconds: 1n } };
    const { piece: number = 0, parent } = step;
    const place = { offset: BigInt(number * PIECE_LENGTH), length: BigInt(PIECE_LENGTH), digest: 'crc32:907060870' };
    switch (member) {
      case 'registerPeerRequest': {
        const download = fromJson(common.DownloadSchema, { ...REGISTRATION, ...step.download });
        return { case: member, value: { download } };
      }
      case 'reschedulePeerRequest': {
        const candidateParents = (step.candidates ?? []).flatMap((name) => this.#offered.get(peerId(name)) ?? []);
        return { case: member, value: { candidateParents, description: 'not enough' } };
      }
      case 'downloadPieceFinishedRequest': {
        const origin = { parentId: peerId(parent ?? ''), trafficType: common.TrafficType.REMOTE_PEER };
        return { case: member, value: { piece: { number, ...place, ...times, ...origin } } };
      }
      case 'downloadPieceBackToSourceFinishedRequest': {
        const trafficType = common.TrafficType.BACK_TO_SOURCE;
        return { case: member, value: { piece: { number, ...place, ...times, trafficType } } };
      }
      case 'downloadPieceFailedRequest':
        return { case: member, value: { pieceNumber: number, parentId: peerId(parent ?? ''), temporary: true } };
      case 'downloadPieceBackToSourceFailedRequest': {
        const backend = { message: 'not there', statusCode: 404, header: {} };
        return { case: member, value: { response: { case: 'backend', value: backend } } };
      }
      default:
        return { case: member, value: {} };
    }
  }

  async #expectAnswer(
    answer: scheduler.AnnouncePeerResponse['response'] | undefined,
    member: string,
    parents: readonly string[] | undefined,
  ): Promise<void> {
    expect(answer?.case).toBe(member);
    if (answer?.case !== 'normalTaskResponse') return;
    const { candidateParents } = answer.value;
    expect(candidateParents.length).toBeLessThanOrEqual(3);
    expect(candidateParents.map(({ id }) => id).sort()).toEqual((parents ?? []).map(peerId).sort());
    for (const parent of candidateParents) {
      this.#offered.set(parent.id, parent);
      // What stock daemons need of a parent, and what the rules ask of one that is repeated in a reschedule.
      expect(parent).toMatchObject({ cost: {}, createdAt: {}, updatedAt: {}, task: { id: TASK_ID, pieces: [] } });
      expect(parent.state).not.toBe('');
      expect(parent.host).toMatchObject({ ip: '127.0.0.1', hostname: expect.stringMatching(/./) as unknown });
      expect(parent.task?.requestHeader).toEqual({});
    }
    await Promise.resolve();
  }

  async #expectEnd(stream: PeerStream | undefined, code: string): Promise<void> {
    const ended = await stream?.answer().then(
      (answer) => (answer === undefined ? 'OK' : `an answer: ${answer.case ?? 'empty'}`),
      (error: unknown) => Code[ConnectError.from(error).code],
    );
    expect(ended).toBe(code);
  }

  /** Reports have no answer: what they changed is seen a moment later. */
  async #expectState(state: NonNullable<Step['state']>): Promise<void> {
    const ids = { hostId: 'a', taskId: TASK_ID };
    const stateNow = async (): Promise<string> =>
      'task' in state
        ? (await this.#rig.client.statTask(ids)).state
        : (await this.#rig.client.statPeer({ ...ids, peerId: peerId(state.peer) })).state;
    const expected = 'task' in state ? state.task : state.is;
    await eventually(async () => (await stateNow()) === expected);
  }
}

describe('a stock daemon', () => {
  it.each(recorded.conversations)('$name', async ({ steps }) => {
    // Leave to ask the origin passes on as soon as its holder is gone, and a standstill is over quickly.
    await using rig = await SchedulerRig.start({ swarm: { leaseGraceMs: 30, waitDeadlineMs: 100, gatherMs: 0 } });
    for (const [id, type] of Object.entries(recorded.hosts)) await rig.announce(id, { type });
    await using player = new Player(rig);
    for (const step of steps) await player.play(step);
  });

  it('says everything that the protocol has for it', () => {
    const said = new Set(recorded.conversations.flatMap(({ steps }) => steps.flatMap(({ to }) => to ?? [])));
    const heard = new Set(recorded.conversations.flatMap(({ steps }) => steps.flatMap(({ from }) => from ?? [])));
    for (const { localName } of scheduler.AnnouncePeerRequestSchema.oneofs[0]?.fields ?? [])
      expect(said).toContain(localName);
    for (const { localName } of scheduler.AnnouncePeerResponseSchema.oneofs[0]?.fields ?? [])
      expect(heard).toContain(localName);
  });
});
