// What `--help` says beyond the list of flags: a person's first documentation.

export const GENERAL = `
Start a network, listen, and send, each in a shell of its own:
  $ pubkeeper serve                                       prints a token
  $ pubkeeper patron 'demo.**' --token TOKEN
  $ pubkeeper brew demo.x hello --token TOKEN

Data goes to stdout, all else to stderr. Exit codes:
  0    done, or ended by Ctrl-C where that is the way to end it
  1    it did not work: server unreachable, token refused, file missing, port in use
  2    the command line is wrong
  124  --timeout is over
  130, 143  SIGINT or SIGTERM came before it was done

Environment:
  PUBKEEPER_SERVER, PUBKEEPER_TOKEN   instead of --server (of several, divided by commas) and --token
  PUBKEEPER_MQTT, PUBKEEPER_NATS      the address for --brew mqtt and --brew nats
  PUBKEEPER_JWT_KEY                   instead of --jwt-key-file
  NO_COLOR                            no colours (there are none either when stdout is no terminal)
`;

export const SERVE = `
Runs until Ctrl-C or SIGTERM (exit code 0). Nothing is stored.

Who may connect:
  PUBKEEPER_TOKEN counts where neither --token nor --tokens nor the flags of signed tokens are given. Where it is not set
  either, a token is made for this run and printed once, and the server is reachable from this machine only.
  A --token alone may do everything, and so may that of PUBKEEPER_TOKEN; with rights it may do just that:
    --token 'TOKEN=read:plant.**,write:plant.1.valve'
  A token file is JSON: {"TOKEN": [{"topic": "plant.**", "read": true, "write": true}]}
  where "sha256:HASH", as pubkeeper token create makes it, may stand for a token.
  Signed tokens (JWT): --jwt-key-file (or PUBKEEPER_JWT_KEY, or --jwt-jwks-url), --jwt-issuer, --jwt-audience and
  --jwt-algorithms. Their claim "rights" has the form of a token file's list.
  Prefer files, or PUBKEEPER_TOKEN, where others can list the processes of this machine.

Beyond this machine (--host): the profile is then "secured", in which the relay takes only what the control server has
matched; clients of the abandoned SDK know no tickets and need --profile open. --tls-cert and --tls-key make it wss:, and
--origin lists the only pages that may connect (default: the server's own origin; bound to loopback, those of this
machine). --relay-address names a further host:port of this relay, such as a proxy's: without it, in the profile
"secured", a relay behind a mapped port gets no tickets and delivers nothing.
Servers that share a relay share --ticket-key-file: to change keys put the new one before the old one, SIGHUP all, and
take the old one away after --ticket-seconds.

SIGHUP reads token, key and certificate files again. Connections whose token is gone are closed; the others continue.
If a file is invalid, the error is logged and nothing changes; without such files, nothing does either.

The logs (--log-format, --log-level) go to stderr and hold no tokens. With --log-format json, give tokens or add --json:
a token that the server makes must not appear in a log.

Several servers, one network (--cluster): all of them over a NATS with JetStream that is there already (npm install
@nats-io/transport-node @nats-io/jetstream @nats-io/kv). Give all of them the same tokens and, in the profile "secured"
behind one address, the same --ticket-key-file. For NATS: --cluster-credentials, or PUBKEEPER_CLUSTER_USER and _PASSWORD,
or _TOKEN.

Examples:
  $ pubkeeper serve
  $ pubkeeper serve --cluster nats://10.0.0.1:4222,nats://10.0.0.2:4222 --host 0.0.0.0 --tokens tokens.json
  $ pubkeeper serve --host 0.0.0.0 --port 9000 --tokens tokens.json
  $ pubkeeper serve --host 0.0.0.0 --tokens tokens.json --tls-cert cert.pem --tls-key key.pem --origin https://app.example
  $ pubkeeper serve --tokens tokens.json --log-format json --connections-per-address 64 --slow-reader cut
  $ pubkeeper serve --json --port 0 | jq -r .url          a free port, told on stdout
`;

