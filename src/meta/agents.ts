import http from 'node:http';
import https from 'node:https';
import { type Socket } from 'node:net';

const CONNECT_TIMEOUT_MS = 5_000;
const OPTIONS = { keepAlive: true, maxSockets: 32, maxFreeSockets: 8 };

type Connect = (options: object, callback?: (error: Error | null, socket: Socket) => void) => Socket;

/** Connections to Meta: kept for the next call, and given up when they do not come about within five seconds. */
export function createAgents(): { httpAgent: http.Agent; httpsAgent: https.Agent } {
  return {
    httpAgent: bounded(new http.Agent(OPTIONS), 'connect'),
    httpsAgent: bounded(new https.Agent(OPTIONS), 'secureConnect'),
  };
}

function bounded<T extends http.Agent>(agent: T, ready: 'connect' | 'secureConnect'): T {
  const holder = agent as unknown as { createConnection: Connect };
  const connect = holder.createConnection.bind(agent);
  holder.createConnection = (options, callback) => {
    const socket = connect(options, callback);
    const timer = setTimeout(() => socket.destroy(new Error('connecting timed out')), CONNECT_TIMEOUT_MS);
    for (const event of [ready, 'close']) socket.once(event, () => clearTimeout(timer));
    return socket;
  };
  return agent;
}
