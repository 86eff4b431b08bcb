import type { Scopes } from '@d7y/cluster-search';
import type { JsonObject } from './cluster-facts.ts';
import { patternProblemOf } from './patterns.ts';

const TEXT = new TextEncoder();

/** JSON as bytes, which is how the messages carry it. */
export const jsonBytes = (value: unknown): Uint8Array<ArrayBuffer> => TEXT.encode(JSON.stringify(value));

/** What stock daemons refuse, and the whole configuration with it: these are left out, and told. */
export type TellProblem = (problem: string) => void;

/**
 * Configuration of daemons, or of seed peers, in the form in which stock daemons read it: they ignore all of it when a list of URLs is
 * null or one of its patterns is none.
 */
export function clientConfigOf(config: JsonObject, tell: TellProblem): JsonObject {
  const { block_list: blockList, ...rest } = config;
  const kinds = Object.entries(sectionOf(blockList)).flatMap(([kind, actions]): [string, JsonObject][] => {
    if (!isSection(actions)) return [];
    const lists = Object.entries(actions).flatMap(([action, list]): [string, JsonObject][] =>
      isSection(list) ? [[action, { ...entriesOf(list), urls: urlsOf(list['urls'], tell) }]] : [],
    );
    return [[kind, Object.fromEntries(lists)]];
  });
  return { ...present(rest), ...(kinds.length > 0 && { block_list: Object.fromEntries(kinds) }) };
}

/** Scopes as the search wants them; what has another form is nothing. */
export function scopesOf(scopes: JsonObject): Scopes {
  const { idc, location, cidrs, hostnames } = scopes;
  return { idc: textOf(idc), location: textOf(location), cidrs: textsOf(cidrs), hostnames: textsOf(hostnames) };
}

const isSection = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const sectionOf = (value: unknown): JsonObject => (isSection(value) ? value : {});
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const textsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];

/** Null stands for what nobody said. */
const present = (section: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(section).filter(([, value]) => value !== null && value !== undefined));

/** Lists of a block list but that of URLs. */
const entriesOf = ({ urls: _urls, ...lists }: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(lists).filter(([, list]) => Array.isArray(list)));

function urlsOf(urls: unknown, tell: TellProblem): readonly string[] {
  return textsOf(urls).filter((pattern) => {
    const problem = patternProblemOf(pattern);
    if (problem !== undefined) tell(`block list: the URL pattern ${JSON.stringify(pattern)} is left out: ${problem}`);
    return problem === undefined;
  });
}
