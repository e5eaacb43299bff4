export interface Page {
  status: number;
  /** Path and query where redirects ended. */
  path: string;
  headers: Headers;
  text: string;
}

let visitors = 0;

/** Keeps cookies, follows redirects within the site, and sends forms with the token of the page, as a browser does. */
export class Browser {
  readonly cookies = new Map<string, string>();

  constructor(readonly baseUrl: string) {}

  async get(path: string, headers: Record<string, string> = {}): Promise<Page> {
    return this.follow(path, { method: 'GET', headers });
  }

  /** One answer, redirects not followed. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(new URL(path, this.baseUrl), {
      ...init,
      redirect: 'manual',
      headers: {
        ...(this.cookies.size > 0 ? { Cookie: this.cookieHeader() } : {}),
        ...(init.headers as Record<string, string> | undefined),
      },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      const isGone = /expires=Thu, 01 Jan 1970/i.test(cookie);
      if (name === undefined || value === undefined) continue;
      if (isGone) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  /** Sends a form as the page would, then follows. */
  async post(
    path: string,
    form: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Page> {
    const body = new URLSearchParams({ _csrf: await this.csrfToken(), ...form });
    return this.follow(path, { method: 'POST', body, headers });
  }

  /** Speaks JSON; null sends no body. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test looks into what came
  async json(method: string, path: string, body: unknown = null): Promise<{ status: number; body: any }> {
    const response = await this.fetch(path, {
      method,
      headers: {
        Accept: 'application/json',
        ...(method === 'GET' ? {} : { 'X-CSRF-Token': await this.csrfToken() }),
        ...(body === null ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === null ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  }

  async register(
    email = `visitor-${process.pid}-${++visitors}@example.com`,
    password = 'correct horse battery',
  ): Promise<{ email: string; password: string; id: string }> {
    const page = await this.post('/auth/register', { email, password });
    if (page.status !== 200 || page.path !== '/onboarding')
      throw new Error(`registration failed: ${page.status} ${page.path}`);
    const { body } = await this.json('GET', '/auth/status');
    return { email, password, id: body.user.id };
  }

  async csrfToken(): Promise<string> {
    const response = await this.fetch('/auth/status');
    return ((await response.json()) as { csrfToken: string }).csrfToken;
  }

  cookieHeader(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  private async follow(path: string, init: RequestInit): Promise<Page> {
    let response = await this.fetch(path, init);
    let url = new URL(path, this.baseUrl);
    for (let hops = 0; response.status >= 300 && response.status < 400 && hops < 10; hops++) {
      const next = new URL(response.headers.get('Location') ?? '/', url);
      if (next.origin !== url.origin) break;
      await response.arrayBuffer();
      url = next;
      response = await this.fetch(next.href);
    }
    return {
      status: response.status,
      path: url.pathname + url.search,
      headers: response.headers,
      text: await response.text(),
    };
  }
}
