import { z } from 'zod';

/** Largest integer that JSON carries without loss. */
const MAX_ID = Number.MAX_SAFE_INTEGER;
const MAX_PORT = 65_535;
/** Bytes of text nobody needs more of; PostgreSQL could take them, people could not. */
const MAX_URL = 4_096;

export const id = z.int().min(1).max(MAX_ID);

/** An id in a path or a query, where everything is text. */
export const textId = z.coerce.number().int().min(1).max(MAX_ID);

/** An instant in RFC 3339, as answers carry it. */
export const timestamp = z.string().meta({ format: 'date-time' });

/** An instant in RFC 3339 as requests carry it, with any offset. */
export const instant = z.iso.datetime({ offset: true });

/** Text of one line: names, places, versions. PostgreSQL keeps no NUL. */
export const line = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .regex(/^\P{Cc}*$/u, 'must not contain control characters');

/** Text of several lines. */
export const prose = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((text) => !text.includes('\0'), 'must not contain NUL');

export const name = line(256).min(1);
export const bio = prose(1_024);
export const place = line(1_024);
export const hostName = line(253).min(1);
export const ip = z.union([z.ipv4(), z.ipv6()]);
export const port = z.int().min(1).max(MAX_PORT);
/** A port that is not there is 0. */
export const optionalPort = z.int().min(0).max(MAX_PORT);
export const textPort = z.coerce.number().int().min(0).max(MAX_PORT);
export const url = line(MAX_URL).min(1);
export const activity = z.enum(['active', 'inactive']);

export const idParams = z.strictObject({ id: textId });

/** Largest page that the published manager takes; ours are bounded by what one answer may hold. */
export const MAX_PER_PAGE = 10_000_000;

/** Which page of a list, counted from 1. */
export const paging = {
  page: z.coerce.number().int().min(1).max(MAX_PER_PAGE).default(1),
  per_page: z.coerce.number().int().min(1).max(MAX_PER_PAGE).default(10),
};

/** What every stored thing answers with. Rows are deleted for good: `is_del` is always 0. */
export const stored = { id, created_at: timestamp, updated_at: timestamp, is_del: z.literal(0) };
