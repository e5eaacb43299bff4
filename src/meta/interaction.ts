/** What an event says, in the product's words; independent of the order in which events are read. */
export interface Interaction {
  kind: string;
  externalId: string;
  threadId: string | null;
  parentExternalId: string | null;
  direction: 'in' | 'out';
  authorId: string | null;
  authorUsername: string | null;
  body: string | null;
  attachments: object[];
  /** What else is known: facts that hold for the thing, never a value that a later event could contradict. */
  details: Readonly<Record<string, unknown>>;
  /** 0 is the original; the highest number known is what people read. */
  editNumber: number;
  isDeletion: boolean;
}

/** Kinds of which only the newest counts; the others are things with a life: created, edited, deleted. */
export const STATE_KINDS: readonly string[] = [
  'reaction',
  'seen',
  'story_insights',
  'page_reaction',
  'page_visibility',
];

export const NOTHING: Omit<Interaction, 'kind' | 'externalId'> = {
  threadId: null,
  parentExternalId: null,
  direction: 'in',
  authorId: null,
  authorUsername: null,
  body: null,
  attachments: [],
  details: {},
  editNumber: 0,
  isDeletion: false,
};
