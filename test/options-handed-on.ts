// Compiled and never run: code that passes options on may give `undefined` for each optional one, also in a project with
// `exactOptionalPropertyTypes`.
import type { BrewerOptions, ClientOptions, Patron, PatronOptions, PubkeeperClient, ReconnectOptions, WebSocketBrewOptions } from 'pubkeeper';
import type { BroadcastChannelBrewOptions } from 'pubkeeper/brews/broadcast-channel';
import type { LocalBrewOptions } from 'pubkeeper/brews/local';
import type { MqttBrewOptions } from 'pubkeeper/brews/mqtt';
import type { NatsBrewOptions } from 'pubkeeper/brews/nats';
import type * as compat from 'pubkeeper/compat';
import type * as core from 'pubkeeper/core';
import type { PubkeeperProviderProps, UsePatronOptions } from 'pubkeeper/react';
import type { ClusterOptions, JwtOptions, Limits, ServerOptions } from 'pubkeeper/server';

type Optional<Options> = { [Name in keyof Options]-?: object extends Pick<Options, Name> ? Name : never }[keyof Options];
type Lax<Options> = Record<Optional<Options>, undefined> extends Pick<Options, Optional<Options>> ? true : false;

export const all: Record<string, true> = {
  client: true satisfies Lax<ClientOptions>,
  core: true satisfies Lax<core.ClientOptions>,
  reconnect: true satisfies Lax<ReconnectOptions>,
  patron: true satisfies Lax<PatronOptions>,
  brewer: true satisfies Lax<BrewerOptions>,
  connect: true satisfies Lax<NonNullable<Parameters<PubkeeperClient['connect']>[0]>>,
  addPatron: true satisfies Lax<NonNullable<Parameters<PubkeeperClient['addPatron']>[2]>>,
  websocket: true satisfies Lax<WebSocketBrewOptions>,
  local: true satisfies Lax<LocalBrewOptions>,
  broadcastChannel: true satisfies Lax<BroadcastChannelBrewOptions>,
  mqtt: true satisfies Lax<MqttBrewOptions>,
  nats: true satisfies Lax<NatsBrewOptions>,
  server: true satisfies Lax<ServerOptions>,
  limits: true satisfies Lax<Limits>,
  cluster: true satisfies Lax<ClusterOptions>,
  jwt: true satisfies Lax<JwtOptions>,
  provider: true satisfies Lax<PubkeeperProviderProps>,
  usePatron: true satisfies Lax<UsePatronOptions>,
  compatClient: true satisfies Lax<compat.ClientOptions>,
  compatBrew: true satisfies Lax<compat.WebSocketBrewOptions>,
};

// Results have a value.
export const crypto = (patron: Patron): boolean | 'required' => patron.crypto;
