import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

// A proxy between pages and a server whose connections can die silently, as they do when a machine has slept or has
// changed its Wi-Fi.

export interface Wire {
  /** The port on loopback that leads to the server. */
  readonly port: number;
  /** Stops all data on the present connections of pages, without telling either end. */
  deaden(): void;
  close(): Promise<void>;
}

export async function layWire(target: number): Promise<Wire> {
  const pairs = new Set<{ readonly near: Socket; readonly far: Socket; isPage: boolean; isDead: boolean }>();
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    const pair = { near, far, isPage: false, isDead: false };
    pairs.add(pair);
    // Only pages send an Origin header.
    near.once('data', (head: Buffer) => {
      pair.isPage = /^origin:/im.test(head.toString('latin1'));
    });
    near.on('data', (bytes) => void (pair.isDead || far.write(bytes)));
    far.on('data', (bytes) => void (pair.isDead || near.write(bytes)));
    near.on('close', () => void (pair.isDead || far.destroy()));
    far.on('close', () => void (pair.isDead || near.destroy()));
    near.on('error', () => undefined);
    far.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    deaden() {
      for (const pair of pairs) pair.isDead ||= pair.isPage;
    },
    close: () =>
      new Promise((resolve) => {
        for (const { near, far } of pairs) {
          near.destroy();
          far.destroy();
        }
        server.close(() => resolve());
      }),
  };
}
