export { figuresOf, normalTimesMs } from './figures.ts';
export type { Comparison, Figure } from './figures.ts';
export { completionPlot } from './plot.ts';
export type { PlotLine } from './plot.ts';
export { DEFAULT_DAEMON_RULES, MAX_PARENTS, MAX_ZONES, optimumMs, SCENARIOS, settingsOf } from './settings.ts';
export type { DaemonRules, PolicyName, ScenarioName, Settings, SettingsInput, StockRules } from './settings.ts';
export { simulate } from './simulate.ts';
export type { SimulatePorts } from './simulate.ts';
export type { Outcome } from './outcome.ts';
