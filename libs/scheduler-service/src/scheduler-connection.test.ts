import type { SchedulerConnection } from '@d7y/peer-engine';
import { describeSchedulerConnection } from '@d7y/peer-engine/conformance';
import { connectHost, OwnHost } from './_own-host.ts';
import { SchedulerRig } from './_rig.ts';

const WAYS: Readonly<
  Record<string, (rig: SchedulerRig, hostId: string, stack: AsyncDisposableStack) => Promise<SchedulerConnection>>
> = {
  AnnouncePeer: async (rig, hostId, stack) => stack.use(await connectHost(rig, hostId)),
  'the own stream': async (rig, hostId, stack) => stack.use(await OwnHost.open(rig, hostId)).peers,
};

for (const [way, connect] of Object.entries(WAYS)) {
  describeSchedulerConnection(way, async () => {
    await using stack = new AsyncDisposableStack();
    const rig = stack.use(await SchedulerRig.start({ swarm: { seedsEnabled: false } }));
    const hosts = stack.use(new AsyncDisposableStack());
    const owned = stack.move();
    return {
      connect: (hostId) => connect(rig, hostId, hosts),
      cut: async () => {
        await rig.running[Symbol.asyncDispose]();
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  });
}
