-- Rows in every table of a database that has had the first migration only. Left alone: each later migration has to bring them through.
INSERT INTO scheduler_cluster (created_at, updated_at, name, bio, config, client_config, seed_client_config, scopes, is_default) VALUES
  ('2026-01-02T03:04:05.678Z', '2026-01-03T03:04:05Z', 'cluster-1', 'the first', '{"candidate_parent_limit": 3, "filter_parent_limit": 15, "job_rate_limit": 10}',
   '{"load_limit": 200, "block_list": {"task": {"download": {"urls": ["^https://x/.*$"], "priorities": [1]}}}}', '{"block_list": {}}',
   '{"idc": "a|b", "location": "eu|de", "cidrs": ["10.0.0.0/8"], "hostnames": ["^node-"]}', true),
  ('2026-01-02T03:04:06Z', '2026-01-02T03:04:06Z', 'zweiter Verbund — ünïcode', '', '{}', '{}', '{}', '{}', false);
INSERT INTO seed_peer_cluster (name, bio, config) VALUES ('cluster-1', '', '{"load_limit": 2000}'), ('other', '', '{}');
INSERT INTO seed_peer_cluster_scheduler_cluster (seed_peer_cluster_id, scheduler_cluster_id) VALUES (1, 1), (2, 2);
INSERT INTO scheduler (host_name, ip, port, idc, location, config, features, keep_alive_interval_ms, last_keep_alive_at, active_until, scheduler_cluster_id) VALUES
  ('scheduler-0', '10.1.0.1', 8002, 'a', 'eu|de', '{"manager_keep_alive_interval": 5000000000}', '{schedule,preheat}', 5000, '2026-01-05T00:00:00.123Z', '2026-01-05T00:00:15.123Z', 1),
  ('scheduler-1', '2001:db8::1', 8002, '', '', '{}', '{}', 7000, NULL, NULL, 2);
INSERT INTO seed_peer (host_name, type, ip, port, download_port, object_storage_port, idc, location, last_keep_alive_at, active_until, seed_peer_cluster_id) VALUES
  ('seed-0', 'super', '10.1.0.2', 4000, 4001, 65004, 'a', 'eu|de', '2026-01-05T00:00:00Z', '2026-01-05T00:00:15Z', 1);
INSERT INTO peer (host_name, type, ip, port, download_port, proxy_port, state, os, platform, git_version, git_commit, scheduler_cluster_id) VALUES
  ('node-1', 'normal', '10.1.0.3', 4000, 4005, 4001, 'active', 'linux', 'debian', '0.0.0', 'abc', 1);
INSERT INTO users (name, email, password_hash, password_changed_at, state, bio, provider, provider_subject) VALUES
  ('root', NULL, '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4', '2026-01-02T00:00:00Z', 'enable', '', NULL, NULL),
  ('ann', 'ann@example.org', NULL, NULL, 'disable', 'bio', 'oidc', 'subject-7');
INSERT INTO role (name) VALUES ('guest'), ('root');
INSERT INTO role_permission (role_id, object, action) VALUES (1, 'jobs', 'read'), (2, 'jobs', '*');
INSERT INTO role_binding (user_id, role_id) VALUES (1, 2), (2, 1);
INSERT INTO oauth (name, bio, client_id, sealed_client_secret, redirect_url) VALUES ('github', '', 'client', 'v1.00000000.AAAA.AAAA', 'https://m/callback');
INSERT INTO personal_access_token (name, token_hash, token_prefix, scopes, state, expired_at, last_used_at, user_id) VALUES
  ('default', repeat('a', 64), 'dfp_abcdef', '{job,cluster}', 'active', '2036-01-01T00:00:00Z', '2026-02-01T00:00:00Z', 1);
INSERT INTO refresh_token (token_hash, family_id, user_id, expires_at, used_at) VALUES
  (repeat('b', 64), '00000000-0000-4000-8000-000000000001', 1, '2026-03-01T00:00:00Z', '2026-02-01T00:00:00Z'),
  (repeat('c', 64), '00000000-0000-4000-8000-000000000001', 1, '2026-03-02T00:00:00Z', NULL);
