import { PeerRepository, SchedulerClusterRepository } from '@d7y/manager-db';
import type { Handlers } from '../call.ts';
import type { Services } from '../services.ts';
import { pageOf, rowsById, the } from '../services.ts';
import { toPeer } from '../views/peers.ts';

type PeerRoute = Extract<keyof Handlers, `peers.${string}`>;

export function peerHandlers({ database, now }: Services): Handlers<PeerRoute> {
  const peers = new PeerRepository(database.db);
  const clusters = new SchedulerClusterRepository(database.db);
  return {
    async 'peers.create'({ body }) {
      const row = await peers.create(
        {
          ...{ hostName: body.host_name, type: body.type, ip: body.ip, port: body.port },
          ...{ downloadPort: body.download_port, proxyPort: body.proxy_port },
          ...{ objectStoragePort: body.object_storage_port ?? 0, state: body.state ?? 'inactive' },
          ...{ idc: body.idc ?? '', location: body.location ?? '', os: body.os ?? '', platform: body.platform ?? '' },
          ...{ platformFamily: body.platform_family ?? '', platformVersion: body.platform_version ?? '' },
          ...{ kernelVersion: body.kernel_version ?? '', buildPlatform: body.build_platform ?? '' },
          ...{ gitVersion: body.git_version ?? '', gitCommit: body.git_commit ?? '' },
          schedulerClusterId: body.scheduler_cluster_id,
        },
        now(),
      );
      return toPeer(row, await clusters.get(row.schedulerClusterId));
    },
    async 'peers.list'(call) {
      const { query } = call;
      const filter = {
        ...{ hostName: query.host_name, type: query.type, idc: query.idc, location: query.location, ip: query.ip },
        ...{ port: query.port, downloadPort: query.download_port, proxyPort: query.proxy_port },
        ...{ objectStoragePort: query.object_storage_port, state: query.state, os: query.os },
        ...{ platform: query.platform, platformFamily: query.platform_family, platformVersion: query.platform_version },
        ...{ kernelVersion: query.kernel_version, gitVersion: query.git_version, gitCommit: query.git_commit },
        ...{ buildPlatform: query.build_platform, schedulerClusterId: query.scheduler_cluster_id },
      };
      const { rows, total } = await peers.page(filter, pageOf(query));
      call.setTotal(total);
      const of = await rowsById(
        rows.map((row) => row.schedulerClusterId),
        (id) => clusters.find(id),
      );
      return rows.map((row) => toPeer(row, the(of, row.schedulerClusterId)));
    },
    async 'peers.get'({ params: { id } }) {
      const row = await peers.get(id);
      return toPeer(row, await clusters.get(row.schedulerClusterId));
    },
    async 'peers.delete'({ params: { id } }) {
      await peers.remove(id);
      return undefined;
    },
  };
}
