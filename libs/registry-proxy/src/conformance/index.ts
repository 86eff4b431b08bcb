// Apart from the main door: these import Jest, which cannot be loaded outside of a test.
export { describeTagDirectory, tagRecord } from './tag-directory.ts';
export type { TagDirectoriesUnderTest } from './tag-directory.ts';
