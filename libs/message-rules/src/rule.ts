/**
 * What the value of one field must be. Rules with `orEmpty` let the zero value (empty text, 0, no items) pass.
 * A field with explicit presence is held to its rule only when it is set.
 */
export type Rule = TextRule | BytesRule | NumberRule | ItemsRule | DurationRule | RequiredRule | DefinedEnumRule;

/** Lengths count Unicode code points. */
export interface TextRule {
  readonly kind: 'text';
  readonly minLength?: number;
  readonly maxLength?: number;
  /** Source of a regular expression in the syntax that RE2 and JavaScript share. */
  readonly pattern?: string;
  /** uri: absolute, with a scheme; ip: an IPv4 or IPv6 literal without zone; hostname: RFC 1123. */
  readonly format?: 'uri' | 'ip' | 'hostname';
  readonly oneOf?: readonly string[];
  readonly orEmpty?: true;
}

export interface BytesRule {
  readonly kind: 'bytes';
  readonly length?: number;
  readonly minLength?: number;
  readonly orEmpty?: true;
}

/** Bounds of an int32, uint32, int64, uint64 or double. NaN breaks none of them. */
export interface NumberRule {
  readonly kind: 'number';
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly below?: number;
  readonly orEmpty?: true;
}

/** Entries of a repeated field. */
export interface ItemsRule {
  readonly kind: 'items';
  readonly atLeast: number;
  readonly orEmpty?: true;
}

/** Bounds of a google.protobuf.Duration that is set; an absent one passes. */
export interface DurationRule {
  readonly kind: 'duration';
  readonly atLeastSeconds: number;
  readonly atMostSeconds: number;
}

/** A message field, or one member of a oneof, must be set. */
export interface RequiredRule {
  readonly kind: 'required';
}

/** An enum may only take values that its definition names. */
export interface DefinedEnumRule {
  readonly kind: 'definedEnum';
}

/** Rules of one message: proto field names, and `oneof <name>` for a oneof as a whole. */
export type MessageRules = Readonly<Record<string, Rule>>;

/** Rules of one package: message names without the package. */
export type PackageRules = Readonly<Record<string, MessageRules>>;
