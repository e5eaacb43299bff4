const MAX_LENGTH = 20_000;

/** A command that sends a delivery again, signed with the secret in $APP_SECRET. Null when it would not fit a terminal. */
export function curlFor(url: string, body: string): string | null {
  if (body.length > MAX_LENGTH || /[^\t\n\x20-\x7e\xa0-\uffff]/.test(body)) return null;
  const quoted = `'${body.replaceAll("'", String.raw`'\''`)}'`;
  return [
    `body=${quoted}`,
    `signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$APP_SECRET" | sed 's/^.*= //')`,
    `curl -X POST ${url} -H 'Content-Type: application/json' -H "X-Hub-Signature-256: sha256=$signature" --data-binary "$body"`,
  ].join('\n');
}
