// Stands-in for the ports, behind a door of their own: nothing that ships loads them.
export { MemoryTagDirectory } from './memory-tag-directory.ts';
