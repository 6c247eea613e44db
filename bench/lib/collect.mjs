// In a server's process: collects garbage when it is told to.
process.on('message', (message) => {
  if (message !== 'collect') return;
  for (let i = 0; i < 3; i++) globalThis.gc();
  process.send('collected');
});