/** What `patron` and `brew` have in common. */
const BREWS = `
--server may be given again, or several divided by commas: servers of one network (pubkeeper serve --cluster). The first
that can be reached is taken, and the next when that is gone.

--brew names the transport; repeat it in order of preference: the first that both ends have is taken:
  websocket[=URL]      the relay of the server, or the one at ws://host:port
  mqtt=URL             an MQTT broker: mqtt://host:1883, ws://host:8083 (needs: npm install mqtt)
  nats=URL[,URL …]     NATS: nats://host:4222, ws://host:8080 (needs: npm install @nats-io/nats-core, and for nats://
                       @nats-io/transport-node)
  local[=DIRECTORY]    Unix sockets, for processes of one host
Name and password of a broker stand in its address; others can list those of a command line, so prefer PUBKEEPER_MQTT and
PUBKEEPER_NATS. A patron needs no address of a broker that lets everybody in: brewers say where they are.
`;

export const PATRON = `
Patterns: * stands for one segment, ** for one or more. Quote them, or the shell may expand them.
Reconnects by itself when the server goes away. Ctrl-C ends it (exit code 0; with --count, 130).

What is printed for each message:
  (default)  topic  time  data     one line; the time is the local one of its arrival. Text with line breaks or control
                                   characters is shown as a JSON string, what is not UTF-8 as base64:…
  --json     {"topic", "time", "brewerId", "data", "retained", "sequence"}
                                   one line; "base64" instead of "data" for what is not UTF-8; "sequence" only for aes-gcm
  --lines    the data and a line break: what brew --lines has sent comes out as it went in
  --raw      the data, and nothing else: what brew --file has sent comes out byte for byte

${BREWS.trim()}

--timeout counts from the start. When it is over: with --count, exit code 124; without, 0 if a message came, else 124.
--cipher is the weakest encryption that is accepted: aes-gcm, aes-cbc (that or aes-gcm), or none (whatever comes).

Examples:
  $ pubkeeper patron 'demo.**'
  $ pubkeeper patron 'host.*.memory' --json | jq .data
  $ pubkeeper patron files.photo --raw --count 1 > photo.jpg
  $ pubkeeper patron demo.ready --count 1 --timeout 30 || echo 'not ready'
`;

export const BREW = `
Waits until somebody listens, sends, and leaves. What is sent without a [text] is --file, or else stdin: all of it as one
message, or with --lines each line as one, without its line break, as soon as it comes.

Exits once a patron, broker or relay has accepted everything. Exit code 1 if something is lost, or is still not accepted
15 s after the end.

While nobody listens, --lines reads nothing, so that no line is lost; --timeout limits each such wait. Ctrl-C gives
exit code 130, but 0 for --lines that somebody listens to: it is how one ends an endless input.
Put -- before a text that starts with a dash: brew demo.x -- --help

${BREWS.trim()}

--cipher: aes-gcm seals messages (tampering, replays and gaps are noticed); aes-cbc is what older peers read.

Examples:
  $ pubkeeper brew demo.x hello
  $ pubkeeper brew demo.x '{ "on": true }' --json
  $ pubkeeper brew files.photo --file photo.jpg --timeout 10
  $ tail -f app.log | pubkeeper brew logs.app --lines
`;

export const BENCH = `
Connects a brewer and a patron, as two clients in this process, and prints for each --brew:
  messages/s  as fast as they go, with at most 512 messages or 256 KiB under way (those of one tick leave together)
  p50, p99    from brew() to the callback, of messages that are sent one at a time: half of them, and 99 in 100, came within

--json prints {"brew", "cipher", "size", "seconds", "messagesPerSecond", "p50Ms", "p99Ms"}, one line for each --brew.
Both ends share one processor, and what a server limits (--relay-messages-per-second) shows: two machines may do better.
The token needs to read and to write bench.**, or --topic. Exit code 124 when the two ends do not meet within --timeout,
1 when messages get lost.

${BREWS.trim()}

Examples:
  $ pubkeeper bench
  $ pubkeeper bench --brew websocket --brew local --brew mqtt=mqtt://127.0.0.1:1883 --size 1000
  $ pubkeeper bench --seconds 10 --json | jq .p99Ms
`;

export const TOKEN = `
Examples:
  $ pubkeeper token create --read 'plant.**' --tokens tokens.json
  $ pubkeeper token verify --tokens tokens.json < token.txt
`;
