import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { transitionText } from './_transition-text.ts';
import { PEER_TRANSITIONS } from './peer.ts';
import { nextState } from './transition-table.ts';

const DOCUMENT = join(import.meta.dirname, '../../../docs/states.md');

describe('transition tables', () => {
  it('stand in docs/states.md; UPDATE_DOCS=1 writes them there', () => {
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, transitionText());
    expect(readFileSync(DOCUMENT, 'utf8')).toBe(transitionText());
  });

  it('make an event of a state, or nothing where it is not possible', () => {
    expect(nextState(PEER_TRANSITIONS, 'Running', 'downloadBackToSource')).toBe('BackToSource');
    expect(nextState(PEER_TRANSITIONS, 'Failed', 'downloadFailed')).toBeUndefined();
  });
});
