// Bundles one application into a single file that needs nothing but Node: node tools/bundle.mjs apps/<name>
import { cp, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { build } from 'esbuild';

const OPTIONS = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  conditions: ['@d7y/source'],
  external: ['pg-native'],
  minifySyntax: true,
  // Programs keep their source in memory.
  minifyWhitespace: true,
  lineLimit: 160,
  sourcemap: true,
  legalComments: 'linked',
  banner: {
    js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);const __filename=import.meta.filename,__dirname=import.meta.dirname;",
  },
  metafile: true,
};

const root = process.argv[2];
/** Modules that run on threads of their own, beside the bundle of every application that has the module which starts them. */
const THREADS = { 'libs/peer-protocol/src/receiver.ts': 'libs/peer-protocol/src/receiver-thread.ts' };

const { metafile } = await bundle(`${root}/src/main.ts`, `${root}/bundle/main.mjs`);
for (const [starter, entry] of Object.entries(THREADS)) {
  const isUsed = Object.values(metafile.outputs).some(({ inputs }) =>
    Object.keys(inputs).some((path) => path.endsWith(starter)),
  );
  if (isUsed) await bundle(entry, `${root}/bundle/${basename(entry, '.ts')}.mjs`);
}

/** Folders of files that programs serve, copied beside the bundle of every application that has the package. */
const FOLDERS = { 'node_modules/@fastify/swagger-ui/': ['node_modules/@fastify/swagger-ui/static', 'swagger-ui'] };
for (const [owner, [from, to]] of Object.entries(FOLDERS)) {
  const isUsed = Object.values(metafile.outputs).some(({ inputs }) =>
    Object.keys(inputs).some((path) => path.includes(owner)),
  );
  if (isUsed) await cp(from, `${root}/bundle/${to}`, { recursive: true });
}

async function bundle(entry, outfile) {
  const built = await build({ ...OPTIONS, entryPoints: [entry], outfile });
  const [beyond] = /[^\0-\xff]/u.exec(await readFile(outfile, 'utf8')) ?? [];
  // Strings are escaped; what is left is in regular expressions.
  if (beyond !== undefined)
    throw new Error(
      `${outfile}: "${beyond}" is beyond Latin-1, for which V8 keeps the whole source in twice the memory`,
    );
  return built;
}
