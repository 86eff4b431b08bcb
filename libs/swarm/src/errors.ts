import { DfError } from '@d7y/piece';

/** A text that should have been `ip:port` is none. */
export class AddressFormatError extends DfError {
  override readonly name = 'AddressFormatError';
  readonly code = 'ADDRESS_FORMAT';
  readonly retryable = false;
  readonly address: string;
  constructor(address: string) {
    super(`"${address}" is not an address such as 10.0.0.1:8002 or [2001:db8::1]:8002`);
    this.address = address;
  }
}
