/** What every row has. */
export interface Row {
  readonly id: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The fields that every stored thing answers with. Rows are removed for good, so none of them is deleted. */
export const storedFields = ({ id, createdAt, updatedAt }: Row) =>
  ({ id, created_at: createdAt.toISOString(), updated_at: updatedAt.toISOString(), is_del: 0 }) as const;

/** An instant, or nothing where there was none. */
export const instantOf = (date: Date | null | undefined): string | null => date?.toISOString() ?? null;

/** A document of the database as an answer: the fields of its type are of no matter here. */
export const documentOf = (document: object): Record<string, unknown> => ({ ...document });

/** A document without the nulls that stand for absence. */
export function withoutNulls<T>(value: T): WithoutNulls<T> {
  if (Array.isArray(value)) return value.map((item: unknown) => withoutNulls(item)) as WithoutNulls<T>;
  if (typeof value !== 'object' || value === null) return value as WithoutNulls<T>;
  const fields = Object.entries(value).filter(([, field]) => field !== null && field !== undefined);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutNulls(field as unknown)])) as WithoutNulls<T>;
}

/** The type without null and undefined, all the way down. */
export type WithoutNulls<T> = T extends readonly (infer Item)[]
  ? WithoutNulls<Item>[]
  : T extends object
    ? { [Key in keyof T]: WithoutNulls<Exclude<T[Key], null | undefined>> }
    : T;
