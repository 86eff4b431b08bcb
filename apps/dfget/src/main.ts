#!/usr/bin/env node
import { cancelOnSignals } from '@d7y/cli-kit';
import { runDfget } from './run.ts';

process.exitCode = await runDfget(process.argv.slice(2), process, cancelOnSignals());
