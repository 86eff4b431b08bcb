import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type { Secret } from '@d7y/service-kit';
import type { DownloadOptions, HubOptions, StorageOptions } from './download-options.ts';

/** Stock daemons overwrite it with their own, and their messages always carry it. */
const CONCURRENT_PIECE_COUNT = 8;

const { LEVEL0, LEVEL1, LEVEL2, LEVEL3, LEVEL4, LEVEL5, LEVEL6 } = common.Priority;
const PRIORITIES = [LEVEL0, LEVEL1, LEVEL2, LEVEL3, LEVEL4, LEVEL5, LEVEL6];

/** What the daemon is asked for. Here secrets leave for the daemon, which sits behind a socket of this machine. */
export function toDownloadMessage(options: DownloadOptions): common.Download {
  const { url, output, forceHardLink, timeoutMs } = options;
  return create(common.DownloadSchema, {
    url: url.href,
    ...present('digest', options.digest),
    type: common.TaskType.STANDARD,
    tag: options.tag,
    application: options.application,
    priority: PRIORITIES[options.priority] ?? common.Priority.LEVEL6,
    filteredQueryParams: [...options.filteredQueryParams],
    requestHeader: Object.fromEntries([...options.headers].map(([name, value]) => [name, value.reveal()])),
    certificateChain: [...options.certificateChain],
    ...(options.pieceLength === undefined ? {} : { pieceLength: BigInt(options.pieceLength) }),
    ...(forceHardLink ? { outputPath: output } : { needPieceContent: true }),
    timeout: { seconds: BigInt(Math.floor(timeoutMs / 1000)), nanos: Math.round((timeoutMs % 1000) * 1e6) },
    disableBackToSource: options.disableBackToSource,
    forceHardLink,
    overwrite: options.overwrite,
    concurrentPieceCount: CONCURRENT_PIECE_COUNT,
    ...present('contentForCalculatingTaskId', options.contentForCalculatingTaskId),
    ...present('objectStorage', toObjectStorage(options.storage, url.protocol)),
    ...present('hdfs', toHdfs(options.hdfsDelegationToken)),
    ...(url.protocol === 'hf:' ? { huggingFace: toHub(options.huggingFace) } : {}),
    ...(url.protocol === 'modelscope:' ? { modelScope: toHub(options.modelScope) } : {}),
  });
}

function toObjectStorage(storage: StorageOptions, protocol: string) {
  const given = {
    ...present('region', storage.region),
    ...present('endpoint', storage.endpoint),
    ...present('accessKeyId', storage.accessKeyId?.reveal()),
    ...present('accessKeySecret', storage.accessKeySecret?.reveal()),
    ...present('securityToken', storage.securityToken?.reveal()),
    ...present('sessionToken', storage.sessionToken?.reveal()),
    ...present('credentialPath', storage.credentialPath),
    ...present('insecureSkipVerify', storage.insecureSkipVerify || undefined),
    ...present('predefinedAcl', protocol === 'gs:' ? storage.predefinedAcl : undefined),
  };
  return Object.keys(given).length === 0 ? undefined : given;
}

function toHdfs(delegationToken: Secret | undefined) {
  return delegationToken === undefined ? undefined : { delegationToken: delegationToken.reveal() };
}

function toHub({ revision, token, baseUrl }: HubOptions) {
  return { revision, ...present('token', token?.reveal()), ...present('baseUrl', baseUrl) };
}

/** An absent field is another thing than an empty one. */
function present<Name extends string, Value>(name: Name, value: Value | undefined): { [Key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [Key in Name]?: Value });
}
