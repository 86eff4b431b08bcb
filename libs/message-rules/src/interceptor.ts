import type { DescMessage, Message } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Check } from './check.ts';
import { checkOf } from './violation.ts';

/**
 * Server interceptor after which handlers see only messages that keep the rules: it checks every unary request and
 * every message of a client's stream. A message that breaks one ends the call with InvalidArgument, which names type,
 * field and rule. Types without rules pass through untouched.
 */
export function createRulesInterceptor(): Interceptor {
  return (next) => (request) => {
    const check = checkOf(request.method.input);
    if (check === undefined) return next(request);
    if (request.stream) return next({ ...request, message: checkedMessages(request.message, check) });
    assertValid(request.message, check);
    return next(request);
  };
}

/** What throws InvalidArgument for a message of this type that breaks a rule; undefined where none can. */
export function guardOf(type: DescMessage): ((message: Message) => void) | undefined {
  const check = checkOf(type);
  return check && ((message) => assertValid(message, check));
}

/** @throws {ConnectError} InvalidArgument */
function assertValid(message: Message, check: Check): void {
  const violation = check(message);
  if (violation === undefined) return;
  throw new ConnectError(`${message.$typeName}: ${violation.field} ${violation.rule}`, Code.InvalidArgument);
}

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * The same messages up to the first that breaks a rule; there it throws and gives the rest of the stream up. A plain
 * iterator, because a generator would hold a `return` back until the client sends its next message.
 */
function checkedMessages<T extends Message>(messages: AsyncIterable<T>, check: Check): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const source = messages[Symbol.asyncIterator]();
      let isBroken = false;
      return {
        async next() {
          if (isBroken) return END;
          const result = await source.next();
          if (result.done === true) return result;
          if (isBroken) return END; // by a message that was asked for at the same time
          try {
            assertValid(result.value, check);
          } catch (error) {
            isBroken = true;
            // neither waited for nor heard: whatever comes of it, what the caller must learn is the broken rule
            source.return?.().catch(() => undefined);
            throw error;
          }
          return result;
        },
        return: (value?: unknown) => source.return?.(value) ?? Promise.resolve({ done: true, value }),
      };
    },
  };
}
