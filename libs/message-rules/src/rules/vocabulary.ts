import type {
  BytesRule,
  DefinedEnumRule,
  DurationRule,
  ItemsRule,
  NumberRule,
  RequiredRule,
  TextRule,
} from '../rule.ts';

const MIB = 2 ** 20;
const DAY_S = 86_400;

export const REQUIRED: RequiredRule = { kind: 'required' };
export const DEFINED: DefinedEnumRule = { kind: 'definedEnum' };

export const NON_EMPTY: TextRule = { kind: 'text', minLength: 1 };
/** Only tells readers that the field is meant to hold text when it is set: the empty text is let through. */
export const NON_EMPTY_IF_SET: TextRule = { kind: 'text', minLength: 1, orEmpty: true };
/** Names and labels that the manager stores in columns of this width. */
export const LABEL_IF_SET: TextRule = { kind: 'text', minLength: 1, maxLength: 1024, orEmpty: true };
export const IP: TextRule = { kind: 'text', format: 'ip' };
export const IP_IF_SET: TextRule = { kind: 'text', format: 'ip', orEmpty: true };
export const HOSTNAME: TextRule = { kind: 'text', format: 'hostname' };
export const URI: TextRule = { kind: 'text', format: 'uri' };
export const URI_IF_SET: TextRule = { kind: 'text', format: 'uri', orEmpty: true };
/** crc32 takes any number of hex characters, so the decimal form that pieces use passes too. */
export const DIGEST_IF_SET: TextRule = {
  kind: 'text',
  pattern:
    '^(md5:[a-fA-F0-9]{32}|sha1:[a-fA-F0-9]{40}|sha256:[a-fA-F0-9]{64}|sha512:[a-fA-F0-9]{128}|blake3:[a-fA-F0-9]{64}|crc32:[a-fA-F0-9]+)$',
  orEmpty: true,
};
export const PREHEAT_SCOPE: TextRule = { kind: 'text', pattern: '^(single_seed_peer|all_seed_peers|all_peers)$' };

export const CONTENT_IF_SET: BytesRule = { kind: 'bytes', minLength: 1, orEmpty: true };

export const ITEMS: ItemsRule = { kind: 'items', atLeast: 1 };
export const ITEMS_IF_ANY: ItemsRule = { kind: 'items', atLeast: 1, orEmpty: true };

export const NOT_NEGATIVE: NumberRule = { kind: 'number', atLeast: 0 };
export const PERCENT: NumberRule = { kind: 'number', atLeast: 0, atMost: 100 };
export const POSITIVE: NumberRule = { kind: 'number', atLeast: 1 };
/** Unprivileged ports; 65535 itself is refused. */
export const PORT: NumberRule = { kind: 'number', atLeast: 1024, below: 65535 };
export const PORT_IF_SET: NumberRule = { ...PORT, orEmpty: true };
export const HTTP_STATUS_IF_SET: NumberRule = { kind: 'number', atLeast: 100, below: 599, orEmpty: true };
export const PIECE_LENGTH: NumberRule = { kind: 'number', atLeast: 4 * MIB, atMost: 64 * MIB };
export const PIECE_LENGTH_IF_SET: NumberRule = { ...PIECE_LENGTH, orEmpty: true };
/** Where no upper bound is enforced. */
export const LONG_PIECE_LENGTH: NumberRule = { kind: 'number', atLeast: 4 * MIB };
export const LONG_PIECE_LENGTH_IF_SET: NumberRule = { ...LONG_PIECE_LENGTH, orEmpty: true };
/** A count that means "the default" when it is 0. */
export const upTo = (atMost: number): NumberRule => ({ kind: 'number', atLeast: 1, atMost, orEmpty: true });

/** How long schedulers keep a persistent task. */
export const SCHEDULED_TTL: DurationRule = { kind: 'duration', atLeastSeconds: 300, atMostSeconds: 7 * DAY_S };
/** How long a client may ask a daemon to keep one: the daemon accepts less than the scheduler does. */
export const REQUESTED_TTL: DurationRule = { kind: 'duration', atLeastSeconds: 60, atMostSeconds: 7 * DAY_S };
