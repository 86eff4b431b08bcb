export * as common from './gen/common/v2/common_pb.ts';
export * as dfdaemon from './gen/dfdaemon/v2/dfdaemon_pb.ts';
export * as errordetails from './gen/errordetails/v2/errordetails_pb.ts';
export * as health from './gen/grpc/health/v1/health_pb.ts';
export * as manager from './gen/manager/v2/manager_pb.ts';
export * as scheduler from './gen/scheduler/v2/scheduler_pb.ts';
export * as swarm from './gen/d7y/swarm/v1/swarm_pb.ts';
export * as swarmListing from './gen/d7y/swarm/v1/listing_pb.ts';
