// What `--help` says beyond the list of flags: a person's first documentation.

export const GENERAL = `
Start a server, subscribe, and publish, each in a shell of its own:
  $ pubkeeper serve                                       prints a token
  $ pubkeeper patron 'demo.**' --token TOKEN
  $ pubkeeper brew demo.x hello --token TOKEN

Data goes to stdout, everything else to stderr. Exit codes:
  0    success, or Ctrl-C in a command that runs until it is stopped
  1    failure: server unreachable, token refused, message lost, file missing, port in use
  2    the command line is wrong
  124  --timeout expired
  130, 143  SIGINT or SIGTERM came before it was done

Environment:
  PUBKEEPER_SERVER, PUBKEEPER_TOKEN   instead of --server (several with commas) and --token
  PUBKEEPER_MQTT, PUBKEEPER_NATS      the address for --brew mqtt and --brew nats
  PUBKEEPER_JWT_KEY                   instead of --jwt-key-file
  PUBKEEPER_CLUSTER…                  several servers: see pubkeeper serve --help
  NO_COLOR                            no colours (nor are there any if stdout is not a terminal)
`;

export const SERVE = `
Runs until Ctrl-C or SIGTERM (exit code 0). Nothing is stored.

Who may connect:
  PUBKEEPER_TOKEN is used if there is no --token, no --tokens and no flag for signed tokens. If it is not set either, the
  server makes a token for this run, prints it once, and can be reached from this machine only.
  A --token without rights may do everything, and so may PUBKEEPER_TOKEN. With rights, it may do only that:
    --token 'TOKEN=read:plant.**,write:plant.1.valve'
  A token file is JSON: {"TOKEN": [{"topic": "plant.**", "read": true, "write": true}]}
  In place of a token it may have "sha256:HASH", as pubkeeper token create makes it.
  Signed tokens (JWT): --jwt-key-file (or PUBKEEPER_JWT_KEY, or --jwt-jwks-url), --jwt-issuer, --jwt-audience and
  --jwt-algorithms. Their claim "rights" has the form of a token file's list.
  Use files or PUBKEEPER_TOKEN if others can list the processes of this machine.

Beyond this machine (--host):
  The profile is then "secured": the relay accepts only what the control server has matched. Clients of the abandoned
  SDK have no tickets for that and need --profile open.
  --tls-cert and --tls-key make it a wss: server. --origin lists the only origins whose pages may connect (default: the
  server's own; if it is bound to loopback, those of this machine).
  --relay-address names a further host:port of this relay, such as a proxy's. Without it, in the profile "secured", a
  relay behind a mapped port gets no tickets and delivers nothing.
  Servers that share a relay need the same --ticket-key-file. To change keys, put the new one above the old one, send
  SIGHUP to all, and remove the old one after --ticket-seconds.

SIGHUP reads token, key and certificate files again. Connections whose token is gone are closed; the others continue.
If a file is invalid, the error is logged and nothing changes. Without such files, SIGHUP does nothing.

The logs (--log-format, --log-level) go to stderr and contain no tokens. With --log-format json, give tokens or add
--json: a generated token must not appear in a log.

Several servers, one network (--cluster): they need a NATS with JetStream (npm install @nats-io/transport-node
@nats-io/jetstream @nats-io/kv). Give all servers the same tokens and, in the profile "secured" behind one address, the
same --ticket-key-file. Credentials for NATS: --cluster-credentials, or PUBKEEPER_CLUSTER_USER and _PASSWORD, or _TOKEN.

Examples:
  $ pubkeeper serve
  $ pubkeeper serve --cluster nats://10.0.0.1:4222,nats://10.0.0.2:4222 --host 0.0.0.0 --tokens tokens.json
  $ pubkeeper serve --host 0.0.0.0 --port 9000 --tokens tokens.json
  $ pubkeeper serve --host 0.0.0.0 --tokens tokens.json --tls-cert cert.pem --tls-key key.pem --origin https://app.example
  $ pubkeeper serve --tokens tokens.json --log-format json --connections-per-address 64 --slow-reader cut
  $ pubkeeper serve --json --port 0 | jq -r .url          a free port, printed on stdout
`;

