import http from 'node:http';
import { URLSearchParams } from 'node:url';

/** Asks one server as a logged-in browser does, on one connection. */
export class Browser {
  #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #cookie = '';
  #port;

  constructor(port) {
    this.#port = port;
  }

  /** @throws Error when the server does not let the person in */
  async logIn(email, password) {
    const status = await this.get('/auth/status');
    const { csrfToken } = JSON.parse(status.body);
    const body = new URLSearchParams({ email, password, _csrf: csrfToken }).toString();
    const answer = await this.#request('POST', '/auth/login', body);
    if (answer.status !== 302) throw new Error(`${email} cannot log in: ${answer.status}`);
  }

  get(path) {
    return this.#request('GET', path);
  }

  close() {
    this.#agent.destroy();
  }

  /** @returns also the milliseconds until the last byte */
  #request(method, path, body) {
    return new Promise((resolve, reject) => {
      const sentAt = performance.now();
      const headers = {
        Cookie: this.#cookie,
        'Accept-Encoding': 'gzip', // as browsers do; compressing is part of the answer's time
        ...(body === undefined ? {} : { 'Content-Type': 'application/x-www-form-urlencoded' }),
      };
      const request = http.request({
        port: this.#port,
        host: '127.0.0.1',
        agent: this.#agent,
        method,
        path,
        headers,
      });
      request.once('error', reject);
      request.once('response', (response) => {
        const [cookie] = response.headers['set-cookie'] ?? [];
        if (cookie !== undefined) this.#cookie = cookie.split(';', 1)[0];
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
        response.once('end', () =>
          resolve({ status: response.statusCode, body: text, milliseconds: performance.now() - sentAt }),
        );
      });
      request.end(body);
    });
  }
}
