import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { pageLinks } from './page-links.ts';

describe('pageLinks', () => {
  it('writes four links in the published order and form', () => {
    expect(pageLinks('/api/v1/clusters?page=2&per_page=10', { page: 2, perPage: 10, totalCount: 35 })).toBe(
      '</api/v1/clusters?page=1&per_page=10>;rel=prev,</api/v1/clusters?page=3&per_page=10>;rel=next,' +
        '</api/v1/clusters?page=1&per_page=10>;rel=first,</api/v1/clusters?page=4&per_page=10>;rel=last',
    );
  });

  it('has a first and last page where there are no rows', () => {
    expect(pageLinks('/api/v1/jobs', { page: 1, perPage: 10, totalCount: 0 })).toBe(
      ['prev', 'next', 'first', 'last'].map((rel) => `</api/v1/jobs?page=1&per_page=10>;rel=${rel}`).join(','),
    );
  });

  it('keeps the other parameters of the query, sorted, as Go encodes them', () => {
    expect(pageLinks('/t?url=a b*~&state=x', { page: 1, perPage: 5, totalCount: 1 })).toContain(
      '</t?page=1&per_page=5&state=x&url=a+b%2A~>;rel=first',
    );
  });

  it('never names a page that does not exist', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 99 }),
        fc.integer({ min: 1, max: 99 }),
        fc.nat(9_999),
        (page, perPage, totalCount) => {
          const last = Math.max(1, Math.ceil(totalCount / perPage));
          for (const [, number] of pageLinks('/x', { page, perPage, totalCount }).matchAll(/[?&]page=(\d+)/g)) {
            expect(Number(number)).toBeGreaterThanOrEqual(1);
            expect(Number(number)).toBeLessThanOrEqual(Math.max(last, page - 1));
          }
        },
      ),
    );
  });
});
