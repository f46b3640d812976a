/**
 * The terminal's MQTT client behind the small promise of cloud-link.ts: MQTT 3.1.1, QoS 1, one filter, nothing kept by
 * the broker, no reconnecting by the client itself. It carries sealed texts and understands none of them; it keeps no
 * time but that of connecting: how long to wait for what is the link's affair.
 */
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import type { IClientOptions, MqttClient } from 'mqtt'
import type { Identity } from '../firmware-config/schema.js'
import type { Connection, Listener, Transport } from './cloud-link.js'
import { createPacketBound, PACKET_BYTES_MAX } from './protocol/packet-bound.js'
import { downFilter } from './protocol/wire.js'

const CONNECT_MS = 10_000
const KEEPALIVE_S = 30

export function createMqttTransport({ terminal, broker }: Pick<Identity, 'terminal' | 'broker'>): Transport {
  const options = clientOptions(terminal, broker) // An authority that cannot be read stops the program at its start.
  let connectMqtt: typeof import('mqtt').connect | undefined

  return {
    peer: broker.url,
    async prepare() {
      connectMqtt = (await import('mqtt')).connect
    },
    open({ topic, sealed }, listener) {
      if (connectMqtt === undefined) throw new Error('the transport was not prepared')
      const will = { topic, payload: Buffer.from(sealed), qos: 1, retain: false } as const
      return attach(connectMqtt(broker.url, { ...options, will }), downFilter(terminal), listener)
    },
  }
}

function attach(client: MqttClient, filter: string, listener: Listener): Connection {
  const beyond = createPacketBound(PACKET_BYTES_MAX)
  client.stream.on('data', (chunk: Buffer) => {
    if (beyond(chunk) === undefined) return
    listener.refused('oversized packet')
    listener.lost('oversized packet') // Before the client collects it: 256 MB can be announced.
  })
  client.on('connect', () => {
    withoutDelay(client)
    listener.connected()
    client.subscribe(filter, { qos: 1 }, (error, granted) => {
      if (error || granted?.some(({ qos }) => qos > 1)) listener.lost('subscription refused')
      else listener.subscribed()
    })
  })
  client.on('message', (_topic, bytes, { retain }) => {
    // Nothing of ours is ever retained: a retained word is somebody's replay.
    if (retain) listener.refused('retained')
    else listener.received(bytes)
  })
  client.on('error', (error) => listener.lost(error.message))
  client.on('close', () => listener.lost('connection closed'))

  return {
    publish({ topic, sealed }, taken) {
      if (!client.connected) return false
      client.publish(topic, sealed, { qos: 1 }, () => taken())
      return true
    },
    async close() {
      client.removeAllListeners()
      client.on('error', () => undefined) // Its last breath is of no interest.
      await client.endAsync(true)
    },
  }
}

/** A new client each time: an old one replays what it could not send (mqtt.md, section 1.2). */
function clientOptions(terminal: string, { username, password, caFile }: Identity['broker']): IClientOptions {
  return {
    protocolVersion: 4, clean: true, clientId: terminal, username, password,
    keepalive: KEEPALIVE_S, connectTimeout: CONNECT_MS, reconnectPeriod: 0, queueQoSZero: false, resubscribe: false,
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
  }
}

/** The client leaves Nagle's algorithm on, which costs about 40 ms a round trip. */
function withoutDelay({ stream }: MqttClient): void {
  if (stream instanceof Socket) stream.setNoDelay(true)
}
