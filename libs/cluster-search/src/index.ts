export { ClusterSearch } from './cluster-search.ts';
export type {
  ClusterOrder,
  ClusterScore,
  CompilePatterns,
  Patterns,
  ScopeProblem,
  Scopes,
  SearchedCluster,
  Seeker,
} from './cluster-search.ts';
