import { createServer } from '../../dist/server/index.js';

const server = await createServer({ port: 0 });
process.send({ url: server.url, token: server.token });
