import { apiHostOf, ImageReferenceError, parseImageReference, parseRegistryPath } from '@d7y/oci';
import { PreheatRequestError } from './request.ts';

/** Whether an image is named as people do, without a scheme. */
export const isBareReference = (text: string): boolean => !text.includes('://');

/**
 * The URL of a manifest for what people and programs call an image: `nginx`, `ghcr.io/org/app:v1`, `https://HOST/v2/REPOSITORY/manifests/TAG`.
 * @throws {PreheatRequestError}
 */
export function manifestUrlOf(text: string): string {
  if (!isBareReference(text)) {
    const url = URL.parse(text);
    if (url === null || parseRegistryPath(url.pathname).kind !== 'manifest' || !/^https?:$/.test(url.protocol))
      throw new PreheatRequestError('url: expected https://REGISTRY/v2/REPOSITORY/manifests/REFERENCE');
    if (url.username !== '' || url.password !== '')
      throw new PreheatRequestError('url: user and password belong into username and password');
    url.hash = '';
    return url.href;
  }
  try {
    const { registry, repository, tag, digest } = parseImageReference(text);
    return `https://${apiHostOf(registry)}/v2/${repository}/manifests/${digest ?? tag}`;
  } catch (error) {
    if (error instanceof ImageReferenceError) throw new PreheatRequestError(`url: ${error.message}`, { cause: error });
    throw error;
  }
}
