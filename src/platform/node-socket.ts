import WebSocket from 'isomorphic-ws';

/**
 * `ws`, by way of isomorphic-ws, without what costs more than it gives: compression, which ciphertext defeats, and
 * masking where nobody on the way can look in. Masks are there so that a script in a page cannot choose the bytes that a
 * careless proxy sees (RFC 6455, section 10.3); inside TLS and on loopback there is none, and masking would take longer
 * than sending. `ws` skips it when the mask is zero.
 */
export class NodeWebSocket extends WebSocket {
  constructor(url: string, protocols?: string | string[]) {
    super(url, protocols, { perMessageDeflate: false, ...(isUnseen(url) && { generateMask: () => undefined }) });
    // First of all who listen: they show the message to people.
    this.on('error', (error: NodeJS.ErrnoException) => {
      const { code = '', message } = error;
      // OpenSSL has taken what is no TLS for a record that is too long in some versions, as in that of Node 25.
      if (code === 'EPROTO' && /wrong version number|packet length too long/.test(message)) error.message = 'it does not speak TLS: try ws:// instead of wss://';
      // What a server that speaks TLS does with a request that does not.
      if (code === 'ECONNRESET' && url.startsWith('ws:')) error.message += ': if it speaks TLS, try wss:// instead of ws://';
      // Newer versions of Node add, after a semicolon, what helps where the authority is known to the system.
      if (/SELF_SIGNED|^UNABLE_TO_/.test(code)) error.message = message.replace(/;|$/, ': if it is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>$&');
    });
  }
}

function isUnseen(url: string): boolean {
  try {
    const { protocol, hostname } = new URL(url);
    return protocol === 'wss:' || hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
  } catch {
    return false; // the constructor says what is wrong with it
  }
}
