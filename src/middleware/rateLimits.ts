import { RateLimiterMemory, RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { type AppContext } from '../context';
import { TooManyRequestsError } from '../errors';

export interface RateLimit {
  /** Counts one try. @throws TooManyRequestsError when there were too many */
  consume(key: string): Promise<void>;
  /** Forgets the tries of a key, after a success. */
  forget(key: string): Promise<void>;
}

/**
 * At most `points` tries per key and `seconds`, counted in PostgreSQL so that all instances count together; in memory
 * while the database is away.
 */
export function rateLimit(
  { config, pool }: AppContext,
  name: string,
  { points, seconds }: { points: number; seconds: number },
): RateLimit {
  const options = {
    keyPrefix: name,
    points: Math.max(1, Math.round(points * config.rateLimitScale)),
    duration: seconds,
  };
  const limiter = new RateLimiterPostgres({
    ...options,
    storeClient: pool,
    tableName: 'rate_limits',
    tableCreated: true,
    insuranceLimiter: new RateLimiterMemory(options),
  });
  return {
    async consume(key) {
      try {
        await limiter.consume(key);
      } catch (reason) {
        if (reason instanceof RateLimiterRes)
          throw new TooManyRequestsError(Math.max(1, Math.ceil(reason.msBeforeNext / 1000)));
        throw reason;
      }
    },
    async forget(key) {
      await limiter.delete(key);
    },
  };
}
