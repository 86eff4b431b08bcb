import { describeTagDirectory } from '../conformance/index.ts';
import { MemoryTagDirectory } from './memory-tag-directory.ts';

describeTagDirectory('MemoryTagDirectory', async () => {
  const one = new MemoryTagDirectory();
  const other = new MemoryTagDirectory(one);
  return {
    ...{ one, other, settle: async () => undefined },
    cutOff: async () => void (other.isCutOff = true),
    [Symbol.asyncDispose]: async () => undefined,
  };
});
