import { type Db } from '../db/query';
import { type HandshakeVerdict } from '../meta/handshake';
import { type NewHandshake, recordHandshakes, trimHandshakes } from '../models/webhookHandshakes';
import { createSampledLog, type SampledLog } from './sampledLog';

export interface HandshakeAttempt {
  ip: string | undefined;
  userAgent: string | undefined;
  verdict: HandshakeVerdict;
}
export type HandshakeLog = SampledLog<HandshakeAttempt>;

const ROW_BYTES = 512;

/** @param db the general pool, not the intake's */
export function createHandshakeLog(db: Db): HandshakeLog {
  return createSampledLog<HandshakeAttempt, NewHandshake, HandshakeVerdict['outcome']>({
    name: 'handshakes',
    kindOf: ({ verdict }) => verdict.outcome,
    keep: ({ ip, userAgent, verdict }) => ({
      at: new Date(),
      outcome: verdict.outcome,
      ip: ip?.slice(0, 45) ?? null,
      userAgent: userAgent?.slice(0, 200) ?? null,
      tokenLength: verdict.tokenLength,
      tokenWrapping: verdict.tokenWrapping,
    }),
    bytesOf: () => ROW_BYTES,
    async write(rows) {
      await recordHandshakes(db, rows);
      await trimHandshakes(db);
    },
  });
}
