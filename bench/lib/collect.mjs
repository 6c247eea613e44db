// Loaded into a server's process: collects garbage on request.
process.on('message', (message) => {
  if (message !== 'collect') return;
  for (let i = 0; i < 3; i++) globalThis.gc();
  process.send('collected');
});
