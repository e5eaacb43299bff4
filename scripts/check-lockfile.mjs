// An incomplete lock file works where it was written and fails in a fresh checkout: every optional platform package must
// be in it, every package must have its checksum, and no registry's address may be named.
import fs from 'node:fs';

for (const file of ['package-lock.json', 'scripts/bench/package-lock.json']) {
  for (const problem of problemsOf(file)) {
    console.error(`${file}: ${problem}`);
    process.exitCode = 1;
  }
}

function problemsOf(file) {
  const { packages } = JSON.parse(fs.readFileSync(file, 'utf8'));
  const names = Object.keys(packages);
  return Object.entries(packages).flatMap(([name, entry]) => [
    ...(entry.resolved && !entry.link ? [`${name} names an address`] : []),
    ...(name !== '' && !entry.link && !entry.integrity ? [`${name} has no checksum`] : []),
    ...Object.keys(entry.optionalDependencies ?? {})
      .filter((optional) => !names.some((other) => other.endsWith(`node_modules/${optional}`)))
      .map((optional) => `${optional} of ${name} is missing`),
  ]);
}
