/** Header names, lower-case, that carry a credential … */
const SECRET_HEADERS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
/** … or whose name says that they do. */
const SECRET_NAME = /auth|token|secret|password|credential|signature|api-?key|session/i;

/** Whether a request header may carry a credential, so that nobody but who it is meant for may be told of it. */
export function isSecretHeader(name: string): boolean {
  return SECRET_HEADERS.has(name.toLowerCase()) || SECRET_NAME.test(name);
}
