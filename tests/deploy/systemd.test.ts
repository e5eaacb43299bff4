import fs from 'node:fs';
import path from 'node:path';
import { itWith, ROOT, run, temporaryDirectory } from './tools';

const UNITS = path.join(ROOT, 'deploy/systemd');
const SERVICES = unitFiles('.service');
const TIMERS = unitFiles('.timer');
const itWithSystemd = itWith('systemd-analyze');
const directory = temporaryDirectory();

/** The units as installed, with this machine's node where /usr/bin/node may not exist. */
beforeAll(() => {
  for (const name of [...SERVICES, ...TIMERS]) {
    const text = fs.readFileSync(path.join(UNITS, name), 'utf8');
    fs.writeFileSync(path.join(directory, name), text.replaceAll('/usr/bin/node', process.execPath));
  }
});

describe.each([...SERVICES, ...TIMERS])('%s', (name) => {
  itWithSystemd('is understood by systemd to the last key', () => {
    const verified = run('systemd-analyze', ['verify', path.join(directory, name)]);
    // Unknown keys are only warned about: the exit code alone would let them pass.
    expect(verified.stderr).toBe('');
    expect(verified.status).toBe(0);
  });
});

describe.each(SERVICES)('%s', (name) => {
  itWithSystemd('is exposed by 2.0 at most', () => {
    const file = path.join(directory, name);
    const rated = run('systemd-analyze', [
      'security',
      '--no-pager',
      '--offline=true',
      '--threshold=20',
      file,
    ]);
    const exposure = /Overall exposure level for .*: ([\d.]+)/.exec(rated.stdout)?.[1];
    expect(Number(exposure)).toBeLessThanOrEqual(2);
    expect(rated.status).toBe(0);
  });

  it('runs as its own user, in a sandbox in which Node can start', () => {
    const unit = readUnit(name);
    expect(unit['User']).toEqual(['nodejs']);
    expect(unit['SystemCallFilter']?.[0]).toContain('@pkey');
    expect(unit).not.toHaveProperty('MemoryDenyWriteExecute');
  });

  it('starts a program that the build makes', () => {
    const [program] = readUnit(name)['ExecStart']!;
    const source = program!.replace('/usr/bin/node dist/', 'src/').replace(/\.js$/, '.ts');
    expect(fs.existsSync(path.join(ROOT, source))).toBe(true);
  });

  it('gives the program more time to stop than it takes', () => {
    const source = fs.readFileSync(
      path.join(ROOT, name === 'insta-connect-demo.service' ? 'src/server.ts' : 'src/jobs/runJob.ts'),
      'utf8',
    );
    const hardStop = Number(/HARD_STOP_MS = ([\d_]+)/.exec(source)![1]!.replaceAll('_', ''));
    expect(Number(readUnit(name)['TimeoutStopSec']) * 1000).toBeGreaterThan(hardStop);
  });

  it('has the same sandbox as the others', () => {
    expect(sandboxOf(name)).toEqual(sandboxOf('insta-connect-demo.service'));
  });
});

describe.each(TIMERS)('%s', (name) => {
  it('catches up after the machine was off', () => {
    expect(readUnit(name)['Persistent']).toEqual(['true']);
  });

  itWithSystemd('means UTC, whatever the time zone of the machine', () => {
    for (const expression of readUnit(name)['OnCalendar']!) {
      const shown = run('systemd-analyze', ['calendar', expression], { TZ: 'Asia/Kolkata', LC_ALL: 'C' });
      expect(shown.stdout).toMatch(/Normalized form: .* UTC$/m);
      expect(shown.status).toBe(0);
    }
  });
});

describe('the timers', () => {
  it('refresh tokens at 02:00 and try again every hour', () => {
    expect(readUnit('insta-connect-demo-token-refresh.timer')['OnCalendar']).toEqual([
      '*-*-* 02:00:00 UTC',
      '*-*-* *:00:00 UTC',
    ]);
  });

  it('start the webhook processor each minute and a second after it ended', () => {
    const timer = readUnit('insta-connect-demo-webhook-processor.timer');
    expect(timer['OnCalendar']).toEqual(['*-*-* *:*:00 UTC']);
    expect(timer['OnUnitInactiveSec']).toEqual(['1s']);
    expect(timer['AccuracySec']).toEqual(['100ms']);
  });

  it('leave the processor more time than it lingers', () => {
    const service = readUnit('insta-connect-demo-webhook-processor.service');
    expect(Number(service['TimeoutStartSec'])).toBeGreaterThan(55 + 20);
  });
});

describe('the short names', () => {
  it('lead to the jobs', () => {
    expect(readUnit('insta-connect-demo-token-refresh.service')['Alias']).toEqual(['token-refresh.service']);
    expect(readUnit('insta-connect-demo-webhook-processor.service')['Alias']).toEqual([
      'webhook-processor.service',
    ]);
  });
});

describe('doppler.conf.example', () => {
  itWithSystemd('fits the service it is dropped into', () => {
    const dropIn = path.join(directory, 'insta-connect-demo.service.d');
    fs.mkdirSync(dropIn);
    // Any program stands in for doppler, which need not be installed.
    const text = fs.readFileSync(path.join(UNITS, 'doppler.conf.example'), 'utf8');
    fs.writeFileSync(
      path.join(dropIn, 'doppler.conf'),
      text.replaceAll(/\/usr\/bin\/(doppler|node)/g, process.execPath),
    );
    const verified = run('systemd-analyze', ['verify', path.join(directory, 'insta-connect-demo.service')]);
    expect(verified.stderr).toBe('');
    expect(verified.status).toBe(0);
  });
});

function unitFiles(ending: string): string[] {
  return fs.readdirSync(UNITS).filter((name) => name.endsWith(ending));
}

/** Every key with its values in order; section names do not matter here. */
function readUnit(name: string): Record<string, string[]> {
  const unit: Record<string, string[]> = {};
  for (const line of fs.readFileSync(path.join(UNITS, name), 'utf8').split('\n')) {
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) (unit[key] ??= []).push(value);
  }
  return unit;
}

function sandboxOf(name: string): string[] {
  const lines = fs.readFileSync(path.join(UNITS, name), 'utf8').split('\n');
  return lines.slice(lines.indexOf('NoNewPrivileges=yes'), lines.indexOf('LimitCORE=0') + 1);
}
