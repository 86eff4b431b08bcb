import { type Address, masked4, masked6, type Network } from './address.ts';

/** Whose networks an address is in: one look-up for each prefix length that occurs, however many networks there are. */
export class NetworkTable {
  /** Prefix length → fixed bits → owners. */
  readonly #ipv4 = new Map<number, Map<number, number[]>>();
  readonly #ipv6 = new Map<number, Map<bigint, number[]>>();

  add({ address, prefixLength }: Network, owner: number): void {
    if (address.family === 4) own(this.#ipv4, prefixLength, address.bits, owner);
    else own(this.#ipv6, prefixLength, address.bits, owner);
  }

  /** Tells the owners of networks with this address; one with several of them comes several times. */
  forEachOwner(address: Address, tell: (owner: number) => void): void {
    if (address.family === 4) {
      for (const [length, networks] of this.#ipv4) networks.get(masked4(address.bits, length))?.forEach(tell);
    } else {
      for (const [length, networks] of this.#ipv6) networks.get(masked6(address.bits, length))?.forEach(tell);
    }
  }
}

function own<Bits>(table: Map<number, Map<Bits, number[]>>, length: number, bits: Bits, owner: number): void {
  let networks = table.get(length);
  if (networks === undefined) table.set(length, (networks = new Map<Bits, number[]>()));
  const owners = networks.get(bits);
  if (owners === undefined) networks.set(bits, [owner]);
  else owners.push(owner);
}
