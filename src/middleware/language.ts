import fs from 'node:fs';
import path from 'node:path';
import { type RequestHandler } from 'express';
import i18next from 'i18next';
import FsBackend, { type FsBackendOptions } from 'i18next-fs-backend';
import { handle, LanguageDetector } from 'i18next-http-middleware';
import { type Config } from '../config';
import { VIEWS_DIR } from '../utils/paths';

const LOCALES_DIR = path.join(VIEWS_DIR, 'locales');

/** Every text of every page comes from `views/locales/LANGUAGE/NAMESPACE.json`, as `t('namespace:key')`. */
export function language({ environment }: Config): RequestHandler {
  const languages = fs.readdirSync(LOCALES_DIR);
  const namespaces = fs.readdirSync(path.join(LOCALES_DIR, 'en')).map((file) => path.basename(file, '.json'));
  const instance = i18next.createInstance();
  void instance
    .use(FsBackend)
    .use(LanguageDetector)
    .init<FsBackendOptions>({
      initAsync: false,
      backend: { loadPath: path.join(LOCALES_DIR, '{{lng}}/{{ns}}.json') },
      preload: languages,
      supportedLngs: languages,
      fallbackLng: 'en',
      ns: namespaces,
      defaultNS: 'common',
      interpolation: { escapeValue: false }, // EJS escapes
      detection: { order: ['cookie', 'header'], lookupCookie: 'language', caches: false },
      // A text that is missing is found by the first test that shows its page.
      saveMissing: environment === 'test',
      missingKeyHandler: (_languages, namespace, key) => {
        throw new Error(`The catalogue has no ${namespace}:${key}`);
      },
    });
  return handle(instance);
}
