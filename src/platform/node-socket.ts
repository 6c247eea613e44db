import WebSocket from 'isomorphic-ws';

/**
 * `ws`, by way of isomorphic-ws, without what costs more than it gives: compression, which is useless for ciphertext, and
 * masking where nobody on the way can read the data. Masking exists so that a script in a page cannot choose the bytes that a
 * careless proxy sees (RFC 6455, section 10.3). Inside TLS and on loopback there is no such proxy, and masking would take longer
 * than sending. `ws` skips it when the mask is zero.
 */
export class NodeWebSocket extends WebSocket {
  constructor(url: string, protocols?: string | string[]) {
    super(url, protocols, { perMessageDeflate: false, ...(isUnseen(url) && { generateMask: () => undefined }) });
    // Added before all other listeners, which show the message to people.
    this.on('error', (error: NodeJS.ErrnoException) => {
      const { code = '', message } = error;
      // Some versions of OpenSSL, such as Node 25's, report an answer that is not TLS as a packet that is too long.
      if (code === 'EPROTO' && /wrong version number|packet length too long/.test(message)) error.message = 'it does not speak TLS: try ws:// instead of wss://';
      // A server that speaks TLS may reset a connection that does not.
      if (code === 'ECONNRESET' && url.startsWith('ws:')) error.message += ': if it speaks TLS, try wss:// instead of ws://';
      // Newer versions of Node add, after a semicolon, advice that helps only if the authority is known to the system.
      if (/SELF_SIGNED|^UNABLE_TO_/.test(code)) error.message = message.replace(/;|$/, ': if it is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>$&');
    });
  }
}

function isUnseen(url: string): boolean {
  try {
    const { protocol, hostname } = new URL(url);
    return protocol === 'wss:' || hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
  } catch {
    return false; // the constructor says what is wrong with the URL
  }
}
