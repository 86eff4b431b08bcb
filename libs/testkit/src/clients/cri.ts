import { connect } from 'node:net';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { ImageService } from '../gen/runtime/v1/images_pb.ts';
import type { Credentials } from '../registry/token-server.ts';
import type { Containerd } from './containerd.ts';

export interface CriPullOptions {
  readonly credentials?: Credentials;
  /** Restricts the credentials to this address, so that a mirror does not get them. */
  readonly serverAddress?: string;
  /** Default: 300 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Pulls as a kubelet does: through the image service on the runtime's socket, at most three layers at once.
 * @returns the digest of the image's configuration
 */
export async function criPull(node: Containerd, image: string, options: CriPullOptions = {}): Promise<string> {
  const { credentials, serverAddress, timeoutMs = 300_000, signal } = options;
  const auth = credentials && { ...credentials, ...(serverAddress === undefined ? {} : { serverAddress }) };
  const request = { image: { image }, ...(auth && { auth }) };
  const { imageRef } = await imageService(node).pullImage(request, { timeoutMs, ...(signal && { signal }) });
  return imageRef;
}

/** Removes an image that was pulled through the image service. */
export async function criRemove(node: Containerd, image: string): Promise<void> {
  await imageService(node).removeImage({ image: { image } }, { timeoutMs: 60_000 });
}

function imageService(node: Containerd): Client<typeof ImageService> {
  const transport = createGrpcTransport({
    baseUrl: 'http://localhost', // the authority; the address is the socket
    nodeOptions: { createConnection: () => connect(node.socket) },
    idleConnectionTimeoutMs: 1000,
  });
  return createClient(ImageService, transport);
}
