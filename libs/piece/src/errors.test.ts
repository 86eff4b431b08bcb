import { expect, it } from '@jest/globals';
import * as piece from './index.ts';

const SAMPLES = [
  new piece.DigestFormatError('x'),
  new piece.InvalidLayoutError(1, 0),
  new piece.PieceOutOfRangeError(3, 2),
];

it.each(SAMPLES)('tells what went wrong in $name', (error) => {
  expect(error).toBeInstanceOf(piece.DfError);
  expect(error.name).toBe(error.constructor.name);
  expect(error.code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
  expect(error.retryable).toBe(false);
  expect(error.message).toMatch(/^\S.*[^.]$/);
});

it('uses each code once, and knows all of its errors', () => {
  expect(new Set(SAMPLES.map(({ code }) => code)).size).toBe(SAMPLES.length);
  const exported = Object.keys(piece).filter((name) => name.endsWith('Error') && name !== 'DfError');
  expect(exported.sort()).toEqual(SAMPLES.map(({ name }) => name as string).sort());
});
