import { createServer } from 'node:http';
import { once } from 'node:events';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'] });
io.on('connection', (socket) => {
  socket.on('join', (done) => {
    void socket.join('room');
    done();
  });
  socket.on('a', (bytes) => socket.to('room').emit('b', bytes));
  socket.on('sync', (done) => done());
});
http.listen(0, '127.0.0.1');
await once(http, 'listening');
process.send({ port: http.address().port });
