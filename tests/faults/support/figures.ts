const isFull = process.env['FAULTS_FULL'] === '1';

/** What an ordinary run can carry, and with FAULTS_FULL=1 the figure that was promised. */
export function figure(usual: number, full: number): number {
  return isFull ? full : usual;
}
