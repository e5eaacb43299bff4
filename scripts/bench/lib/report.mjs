import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { ROOT } from './cluster.mjs';

/** What the figures were measured on. */
export function describeMachine(postgresVersion) {
  const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
  const cores = os.availableParallelism();
  return {
    cpu: `${os.cpus()[0].model.trim()}, ${cores} cores`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GB`,
    system: `${os.type()} ${os.release()}`,
    node: process.version,
    postgres: postgresVersion,
    commit: git('rev-parse', '--short=10', 'HEAD') + (isChanged ? ' with changes' : ''),
    flush: `${flushMilliseconds().toFixed(1)} ms`,
    load: `${os.loadavg()[0].toFixed(2)} before the start`,
    note: 'Load generator, server and PostgreSQL share these cores.',
  };
}

/** The median time of a small write and its way to the disk: what every durable answer waits for at least. */
function flushMilliseconds() {
  const file = path.join(ROOT, '.data/bench/flush');
  const descriptor = fs.openSync(file, 'w');
  const times = Array.from({ length: 50 }, () => {
    const startedAt = performance.now();
    fs.writeSync(descriptor, 'x'.repeat(8192));
    fs.fdatasyncSync(descriptor);
    return performance.now() - startedAt;
  });
  fs.closeSync(descriptor);
  fs.rmSync(file);
  return median(times);
}

/** Calls `measure` once per contestant and round, in random order within each round. */
export async function inRounds(contestants, rounds, measure) {
  const results = new Map(contestants.map((contestant) => [contestant.name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of shuffled(contestants)) {
      process.stderr.write(`  round ${round}/${rounds}: ${contestant.name}\n`);
      results.get(contestant.name).push(await measure(contestant));
    }
  }
  return results;
}

function shuffled(items) {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item);
}

/**
 * One line per contestant, each cell the median over the rounds and, with more than one round, [minimum-maximum].
 * @param columns [heading, value of one round's result, digits after the point]
 */
export function printTable(title, results, columns) {
  const lines = [['', ...columns.map(([heading]) => heading)]];
  for (const [name, rounds] of results) {
    lines.push([name, ...columns.map(([, pick, digits = 0]) => spread(rounds.map(pick), digits))]);
  }
  printLines(title, lines);
}

/**
 * The median of the ratios of each round: what disturbs the machine during a round disturbs both.
 * @param ratios [label, contestant, contestant, value of one round's result]
 */
export function printRatios(results, ratios) {
  const lines = ratios.map(([label, left, right, pick]) => {
    const others = results.get(right);
    return [
      label,
      spread(
        results.get(left).map((result, round) => pick(result) / pick(others[round])),
        2,
      ),
    ];
  });
  printLines('Ratios', lines);
}

export function printLines(title, lines) {
  const widths = lines[0].map((_cell, column) => Math.max(...lines.map((line) => line[column].length)));
  process.stdout.write(`\n${title}\n`);
  for (const line of lines) {
    const cells = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
    );
    process.stdout.write(`  ${cells.join('   ')}\n`);
  }
}

function spread(values, digits) {
  const sorted = values.filter((value) => value !== null).sort((left, right) => left - right);
  if (sorted.length === 0) return '-';
  const show = (value) => value.toFixed(digits);
  const [least, greatest] = [show(sorted[0]), show(sorted.at(-1))];
  const range = least === greatest ? '' : ` [${least}-${greatest}]`;
  return show(median(sorted)) + range;
}

export function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
