import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ConnectRouter, MethodImpl } from '@connectrpc/connect';
import { scheduler } from '@d7y/api';

/** Registers an answer for every method of the scheduler that `offered` does not have: Unimplemented, and why. */
export function registerUnsupported(router: ConnectRouter, offered: Readonly<Record<string, unknown>>): void {
  const methods: readonly DescMethod[] = scheduler.Scheduler.methods;
  for (const method of methods) {
    if (Object.hasOwn(offered, method.localName)) continue;
    const refuse = (): never => {
      throw new ConnectError(
        `${method.name} is not offered by this scheduler, which serves standard tasks only`,
        Code.Unimplemented,
      );
    };
    // What never returns fits every kind of method, which the types cannot say of a method known only at run time.
    router.rpc(method, refuse as MethodImpl<DescMethod>);
  }
}
