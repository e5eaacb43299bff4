import { type SandboxState } from '../state';

const MASK = '•••';

/** The state without anything that opens a door. Tokens keep their labels. */
export function maskedState(state: SandboxState): object {
  return {
    ...state,
    outbox: `${state.outbox.length} deliveries, see /_sandbox/outbox`,
    app: { ...state.app, secret: MASK, instagramAppSecret: MASK, verifyToken: MASK },
    tokens: state.tokens.map((token) => ({ ...token, value: MASK })),
    codes: state.codes.map((code) => ({ ...code, value: MASK })),
    subscriptions: state.subscriptions.map((subscription) => ({ ...subscription, verifyToken: MASK })),
  };
}
