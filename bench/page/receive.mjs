// What a page does in the scene page-receive: counts messages, and notes when they come.

let count = 0;
let first = 0;
let last = 0;

export function onMessage() {
  last = performance.now();
  if (!count++) first = last;
}

export const counted = () => ({ count, ms: last - first });
