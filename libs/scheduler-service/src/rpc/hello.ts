import { create, toBinary } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { swarm } from '@d7y/api';
import { encodedAnswer, grpcFrame } from '@d7y/service-kit';
import type { Access } from '../access/access.ts';
import type { Admission } from './admission.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';
import { VERSION } from '../version.ts';

/** Optional abilities of this scheduler. */
const FEATURES = ['link', 'peers'];

/** Processes of ours recognise each other. */
export function hello({
  driver,
  instanceId,
  access,
  admission,
}: {
  driver: SwarmDriver;
  instanceId: string;
  access: Access;
  admission: Pick<Admission, 'call'>;
}): Pick<ServiceImpl<typeof swarm.SwarmService>, 'hello'> {
  const introduction = create(swarm.HelloResponseSchema, { instanceId, version: VERSION, features: FEATURES });
  const answer = grpcFrame(toBinary(swarm.HelloResponseSchema, introduction));
  return {
    hello: encodedAnswer(swarm.SwarmService.method.hello, ({ instanceId: hostId }, values) => {
      admission.call();
      // Who asks on behalf of others, such as a tool of an operator, changes nothing.
      if (hostId !== '' && access.speaksFor({ values }, hostId)) driver.swarm.hostRecognised(hostId);
      return answer;
    }),
  };
}
