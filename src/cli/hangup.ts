import { closeSync, openSync } from 'node:fs';
import { ExitCode } from './exit.js';

/** What a server that runs does at SIGHUP. */
export interface OnHangup {
  /** The terminal in which it was started has been closed. */
  end(): void;
  /** Its files are to be read again. */
  reload(): void;
}

/**
 * SIGHUP as a server takes it. By itself the signal would end the process, and to systemd that is no failure: nothing would start it
 * again. So it is heard while the server is yet starting: who manages services counts it as running by then.
 * Returns what takes over when it runs.
 */
export function watchHangup(): (running: OnHangup) => void {
  const terminal = hasTerminal();
  let isEarly = false;
  let running: OnHangup = { end: () => process.exit(ExitCode.OK), reload: () => void (isEarly = true) };
  // The same signal says that the terminal has been closed.
  process.on('SIGHUP', () => (terminal && !hasTerminal() ? running.end() : running.reload()));
  return (now) => {
    running = now;
    // What was read before may have changed since.
    if (isEarly) now.reload();
  };
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