INSERT INTO revoked_session (session_id, expires_at) VALUES ('00000000-0000-4000-8000-000000000002', '2026-03-01T00:00:00Z');
INSERT INTO application (name, url, priority, user_id) VALUES ('app', 'https://a', '{"value": 3, "urls": [{"regex": "x", "value": 4}]}', 2), ('other', '', NULL, NULL);
INSERT INTO config (name, value, user_id) VALUES ('gc', '{"audit":{"ttl":604800000000000},"job":{"ttl":604800000000000}}', 1);
INSERT INTO audit (actor_type, actor_name, operation, operated_at, state, path, status_code, detail) VALUES
  ('USER', 'root', 'POST', '2026-02-01T00:00:00Z', 'SUCCESS', '/api/v1/jobs', 200, '{"route": "jobs.create"}');
INSERT INTO job (task_id, bio, type, state, phase, args, result, progress, attempt, error, dedup_key, idempotency_key, traceparent, deadline_at, started_at, finished_at, cancel_requested_at, user_id) VALUES
  ('group_1', '', 'preheat', 'SUCCESS', 'SUCCESS', '{"type": "image", "url": "https://r/v2/a/manifests/1"}', '{"state": "SUCCESS", "job_states": []}', '{"layers_total": 2}', 2, NULL,
   repeat('d', 64), repeat('e', 64), '00-00000000000000000000000000000001-0000000000000001-01', '2026-02-01T01:00:00Z', '2026-02-01T00:00:01Z', '2026-02-01T00:00:09Z', NULL, 1),
  ('group_2', '', 'preheat', 'PENDING', 'STARTED', '{"type": "image"}', NULL, NULL, 1, NULL, repeat('d', 64), NULL, NULL, NULL, NULL, NULL, '2026-02-01T00:00:00Z', NULL);
INSERT INTO job_scheduler_cluster (job_id, scheduler_cluster_id) VALUES (1, 1), (2, 2);
INSERT INTO job_seed_peer_cluster (job_id, seed_peer_cluster_id) VALUES (1, 1);
INSERT INTO job_layer (job_id, scheduler_cluster_id, task_id, url, digest, media_type, bytes, platforms, state, attempts, error, started_at, finished_at) VALUES
  (1, 1, repeat('f', 64), 'https://r/v2/a/blobs/sha256:ff', 'sha256:ff', 'application/vnd.oci.image.layer.v1.tar+gzip', 9007199254740991, '{linux/amd64,linux/arm64}', 'SUCCESS', 1, NULL, '2026-02-01T00:00:02Z', '2026-02-01T00:00:03Z'),
  (2, 2, repeat('f', 64), 'https://r/v2/a/blobs/sha256:ff', '', '', NULL, '{}', 'FAILURE', 3, 'no route to host', NULL, NULL);
INSERT INTO job_target (job_id, scheduler_cluster_id, task_id, host_id, hostname, ip, state, attempts, error, bytes, started_at, finished_at) VALUES
  (1, 1, repeat('f', 64), '10.1.0.3-node-1', 'node-1', '10.1.0.3', 'SUCCESS', 1, NULL, 9007199254740991, '2026-02-01T00:00:02Z', '2026-02-01T00:00:03Z');
INSERT INTO job_outbox (job_id, kind, payload, attempts, due_at, last_error) VALUES (2, 'enqueue', '{"traceparent": "x"}', 1, '2026-02-01T00:00:00Z', 'redis is away');
INSERT INTO job_secret (job_id, sealed, expires_at) VALUES (2, 'v1.00000000.AAAA.BBBB', '2026-02-01T01:00:00Z');
INSERT INTO task_history (scheduler_cluster_id, task_id, url, type, tag, application, state, content_length, piece_length, piece_count, peer_count, seed_peer_count, first_seen_at, last_seen_at) VALUES
  (1, repeat('f', 64), 'https://r/v2/a/blobs/sha256:ff', 'standard', 't', 'a', 'Succeeded', 1099511627776, 67108864, 16384, 1000, 3, '2026-02-01T00:00:00Z', '2026-02-02T00:00:00Z');
INSERT INTO cluster_version (version) VALUES (41);
