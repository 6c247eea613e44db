import type { IClientOptions, MqttClient } from 'mqtt';
import { PubkeeperError } from '../../core/index.js';

/** The part of MQTT.js that is used here. */
export interface MqttLibrary {
  readonly default: { connect(url: string, options: IClientOptions): MqttClient };
}

/** What a brew wants of its lines: the QoS, and the longest message, in bytes. */
export interface MqttWays {
  readonly qos: 0 | 1;
  readonly most: number;
}

/** Rejects with `BREW_DEPENDENCY` when the package is missing. */
export async function loadMqtt(): Promise<MqttLibrary> {
  try {
    return await import('mqtt');
  } catch (cause) {
    throw new PubkeeperError('BREW_DEPENDENCY', 'MqttBrew needs the package mqtt: run npm install mqtt.', { packages: ['mqtt'] }, cause);
  }
}
