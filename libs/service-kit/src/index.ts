export { AsyncQueue, QueueFullError } from './async/async-queue.ts';
export { delay } from './async/delay.ts';
export { linkedSignal } from './async/linked-signal.ts';
export type { LinkedSignal } from './async/linked-signal.ts';
export { unlessAborted } from './async/unless-aborted.ts';
export { untilAborted } from './async/until-aborted.ts';
export { TimeoutError, withTimeout } from './async/with-timeout.ts';
export { ConfigError } from './config/config-error.ts';
export { defaultDirectories } from './config/directories.ts';
export type { Directories } from './config/directories.ts';
export {
  byteRate,
  byteSize,
  duration,
  httpUrl,
  ipAddress,
  listenAddress,
  logLevel,
  port,
  secretString,
} from './config/fields.ts';
export type { ListenAddress } from './config/fields.ts';
export { configurationTables } from './config/key-table.ts';
export type { DescribedConfiguration } from './config/key-table.ts';
export { managerAddress, managerOf } from './config/manager-address.ts';
export type { ManagerAddress } from './config/manager-address.ts';
export { readConfig } from './config/read-config.ts';
export { secretOrFile } from './config/secret-file.ts';
export { tracingKeys, tracingOf } from './config/tracing-keys.ts';
export type { WrittenTracing } from './config/tracing-keys.ts';
export type { ConfigRead, ReadConfigOptions } from './config/read-config.ts';
export { formatByteSize, formatDurationMs, parseByteSize, parseDurationMs } from './config/units.ts';
export { keptSecret } from './files/kept-secret.ts';
export { LastGood } from './files/last-good.ts';
export type { LastGoodOptions } from './files/last-good.ts';
export { LockedError, lockForProcess } from './files/process-lock.ts';
export { replaceFile } from './files/replace-file.ts';
export { EXIT_CODES, runService } from './lifecycle/run-service.ts';
export type { RunningService, RunServiceOptions } from './lifecycle/run-service.ts';
export { parseServiceArgs } from './lifecycle/service-args.ts';
export type { ServiceArgs, ServiceProgram } from './lifecycle/service-args.ts';
export { describeStartError, describeSystemError, StartError } from './lifecycle/start-error.ts';
export { createHttpHandler, sendLine } from './listener/http-handler.ts';
export type { HttpHandler, HttpRoute } from './listener/http-handler.ts';
export { listen } from './listener/listen.ts';
export type { Http1Limits, Listener, ListenOptions } from './listener/listen.ts';
export { readTlsFiles } from './listener/tls-files.ts';
export type { TlsFiles } from './listener/tls-files.ts';
export { TlsIdentity } from './listener/tls-identity.ts';
export type { TlsIdentityFiles, TlsMaterial } from './listener/tls-identity.ts';
export { BufferPool } from './memory/buffer-pool.ts';
export type { BufferPoolOptions, PooledBuffer } from './memory/buffer-pool.ts';
export type { ByteLimiter } from './memory/byte-limiter.ts';
export { RateLimiter } from './memory/rate-limiter.ts';
export type { RateLimiterOptions } from './memory/rate-limiter.ts';
export { certificatesIn, CHAIN_LIMITS, isChainWithinLimits } from './network/certificates.ts';
export { firstAddress, isLoopbackAddress } from './network/own-address.ts';
export { refusedKindOf } from './network/refused-addresses.ts';
export type { RefusedKind } from './network/refused-addresses.ts';
export { hostGlob, portOf, UpstreamGuard, UpstreamRefusedError } from './network/upstream-guard.ts';
export type { HostGlob, UpstreamGuardOptions } from './network/upstream-guard.ts';
export { isError } from './observe/is-error.ts';
export { createLogger, LOG_LEVELS } from './observe/logger.ts';
export type { Logger, LoggerOptions, LogLevel } from './observe/logger.ts';
export { createMetrics, metricsHandler } from './observe/metrics.ts';
export type { Metrics } from './observe/metrics.ts';
export { redactHeaders, safeText, safeUrl } from './observe/redact.ts';
export type { HeaderBag } from './observe/redact.ts';
export { sanitize } from './observe/sanitize.ts';
export { Secret } from './observe/secret.ts';
export { isSecretHeader } from './observe/secret-headers.ts';
export { SketchedSummary } from './observe/sketched-summary.ts';
export { contextFromTraceparent, currentTraceparent, failSpan, traceparentOf, withSpan } from './observe/span.ts';
export type { SpanChoices } from './observe/span.ts';
export { TalliedCounter } from './observe/tallied-counter.ts';
export { createTelemetry, noTelemetry } from './observe/telemetry.ts';
export type { Telemetry, TelemetryOptions } from './observe/telemetry.ts';
export { DF_CODE_HEADER, dfCodeOf, RPC_CODES, toConnectError } from './rpc/error-codes.ts';
export { CALLER, callerOf, canonicalIp } from './rpc/caller.ts';
export type { Caller } from './rpc/caller.ts';
export { createHealth } from './rpc/health.ts';
export type { Health, ServingState } from './rpc/health.ts';
export { encodedAnswer, grpcFrame, messagesIn, messageStream } from './rpc/message-stream.ts';
export type { MessageCall, MessageHandler, OpenMessageStream } from './rpc/message-stream.ts';
export { createClientInterceptors, createServerInterceptors } from './rpc/interceptors.ts';
export type { ClientInterceptorOptions, ServerInterceptorOptions } from './rpc/interceptors.ts';
