import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { LOG_LEVELS, runService, StartError } from '@d7y/service-kit';
import type { LogLevel } from '@d7y/service-kit';
import { Command, InvalidArgumentError, Option } from 'commander';
import { defaultDataDir } from './data-dir.ts';
import { PORT_SPAN } from './plan.ts';
import { formatProof, formatRootPassword, formatUse } from './report.ts';
import { startCluster } from './up.ts';

interface UpFlags {
  readonly dataDir: string;
  readonly portBase: number;
  readonly otlpEndpoint?: string;
  readonly logLevel: LogLevel;
  readonly proof: boolean;
  readonly output: 'text' | 'json';
}

function parsePortBase(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1024 || port + PORT_SPAN > 65_534) {
    throw new InvalidArgumentError(`expected a port from 1024 to ${65_534 - PORT_SPAN}`);
  }
  return port;
}

/** The bundles of tools lie beside ours; where one does not, it has been installed by other means. */
function commandOf(tool: 'dfget' | 'dfctl'): string {
  const bundle = resolve(import.meta.dirname, `../../${tool}/bundle/main.mjs`);
  return existsSync(bundle) ? `${process.execPath} ${bundle}` : tool;
}

const program = new Command('dragonfly')
  .description('Peer-to-peer distribution of images and files, all of it in one process.')
  .version('0.0.0', '-V, --version', 'print the version');

program
  .command('up')
  .description(
    'start manager, scheduler, seed peer and three daemons on loopback, prove that they work, stay up until Ctrl-C',
  )
  .option('--data-dir <dir>', 'where everything is kept', defaultDataDir(process.getuid?.(), process.env))
  .option('--port-base <port>', `first port; services use up to ${PORT_SPAN} above it`, parsePortBase, 4000)
  .option('--otlp-endpoint <url>', 'send traces there (OTLP over HTTP), such as http://127.0.0.1:4318')
  .addOption(
    new Option('-l, --log-level <level>', 'least severe level logged').choices([...LOG_LEVELS]).default('warn'),
  )
  .option('--no-proof', 'do not get a file through the cluster first')
  .addOption(new Option('--output <format>', 'how to report').choices(['text', 'json']).default('text'))
  .action((flags: UpFlags) => {
    void runService(async (signal) => {
      const report = (line: string) => void process.stderr.write(`${line}\n`);
      const { otlpEndpoint } = flags;
      const cluster = await startCluster({ ...flags, otlpEndpoint, env: process.env, report }, { signal });
      const { plan, proof, rootPassword } = cluster;
      if (flags.output === 'json') {
        const daemons = plan.daemons.map(({ name, isSeed, proxyPort, socketPath }) => ({
          ...{ name, isSeed, socketPath },
          proxy: `http://127.0.0.1:${proxyPort}`,
        }));
        const manager = {
          grpc: `127.0.0.1:${plan.manager.grpcPort}`,
          rest: `http://127.0.0.1:${plan.manager.restPort}`,
          metrics: `http://127.0.0.1:${plan.manager.metricsPort}/metrics`,
          rootPassword: rootPassword?.reveal() ?? null,
        };
        const worker = { metrics: `http://127.0.0.1:${plan.manager.workerMetricsPort}/metrics` };
        const scheduler = `127.0.0.1:${plan.schedulerPort}`;
        process.stdout.write(`${JSON.stringify({ manager, worker, scheduler, daemons, proof })}\n`);
      } else {
        if (proof !== undefined) process.stdout.write(`${formatProof(proof)}\n\n`);
        if (rootPassword !== undefined) process.stdout.write(`${formatRootPassword(rootPassword)}\n\n`);
        const commands = { dfget: commandOf('dfget'), dfctl: commandOf('dfctl') };
        process.stdout.write(`${formatUse(plan, commands)}\n\nUp; data in ${flags.dataDir}. Ctrl-C stops it.\n`);
      }
      if (proof !== undefined && !proof.holds) {
        await cluster[Symbol.asyncDispose]();
        throw new StartError(
          'the proof failed: the origin sent more or less than each byte once, or a client got other bytes',
        );
      }
      return cluster;
    });
  });

await program.parseAsync(process.argv);
