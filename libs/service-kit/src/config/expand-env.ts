/** A `${NAME}` whose variable is not set. */
export interface MissingVariable {
  readonly missing: string;
}

/**
 * Replaces `${NAME}` and `${NAME:-default}` (the default also stands in for an empty variable); `$${` stays as a literal `${`.
 */
export function expandEnv(text: string, env: Readonly<Record<string, string | undefined>>): string | MissingVariable {
  let missing: string | undefined;
  const expanded = text.replace(
    /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
    (whole, name: string | undefined, fallback: string | undefined) => {
      if (name === undefined) return '${';
      const value = env[name];
      if (value !== undefined && (value !== '' || fallback === undefined)) return value;
      if (fallback !== undefined) return fallback;
      missing ??= name;
      return whole;
    },
  );
  return missing === undefined ? expanded : { missing };
}

/** What YAML would have made of an unquoted value: numbers and booleans where the text is exactly one. */
export function retype(text: string): string | number | boolean {
  if (text === 'true') return true;
  if (text === 'false') return false;
  return /^-?\d/.test(text) && String(Number(text)) === text ? Number(text) : text;
}
