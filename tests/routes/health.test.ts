import request from 'supertest';
import { createApp } from '../../src/app';
import { createPool } from '../../src/db/pool';
import { useApp } from '../support/app';

const app = useApp();

describe('GET /health', () => {
  it('says four things, and opens no session', async () => {
    const { status, body, headers } = await request(app.url).get('/health');
    expect([status, headers['set-cookie']]).toEqual([200, undefined]);
    expect(body).toEqual({
      status: 'healthy',
      timestamp: expect.stringMatching(/Z$/),
      uptime: expect.any(Number),
      environment: 'test',
    });
  });

  it('says no more when the database is away', async () => {
    const away = createPool(
      { connectionString: 'postgres://nobody@127.0.0.1:9/none', ssl: false, poolMax: 1 },
      'away',
    );
    const { status, body } = await request(createApp({ ...app.context, intakePool: away })).get('/health');
    expect(status).toBe(503);
    expect(Object.keys(body as object)).toEqual(['status', 'timestamp', 'uptime', 'environment']);
    expect(body).toMatchObject({ status: 'unhealthy' });
    await away.end();
  });

  it('takes a stopping instance out of rotation, and lets its connections go', async () => {
    const stopping = createApp(app.context, { isShuttingDown: true });
    const { status, headers } = await request(stopping).get('/health/ready');
    expect([status, headers['connection']]).toEqual([503, 'close']);
    expect((await request(stopping).get('/health/live')).status).toBe(200);
  });
});

describe('a page while the database is away', () => {
  it('is a 503 that keeps the cookie', async () => {
    const pool = createPool(
      { connectionString: 'postgres://nobody@127.0.0.1:9/none', ssl: false, poolMax: 1 },
      'away',
    );
    const visitor = app.browser();
    await visitor.register();
    const response = await request(createApp({ ...app.context, pool }))
      .get('/dashboard')
      .set('Cookie', visitor.cookieHeader());
    expect([response.status, response.headers['set-cookie']]).toEqual([503, undefined]);
    expect(response.text).toContain('Back in a moment');
    expect(response.text).not.toMatch(/ECONNREFUSED|at .*\.ts/);
    await pool.end();
  });
});
