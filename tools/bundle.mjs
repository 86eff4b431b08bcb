// Bundles one application into a single file that needs nothing but Node: node tools/bundle.mjs apps/<name>
import { build } from 'esbuild';

const root = process.argv[2];
await build({
  entryPoints: [`${root}/src/main.ts`],
  outfile: `${root}/bundle/main.mjs`,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  conditions: ['@d7y/source'],
  external: ['pg-native'],
  minifySyntax: true,
  keepNames: true,
  sourcemap: true,
  legalComments: 'linked',
  banner: {
    js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);const __filename=import.meta.filename,__dirname=import.meta.dirname;",
  },
});
