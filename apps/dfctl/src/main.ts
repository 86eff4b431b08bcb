#!/usr/bin/env node
import { cancelOnSignals } from '@d7y/cli-kit';
import { runDfctl } from './run.ts';

process.exitCode = await runDfctl(process.argv.slice(2), process, cancelOnSignals());
