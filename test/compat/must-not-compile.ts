// Compiled and never run: mistakes that the types must find.
import { PubkeeperClient, WebSocketBrew } from 'pubkeeper/compat';
import { WebSocketBrew as SdkBrew } from 'pubkeeper';

const client = new PubkeeperClient({ server: 'ws://127.0.0.1:9898/ws', jwt: 'x', brews: [new WebSocketBrew()] });
const patron = client.addPatron('a.*');
const brewer = client.addBrewer('a.b');

// @ts-expect-error a jwt is needed
new PubkeeperClient({ server: 'ws://127.0.0.1:9898/ws', brews: [] });
// @ts-expect-error it is called jwt here
new PubkeeperClient({ server: 'ws://127.0.0.1:9898/ws', token: 'x' });
// @ts-expect-error brews are objects in the client's options
new PubkeeperClient({ server: 'ws://127.0.0.1:9898/ws', jwt: 'x', brews: ['websocket'] });
// @ts-expect-error a relay needs a port
new WebSocketBrew({ brewerConfig: { hostname: 'relay.example' } });
// @ts-expect-error a patron's token does not remove a brewer
client.removeBrewer(patron);
// @ts-expect-error a brewer's token does not remove a patron
client.removePatron(brewer);
// @ts-expect-error a token is no id
client.removePatron(patron.id);
// @ts-expect-error there is no such event
client.on('statusChange', () => undefined);
// @ts-expect-error status is read-only
client.status = 'connected';
// @ts-expect-error no such status
client.on('statuschange', ({ status }) => status === 'closed');
// @ts-expect-error patrons do not brew
client.addPatron('a.b', (matched) => matched.brewText('x'));
// @ts-expect-error brewers get no messages
client.addBrewer('a.b', (matched) => matched.on('message', () => undefined));
// @ts-expect-error a patron has no cipher: its brewers have
client.addPatron('a.b', { cipher: 2 });
client.addBrewer('a.b', (matched) => {
  // @ts-expect-error bytes, not text
  void matched.brew('text');
  // @ts-expect-error milliseconds are a number
  void matched.brewText('text', { waitForBrews: '500' });
});
class Minimal {
  binaryType = 'blob';
  readonly protocol = '';
  readonly readyState = 0;
  readonly bufferedAmount = 0;
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  send(): void {}
  close(): void {}
}
// @ts-expect-error a WebSocket has addEventListener
new PubkeeperClient({ server: 'ws://localhost:9898/ws', jwt: 'x', WebSocket: Minimal });
// @ts-expect-error a brew's too
new WebSocketBrew({ WebSocket: Minimal });
// @ts-expect-error a brew of the SDK's own API
new PubkeeperClient({ server: 'ws://localhost:9898/ws', jwt: 'x', brews: [new SdkBrew()] });
