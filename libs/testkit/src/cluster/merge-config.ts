import type { AppConfig } from './spawn-app.ts';

/** Lays one configuration over another: objects are joined key by key, anything else is replaced. */
export function mergeConfig(base: AppConfig, over: AppConfig): AppConfig {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isSection(below) && isSection(value) ? mergeConfig(below, value) : value;
  }
  return merged;
}

function isSection(value: unknown): value is AppConfig {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
