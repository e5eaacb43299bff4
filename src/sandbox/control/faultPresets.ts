import { type FaultInput } from '../faults/faults';

export interface FaultPreset {
  name: string;
  title: string;
  explanation: string;
  rule: FaultInput;
}

/** The faults a person can switch on from the control page; the rest is for `POST /_sandbox/faults`. */
export const FAULT_PRESETS: { group: string; presets: FaultPreset[] }[] = [
  {
    group: 'Tokens and permissions',
    presets: [
      preset('token_expired', 'Token expired', 'Calls with a person’s token answer 190 / 463.'),
      preset('password_changed', 'Password changed', 'Answers 190 / 460, as after a changed password.'),
      preset('checkpoint', 'Checkpoint', 'Answers 190 / 459: the person must confirm something at Facebook.'),
      preset('permission_revoked', 'Permission revoked', 'Answers 200; comments are declined from then on.', {
        params: { permission: 'instagram_manage_comments', webhook: true },
      }),
    ],
  },
  {
    group: 'Limits',
    presets: [
      preset('app_limit', 'App limit reached', 'Answers 4 with X-App-Usage above 100.'),
      preset('ig_limit', 'Instagram limit reached', 'Answers 80002 with the time until access returns.'),
    ],
  },
  {
    group: 'Network and answers',
    presets: [
      preset('transient', 'Service unavailable', 'Answers 503, code 2, “try again”.'),
      preset('slow', 'Slow answers', 'Every answer comes three seconds late.', { params: { ms: 3000 } }),
      preset('drop', 'Dropped connections', 'The connection closes in the middle of the answer.', {
        params: { when: 'middle' },
      }),
      preset('malformed', 'Truncated JSON', 'Half of each answer is missing.'),
      preset('unexpected_shape', 'Unexpected shapes', 'Numeric ids, unknown keys, "true" as text.'),
      preset('empty_page', 'Empty first page', '/me/accounts begins with an empty page that has a next one.'),
    ],
  },
];

export function findPreset(name: unknown): FaultPreset | undefined {
  return FAULT_PRESETS.flatMap(({ presets }) => presets).find((known) => known.name === name);
}

function preset(
  name: string,
  title: string,
  explanation: string,
  more: Omit<FaultInput, 'action'> = {},
): FaultPreset {
  return { name, title, explanation, rule: { action: name, ...more } };
}
