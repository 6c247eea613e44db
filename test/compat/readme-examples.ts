// Compiled and never run: code as it was written for the old client, with only the import changed.
import { PubkeeperClient, WebSocketBrew } from 'pubkeeper/compat';
import type { BrewerToken, CompatBrew, Patron, PatronToken, Status } from 'pubkeeper/compat';

declare const document: { getElementById(id: string): { textContent: string | null } | null };
const server = 'wss://pubkeeper.example:9898/ws';
const jwt = 'header.payload.signature';
const brewerConfig = { hostname: 'relay.example', port: 8000, secure: true };

export async function everyOption(): Promise<void> {
  const client = new PubkeeperClient({ server, jwt, brews: [new WebSocketBrew({ brewerConfig })] });
  const matched = (patron: Patron): void => void patron.on('message', () => undefined);
  client.addPatron('some.topic', matched);
  await client.connect();
  new PubkeeperClient({
    server,
    jwt,
    brews: [
      new WebSocketBrew({
        name: 'websocket',
        brewerConfig: null,
        patronConfig: { anything: 1 },
        loopback: false,
        maxRetries: 3,
        maxTimeout: 1000,
        WebSocket,
      }),
    ],
    crypto: new Map(),
    protocols: ['pubkeeper-1.0'],
    maxRetries: Infinity,
    maxTimeout: 10000,
    WebSocket,
  });
}

export async function dashboard(): Promise<void> {
  const client = new PubkeeperClient({ server, jwt, brews: [new WebSocketBrew()] });
  client.on('statuschange', ({ target, status }) => {
    const known: Status = status;
    const same: PubkeeperClient = target;
    console.log(same.status, known === PubkeeperClient.DEAD);
  });
  client.once('connected', () => console.log('connected'));
  client.addListener('closed', () => console.log('closed')).on('error', (error) => console.error(error.message));
  const token = client.addPatron('plant.*.temperature', (patron) => {
    const onMessage = (data: Uint8Array, { topic, from, createdBy }: { topic: string; from: string; createdBy: string }) => {
      const element = document.getElementById(topic);
      if (element) element.textContent = new TextDecoder().decode(data) + from + createdBy;
    };
    patron.on('message', onMessage);
    patron.on('added', ({ topic, id }) => console.log(topic.length, id.length));
    patron.on('removed', ({ id }) => console.log(id.length));
    return () => patron.off('message', onMessage);
  });
  const same: PubkeeperClient = await client.connect({ wait: true });
  await same.connect();
  client.removePatron(token);
  await client.disconnect();
  await client.disconnect(1000);
  await new Promise((resolve) => client.once('connected', resolve));
  await new Promise<void>((resolve) => client.once('closed', resolve));
}

export function publishing(client: PubkeeperClient, brew: CompatBrew): void {
  const brewing: BrewerToken = client.addBrewer('plant.7.setpoint', { waitForBrews: 250, cipher: 2 }, (brewer) => {
    const brewAll = async (): Promise<void> => {
      await brewer.brew(Uint8Array.of(1, 2, 3), { waitForBrews: true });
      await brewer.brewText('on', { waitForBrews: false });
      await brewer.brewJSON({ a: 1 }, { replacer: ['a'], space: 2 });
      await brewer.brewJSON({ a: 1 }, { replacer: (key, value) => (key === 'a' ? undefined : value) });
      console.log(brewer.id, brewer.topic, brewer.brews.length, brewer.size, brewer.isMatched);
    };
    const timer = setInterval(() => void brewAll(), 1000);
    return () => clearInterval(timer);
  });
  const reading: PatronToken = client.addPatron('a.b', { id: '0', brews: ['websocket', brew], autoRemoveListeners: false });
  client.removeBrewer(brewing);
  client.removePatron(reading);
  const { recv, sent } = new WebSocketBrew().on('error', () => undefined).metrics();
  console.log(recv + sent);
}
