/** What each event of a state machine does: from which states it is possible, and where it leads. */
export type TransitionTable<State extends string, Event extends string> = Readonly<
  Record<Event, { readonly from: readonly State[]; readonly to: State }>
>;

/** The state after an event, or undefined when the event is impossible in this state. */
export function nextState<State extends string, Event extends string>(
  table: TransitionTable<State, Event>,
  state: State,
  event: Event,
): State | undefined {
  const { from, to } = table[event];
  return from.includes(state) ? to : undefined;
}
