// Lints texts as if they were the content of files of the workspace: JSON [{ path, text }] on standard input, JSON
// [{ path, messages: [{ rule, message }] }] on standard output. A path has to exist, or type-aware rules would not know its project;
// the file itself is neither read nor written.
import { text } from 'node:stream/consumers';
import { ESLint } from 'eslint';
import type { LintedText, TextToLint } from './texts.ts';

const texts = JSON.parse(await text(process.stdin)) as TextToLint[];
const eslint = new ESLint();
const linted: LintedText[] = [];
for (const { path, text: source } of texts) {
  const [result] = await eslint.lintText(source, { filePath: path });
  linted.push({
    path,
    messages: (result?.messages ?? []).map(({ ruleId, message }) => ({ rule: ruleId ?? 'parser', message })),
  });
}
console.log(JSON.stringify(linted));
