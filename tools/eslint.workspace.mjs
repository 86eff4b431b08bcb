// The rules of eslint.config.mjs for the whole workspace in one process. There each project is a TypeScript program that holds its
// dependencies as well, which suits an editor; here all files are one program, so that each is read and checked once.
import { join } from 'node:path';
import rules from '../eslint.config.mjs';

const programOf = (...project) => ({
  languageOptions: {
    parserOptions: { projectService: false, project, tsconfigRootDir: join(import.meta.dirname, '..') },
  },
});

export default [
  ...rules,
  programOf('tools/tsconfig.lint.json'),
  {
    files: ['libs/swarm-simulator/**'],
    ...programOf('libs/swarm-simulator/tsconfig.lib.json', 'libs/swarm-simulator/tsconfig.spec.json'),
  },
];
