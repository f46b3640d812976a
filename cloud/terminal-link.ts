/**
 * The gateway's end of the wire: bytes from terminals in, sealed words out. It understands nothing of what it carries.
 * Two ways to the same promise: through the embedded broker in this process, or as a client of an external one.
 */
import mqtt from 'mqtt'
import { Socket } from 'node:net'
import type { Logger } from 'pino'
import { MESSAGE_BYTES_MAX, UP_FILTER_ALL } from '../device/protocol/wire.js'
import type { EmbeddedBroker } from './broker.js'

export interface TerminalLink {
  start(receive: (topic: string, bytes: Uint8Array) => void): Promise<void>
  /** Resolves when the broker has taken the word (QoS 1); rejects after 5 s without its PUBACK. */
  publish(topic: string, sealed: string): Promise<void>
  close(): Promise<void>
}

/** The broker starts with the link: it takes no terminal's word before somebody listens to it. */
export function embeddedLink(startBroker: () => Promise<EmbeddedBroker>): TerminalLink {
  let broker: EmbeddedBroker | undefined
  return {
    async start(receive) {
      broker = await startBroker()
      await broker.subscribe(UP_FILTER_ALL, receive)
    },
    async publish(topic, sealed) {
      if (broker === undefined) throw new Error('the broker has not started')
      await broker.publish(topic, sealed)
    },
    close: async () => { await broker?.close() },
  }
}

export interface ExternalBroker {
  readonly url: string
  readonly username: string
  readonly password: string
  readonly clientId: string
}

const CONNECT_MS = 10_000
const PUBACK_MS = 5_000

/** A persistent session (clean=false): while the gateway is away the broker keeps what terminals said. */
export function externalLink({ url, username, password, clientId }: ExternalBroker, log: Logger): TerminalLink {
  let client: mqtt.MqttClient | undefined

  return {
    start(receive) {
      const connected = mqtt.connect(url, {
        protocolVersion: 4, clean: false, clientId, username, password, keepalive: 30,
        connectTimeout: CONNECT_MS, reconnectPeriod: 1_000, reconnectOnConnackError: true, queueQoSZero: false,
        resubscribe: false, manualConnect: true,
      })
      client = connected
      // The client leaves Nagle's algorithm on, which costs 40 ms a round trip (mqtt.md, section 1.2).
      connected.on('connect', () => {
        if (connected.stream instanceof Socket) connected.stream.setNoDelay(true)
        connected.subscribe(UP_FILTER_ALL, { qos: 1 }, (error) => {
          if (error) log.error({ url, error: error.message }, 'broker refused the subscription')
          else log.info({ url }, 'broker connected')
        })
      })
      connected.on('error', (error) => log.warn({ url, error: error.message }, 'broker link failed'))
      connected.on('message', (topic, bytes) => {
        if (bytes.byteLength <= MESSAGE_BYTES_MAX) receive(topic, bytes)
        else log.warn({ bytes: bytes.byteLength }, 'oversized message dropped')
      })
      connected.connect() // A broker that is away is tried for ever; words wait in the outbox.
      return Promise.resolve()
    },
    async publish(topic, sealed) {
      if (client === undefined || !client.connected) throw new Error(`broker ${url} is not connected`)
      await withTimeout(client.publishAsync(topic, sealed, { qos: 1 }), PUBACK_MS, `no PUBACK from ${url}`)
    },
    async close() {
      await client?.endAsync(true)
    },
  }
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, problem: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${problem} in ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}
