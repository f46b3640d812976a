/** Real MQTT clients and raw sockets that knock at a broker, and what became of them. */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { connect, type Socket } from 'node:net'

/** Longer than the broker takes for anything but its connect timeout of 10 s. */
export const PATIENCE_MS = 20_000

export interface Knock {
  readonly client: MqttClient
  readonly messages: { readonly topic: string; readonly text: string; readonly retain: boolean }[]
  /** Resolves when the connection ends, whoever ended it. */
  readonly closed: Promise<void>
}

/** Connects once; rejects with the broker's refusal. */
export async function knock(port: number, username: string, password: string, more: IClientOptions = {}): Promise<Knock> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 4, clean: true, clientId: username, username, password, reconnectPeriod: 0, keepalive: 30, ...more,
  })
  const messages: { topic: string; text: string; retain: boolean }[] = []
  client.on('message', (topic, bytes, { retain }) => messages.push({ topic, text: bytes.toString(), retain }))
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve())
      client.once('error', reject)
      client.once('close', () => reject(new Error('closed before it was connected')))
    })
  } catch (error) {
    client.on('error', () => undefined)
    client.end(true)
    throw error
  }
  client.on('error', () => undefined) // What becomes of the connection is told by `closed`.
  return { client, messages, closed }
}

/** Resolves with what was true, or rejects after PATIENCE_MS naming what never came. */
export async function until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    if (Date.now() > end) throw new Error(`never came: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export interface RawConnection {
  readonly socket: Socket
  readonly closed: Promise<void>
}

export async function rawConnection(port: number): Promise<RawConnection> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined) // A reset is an end as good as any.
  socket.resume()
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  return { socket, closed }
}
