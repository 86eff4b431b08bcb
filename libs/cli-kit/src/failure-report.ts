import { describeSystemError, safeText } from '@d7y/service-kit';
import { CliError } from './errors.ts';

const SEPARATOR = '*'.repeat(60);

/** One block for people: what failed, why, what the origin said, what helps. Secrets in messages are blotted out. */
export function describeFailure(error: unknown, { color }: { color: boolean }): string {
  const known = error instanceof CliError ? error : undefined;
  const headline = known?.headline ?? 'Failed!';
  const lines = [
    `Message: ${safeText(messageOf(error))}`,
    ...(known?.details ?? []).map((line) => safeText(line)),
    ...(known?.remedy === undefined ? [] : [`Remedy: ${known.remedy}`]),
  ];
  const shownHeadline = color ? `\u001B[1;31m${headline}\u001B[0m` : headline;
  return [shownHeadline, SEPARATOR, ...lines, SEPARATOR, ''].join('\n');
}

/** The same for programs: one line of JSON. */
export function failureJson(error: unknown): string {
  const known = error instanceof CliError ? error : undefined;
  const { remedy, details } = known ?? { remedy: undefined, details: [] };
  const shown = {
    code: known?.code ?? 'INTERNAL',
    message: safeText(messageOf(error)),
    remedy,
    details: details.map(safeText),
  };
  return `${JSON.stringify({ error: shown })}\n`;
}

function messageOf(error: unknown): string {
  return describeSystemError(error) ?? (error instanceof Error ? error.message || error.name : String(error));
}
