import { defineConfig } from 'drizzle-kit';

// drizzle-kit generate --name <what changes>, then: node tools/embed-migrations.mjs
export default defineConfig({ dialect: 'postgresql', schema: './src/schema/index.ts', out: './migrations' });