/** What `patron` and `brew` have in common. */
const BREWS = `
--server may be repeated, or list several servers with commas. They must be of one network (pubkeeper serve --cluster).
The first one that can be reached is used; when it is gone, the next.

--brew names the transport; repeat it in order of preference. The first one that both ends have is used:
  websocket[=URL]      the relay of the server, or the one at ws://host:port (without a path)
  mqtt=URL             an MQTT broker: mqtt://host:1883, ws://host:8083 (needs: npm install mqtt)
  nats=URL[,URL …]     NATS: nats://host:4222, ws://host:8080 (needs: npm install @nats-io/nats-core, and for nats://
                       @nats-io/transport-node)
  local[=DIRECTORY]    Unix sockets, for processes of one host
Put the name and password of a broker into its address. Others can list the command lines of this machine, so use
PUBKEEPER_MQTT and PUBKEEPER_NATS for such addresses. If the broker lets everybody in, a patron needs no address: brewers
announce it.
`;

export const PATRON = `
Patterns: * matches one segment, ** one or more. Quote them, or the shell may expand them.
Reconnects by itself when the server goes away. Ctrl-C ends it (exit code 0; with --count, 130).

What is printed for each message:
  (default)  topic  time  data     one line; the time is the local time of arrival. Text with line breaks or control
                                   characters is shown as a JSON string, data that is not UTF-8 as base64:…
  --json     {"topic", "time", "brewerId", "data", "retained", "sequence"}
                                   one line; "base64" instead of "data" if it is not UTF-8; "sequence" only with aes-gcm
  --lines    the data and a line break: lines sent by brew --lines come out as they went in
  --raw      the data, and nothing else: a file sent by brew --file comes out byte for byte

${BREWS.trim()}

A topic that the token may not read is no error: nothing comes from it.
--timeout counts from the start. When it expires, the exit code is 0 if a message came and there is no --count, else 124.
--cipher is the weakest encryption that is accepted: aes-gcm, aes-cbc (this or aes-gcm), or none (everything).

Examples:
  $ pubkeeper patron 'demo.**'
  $ pubkeeper patron 'host.*.memory' --json | jq .data
  $ pubkeeper patron files.photo --raw --count 1 > photo.jpg
  $ pubkeeper patron demo.ready --count 1 --timeout 30 || echo 'not ready'
`;

export const BREW = `
Waits until somebody subscribes, sends, and exits. Without a [text] it sends --file, or else stdin: all of it as one
message, or with --lines each line as one message, without its line break, as soon as it comes.

Exits once a patron, broker or relay has accepted everything. Exit code 1 if a message is lost, or not accepted within
15 s after the last one was sent, or before the last subscriber left.

While nobody subscribes, --lines reads nothing, so that no line is lost; --timeout limits each such wait. While the relay
or broker is away, --lines waits too, and says so; with --timeout it gives up after that time, but not before 15 s (exit
code 1).
Ctrl-C gives exit code 130. With --lines and a subscriber it gives 0, because that is the way to end an endless input, or
1 if a line that was read is not accepted.
Put -- before a text that starts with a dash: brew demo.x -- --help

${BREWS.trim()}

--cipher: aes-gcm seals messages, so that patrons notice tampering, replays and gaps; aes-cbc is for older peers.

Examples:
  $ pubkeeper brew demo.x hello
  $ pubkeeper brew demo.x '{ "on": true }' --json
  $ pubkeeper brew files.photo --file photo.jpg --timeout 10
  $ tail -f app.log | pubkeeper brew logs.app --lines
`;

export const BENCH = `
Connects a brewer and a patron, as two clients in this process, and prints for each --brew:
  messages/s  throughput, with at most 512 messages or 256 KiB in flight (messages of one tick are sent together)
  p50, p99    latency from brew() to the callback, of messages sent one at a time: half, and 99 of 100, took no longer

--json prints {"brew", "cipher", "size", "seconds", "messagesPerSecond", "p50Ms", "p99Ms"}, one line for each --brew.
Both ends run in one process, and the limits of the server apply (--relay-messages-per-second), so two machines may do
better. The token must be allowed to read and write bench.**, or --topic. Exit code 124 if the two ends are not matched
within --timeout, 1 if messages are lost or the relay or broker cannot be reached.

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
