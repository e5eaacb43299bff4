// Writes dist/ from src/ file by file, without looking at types: what `npm start` needs, in a second. `npm run build` is
// the same compiler with the checks.
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
// An installation without development dependencies brings its dist/ along.
const ts = await import('typescript').then(
  (module) => module.default,
  () => process.exit(fs.existsSync(path.join(root, 'dist')) ? 0 : 1),
);
const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile);
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);

for (const name of fs.readdirSync(path.join(root, 'src'), { recursive: true })) {
  if (!name.endsWith('.ts')) continue;
  const source = path.join(root, 'src', name);
  const target = path.join(root, 'dist', name.replace(/\.ts$/, '.js'));
  if (fs.existsSync(target) && fs.statSync(target).mtimeMs > fs.statSync(source).mtimeMs) continue;
  const { outputText } = ts.transpileModule(fs.readFileSync(source, 'utf8'), {
    fileName: source,
    compilerOptions: { ...options, sourceMap: false, noEmit: false },
  });
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.writeFileSync(target, outputText);
}
