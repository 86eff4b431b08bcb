import { z } from 'zod';
import { job } from './jobs.ts';
import { task, taskPeer } from './swarm.ts';

/** What can be listened to, and the list that shows the same: whoever may call that, at the same door, may listen. */
export const EVENT_TOPICS = { tasks: 'tasks.list', jobs: 'jobs.list', peers: 'taskPeers.list' } as const;

export type EventTopic = keyof typeof EVENT_TOPICS;

export const EVENT_TOPIC_NAMES = Object.keys(EVENT_TOPICS) as readonly EventTopic[];

const NAME = `(?:${EVENT_TOPIC_NAMES.join('|')})`;

export const eventQuery = z.strictObject({
  /** Names with commas between; all that the caller may read unless given. */
  topics: z
    .string()
    .max(256)
    .regex(
      new RegExp(`^${NAME}(?:,${NAME})*$`),
      `must name some of ${EVENT_TOPIC_NAMES.join(', ')}, with commas between`,
    )
    .optional(),
});

/** A job in short: what changes while people watch. */
export const watchedJob = z
  .object({
    ...job.pick({ id: true, type: true, bio: true, state: true, phase: true, progress: true, error: true }).shape,
    ...job.pick({ user_id: true, created_at: true, updated_at: true }).shape,
  })
  .meta({ id: 'WatchedJob' });

const jobKey = watchedJob.pick({ id: true });
const swarmKey = task.pick({ schedulerClusterId: true, id: true });

/** `ip:port` of schedulers that did not tell all that they know. */
const incomplete = z.array(z.string());

/** The first event of a topic. @param total how many there are; `items` are the latest of them */
const snapshotOf = <Topic extends EventTopic, Item extends z.ZodType>(topic: Topic, item: Item) =>
  z.object({
    event: z.literal(`${topic}.snapshot`),
    data: z.object({ items: z.array(item), total: z.int(), incomplete }),
  });

/** Every later one: items that are new or not as they were, and those that are not shown any more. */
const changeOf = <Topic extends EventTopic, Item extends z.ZodType, Key extends z.ZodType>(
  topic: Topic,
  item: Item,
  key: Key,
) =>
  z.object({
    event: z.literal(`${topic}.changed`),
    data: z.object({ changed: z.array(item), removed: z.array(key), total: z.int(), incomplete }),
  });

/** One event of a stream, with its name and what its `data` line holds as JSON. */
export const watchEvent = z
  .union([
    z.object({ event: z.literal('begin'), data: z.object({ topics: z.array(z.enum(EVENT_TOPIC_NAMES)) }) }),
    snapshotOf('tasks', task),
    changeOf('tasks', task, swarmKey),
    snapshotOf('jobs', watchedJob),
    changeOf('jobs', watchedJob, jobKey),
    snapshotOf('peers', taskPeer),
    changeOf('peers', taskPeer, swarmKey),
    /** The last one: why there are no more. */
    z.object({ event: z.literal('end'), data: z.object({ reason: z.string() }) }),
  ])
  .meta({ id: 'WatchEvent' });

export type WatchEvent = z.output<typeof watchEvent>;
export type WatchedJob = z.output<typeof watchedJob>;
