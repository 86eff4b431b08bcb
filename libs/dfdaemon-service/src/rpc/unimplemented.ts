import { Code, ConnectError } from '@connectrpc/connect';

const ANSWERS = {
  listTaskEntries: 'http(s) origins have no directories to list',
  persistent: 'persistent tasks are not available in this daemon',
  cache: 'cache tasks are not available in this daemon',
  ibVerbs: 'pieces over RDMA are not available in this daemon',
} as const;

/** A method that exists in the protocol, and not here. */
export const unimplemented = (what: keyof typeof ANSWERS) => (): never => {
  throw new ConnectError(ANSWERS[what], Code.Unimplemented);
};
