import { type AppContext } from '../context';
import { type JobSummary } from './runJob';

/** What the lanes of one run share. */
export interface Run extends AppContext {
  /** host:pid, as it stands in locked_by. */
  readonly worker: string;
  /** Aborted by the stop signal: the running events are finished or handed back. */
  readonly signal: AbortSignal;
  /** Lets the lanes look for work again. */
  readonly wake: () => void;
  /** Counts of the whole run. */
  readonly summary: JobSummary;
}
