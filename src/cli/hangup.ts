import { closeSync, openSync } from 'node:fs';
import { ExitCode } from './exit.js';

/** What SIGHUP does to a running server. */
export interface OnHangup {
  /** The terminal in which it was started has been closed. */
  end(): void;
  /** Its files are to be read again. */
  reload(): void;
}

/**
 * Listens for SIGHUP from the start of `serve`: without a listener the signal would end a server that is still starting, and systemd, which
 * takes that for a clean exit, would not start it again.
 * @returns to be called when the server runs, with what the signal does from then on
 */
export function watchHangup(): (running: OnHangup) => void {
  const terminal = hasTerminal();
  let isEarly = false;
  let running: OnHangup = { end: () => process.exit(ExitCode.OK), reload: () => void (isEarly = true) };
  // The same signal is sent when the terminal in which the server was started is closed.
  process.on('SIGHUP', () => (terminal && !hasTerminal() ? running.end() : running.reload()));
  return (now) => {
    running = now;
    // The signal came during the start: the files may have changed since they were read.
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
