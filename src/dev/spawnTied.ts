import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';

/** Marks the watchdog's command line, so that a later start can tell a server with a living owner from an orphan. */
export const WATCHDOG_MARK = 'tied-to-node';

/**
 * The program's life hangs on a pipe (fd 3): our end closes however we die, kill -9 included; then `read` returns and
 * the program gets its signal. The session of its own keeps a terminal's Ctrl-C away from it.
 */
const WATCHDOG = `: ${WATCHDOG_MARK}; signal=$1; shift
"$@" </dev/null 3<&- & program=$!
trap 'kill -$signal $program 2>/dev/null' INT TERM HUP
{ read -r _; kill -$signal $program 2>/dev/null; } <&3 & watcher=$!
wait $program; status=$?
while kill -0 $program 2>/dev/null; do wait $program; status=$?; done
kill $watcher 2>/dev/null
exit $status`;

/** INT, TERM or HUP sent to the returned process reaches the program as `signal`. */
export function spawnTied(
  signal: 'INT' | 'TERM',
  command: string,
  args: string[],
  options: SpawnOptions,
): ChildProcess {
  return spawn('sh', ['-c', WATCHDOG, 'sh', signal, command, ...args], {
    ...options,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
}
