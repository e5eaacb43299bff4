// Adds up jest's result files and prints one closing line; exit code 1 when a test failed or none ran.
import fs from 'node:fs';

const totals = { passed: 0, failed: 0 };
for (const file of process.argv.slice(2)) {
  const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(fs.readFileSync(file, 'utf8'));
  totals.passed += numPassedTests;
  totals.failed += Math.max(numFailedTests, numFailedTestSuites);
}
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0;
