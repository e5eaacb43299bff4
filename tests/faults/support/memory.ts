import fs from 'node:fs';
import { type Program } from './processes';

/** Watches the most memory that a process holds from now on, as Linux counts it. */
export function watchMemory({ pid }: Program): { growthInMegabytes(): number } {
  fs.writeFileSync(`/proc/${pid}/clear_refs`, '5'); // forgets the peak so far: proc(5)
  const before = residentMegabytes(pid, 'VmRSS');
  return { growthInMegabytes: () => residentMegabytes(pid, 'VmHWM') - before };
}

function residentMegabytes(pid: number, name: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(
    fs.readFileSync(`/proc/${pid}/status`, 'utf8'),
  );
  return Number(line![1]) / 1024;
}
