export { ChildProgram, ChildProgramError } from './process/child-program.ts';
export type { ProgramEnd, StartProgramOptions } from './process/child-program.ts';
export { eventually } from './process/eventually.ts';
export type { EventuallyOptions } from './process/eventually.ts';
export { findProgram, MissingProgramsError, requirePrograms } from './process/programs.ts';
export type { Program } from './process/programs.ts';
export { ProgramFailedError, run } from './process/run.ts';
export type { RunOptions, RunResult } from './process/run.ts';
export { readProcessUsage } from './process/usage.ts';
export type { ProcessUsage } from './process/usage.ts';

export { freePort, freePorts } from './scratch/free-ports.ts';
export { pseudoRandomBytes, pseudoRandomChunks } from './scratch/pseudo-random.ts';
export { smallDisk } from './scratch/small-disk.ts';
export type { SmallDisk } from './scratch/small-disk.ts';
export { tempDir } from './scratch/temp-dir.ts';
export type { TempDir } from './scratch/temp-dir.ts';

export { makeServerCertificate } from './registry/certificates.ts';
export type { CertificatePair, ServerCertificate } from './registry/certificates.ts';
export { startRegistry } from './registry/registry.ts';
export type { Registry, RegistryOptions } from './registry/registry.ts';
export { startTokenServer } from './registry/token-server.ts';
export type { Credentials, TokenRequest, TokenServer, TokenServerOptions } from './registry/token-server.ts';

export { blobsOf, makeImage } from './images/image.ts';
export type { ImageLayout, ImageOptions, PlatformImage } from './images/image.ts';
export type { BlobDescriptor } from './images/layer.ts';

export { startRedisServer } from './redis/redis-server.ts';
export type { RedisServer, RedisServerOptions } from './redis/redis-server.ts';

export { startCountingProxy } from './http/counting-proxy.ts';
export type { CountingProxy, CountingProxyOptions } from './http/counting-proxy.ts';
export { coverageOf } from './http/coverage.ts';
export type { Coverage, CoveredRange, SentSpan } from './http/coverage.ts';
export type { Fault, FaultRule, InjectedFault } from './http/faults.ts';
export { startFileOrigin } from './http/file-origin.ts';
export type { FileOrigin, OriginFile } from './http/file-origin.ts';
export { RequestLog } from './http/request-log.ts';
export type { RecordedRequest } from './http/request-log.ts';
export { startTcpFaultProxy } from './http/tcp-fault-proxy.ts';
export type { TcpFault, TcpFaultProxy } from './http/tcp-fault-proxy.ts';

export { dockerPull, emptyDockerd, startDockerd } from './clients/dockerd.ts';
export type { Dockerd, DockerdOptions } from './clients/dockerd.ts';
export { criPull, criRemove } from './clients/cri.ts';
export type { CriPullOptions } from './clients/cri.ts';
export { containerdContent, directoryContent } from './clients/content.ts';
export type { Content } from './clients/content.ts';
export { ctrPull, emptyContainerd, startContainerd } from './clients/containerd.ts';
export type { Containerd, ContainerdOptions, CtrPullOptions } from './clients/containerd.ts';
export { podmanPull, podmanStorage, pushImage, skopeoCopy, writeRegistriesConf } from './clients/containers-image.ts';
export type { PodmanStorage, PullOptions } from './clients/containers-image.ts';
export { writeHostsToml } from './clients/hosts-toml.ts';
export type { HostsTomlOptions, MirrorHost } from './clients/hosts-toml.ts';

export { startTestDatabases } from './database/test-databases.ts';
export type { TestDatabases, TestDatabasesOptions } from './database/test-databases.ts';

export { startOtlpReceiver } from './telemetry/otlp-receiver.ts';
export type { OtlpReceiver } from './telemetry/otlp-receiver.ts';
export { decodeSpans } from './telemetry/spans.ts';
export type { AttributeValue, ReceivedSpan } from './telemetry/spans.ts';
export { formatTree, traceTree } from './telemetry/trace-tree.ts';
export type { SpanNode } from './telemetry/trace-tree.ts';

export { NotRootError, onHost, startNetworkLab } from './network-lab/network-lab.ts';
export { startLabCluster } from './cluster/lab-cluster.ts';
export type { LabCluster, LabClusterOptions, LabDaemon } from './cluster/lab-cluster.ts';
export type { LabHost, NetworkLab, NetworkLabOptions } from './network-lab/network-lab.ts';

export { startCluster } from './cluster/cluster.ts';
export type { Cluster, ClusterOptions } from './cluster/cluster.ts';
export { ClusterNode } from './cluster/cluster-node.ts';
export { DaemonNode } from './cluster/daemon-node.ts';
export type { DaemonOptions, DaemonPorts } from './cluster/daemon-node.ts';
export { mergeConfig } from './cluster/merge-config.ts';
export { SchedulerNode } from './cluster/scheduler-node.ts';
export type { SchedulerOptions } from './cluster/scheduler-node.ts';
export { BundleMissingError, bundlePath, spawnApp } from './cluster/spawn-app.ts';
export type { AppConfig, Readiness, SpawnAppOptions } from './cluster/spawn-app.ts';
