/**
 * The embedded MQTT broker (aedes): each terminal has its own credentials and can touch its own topics only.
 * A foreign publish closes its connection, a foreign subscription is answered with 0x80. The packet guard stands before
 * the parser, because the parser itself would swallow an announced 256 MB.
 */
import { Aedes, type AuthenticateError, type Client } from 'aedes'
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { Duplex, Transform } from 'node:stream'
import type { Logger } from 'pino'
import { createPacketBound, PACKET_BYTES_MAX } from '../device/protocol/packet-bound.js'
import { downFilter, upPrefix } from '../device/protocol/wire.js'

export interface EmbeddedBroker {
  readonly port: number
  subscribe(filter: string, receive: (topic: string, bytes: Uint8Array) => void): Promise<void>
  publish(topic: string, text: string): Promise<void>
  /** Takes no more connections and ends those it has. */
  close(): Promise<void>
}

export interface BrokerOptions {
  readonly host: string
  /** 0..65535; 0 picks a free one */
  readonly port: number
  /** SHA-256 of a terminal's password, hexadecimal; undefined for a terminal that is not enrolled. */
  readonly passwordHashOf: (terminal: string) => Promise<string | undefined>
  readonly connectionsMax?: number
  readonly log: Logger
}

const NOT_AUTHORIZED = 5
const BAD_CREDENTIALS = 4

export async function startBroker(options: BrokerOptions): Promise<EmbeddedBroker> {
  const { host, port, passwordHashOf, connectionsMax = 10_000, log } = options
  const aedes = await Aedes.createBroker({
    connectTimeout: 10_000, drainTimeout: 10_000, keepaliveLimit: 300, maxClientsIdLength: 64,
  })

  aedes.authenticate = (client, username, password, done) => {
    const refuse = (returnCode: number) => done(Object.assign(new Error('refused'), { returnCode }) as AuthenticateError, null)
    if (username === undefined || password === undefined || client.id !== username) {
      log.warn({ client: client.id }, 'connection refused: client id is not the username')
      return refuse(NOT_AUTHORIZED)
    }
    passwordHashOf(username).then((expected) => {
      if (expected !== undefined && sameHash(passwordHash(password), expected)) return done(null, true)
      log.warn({ terminal: username }, 'connection refused: wrong credentials')
      return refuse(BAD_CREDENTIALS)
    }, (error: unknown) => {
      log.error({ terminal: username, error }, 'credentials could not be read')
      refuse(BAD_CREDENTIALS)
    })
  }
  aedes.authorizePublish = (client, packet, done) => {
    if (client === null) return done(null)
    if (packet.topic.startsWith(upPrefix(client.id)) && !packet.retain && packet.qos < 2) return done(null)
    log.warn({ terminal: client.id, topic: packet.topic }, 'foreign publish refused')
    return done(new Error('not yours'))
  }
  aedes.authorizeSubscribe = (client, subscription, done) => {
    if (subscription.topic === downFilter(client.id)) return done(null, subscription)
    log.warn({ terminal: client.id, filter: subscription.topic }, 'foreign subscription refused')
    return done(null, null)
  }
  aedes.on('clientReady', (client: Client) => log.info({ terminal: client.id }, 'terminal connected'))
  aedes.on('clientDisconnect', (client: Client) => log.info({ terminal: client.id }, 'terminal disconnected'))

  const server = createServer((socket) => {
    socket.setNoDelay(true)
    aedes.handle(guarded(socket, log))
  })
  server.maxConnections = connectionsMax
  await listening(server, host, port)
  server.on('error', (error) => log.error({ error }, 'connection not accepted')) // Out of files, perhaps: others go on.
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error(`the broker has no port on ${host}`)
  log.info({ host, port: address.port }, 'broker listening')

  return {
    port: address.port,
    subscribe: (filter, receive) => new Promise((resolve) => {
      aedes.subscribe(filter, (packet, done) => {
        receive(packet.topic, typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload)
        done()
      }, () => resolve())
    }),
    publish: (topic, text) => new Promise((resolve, reject) => {
      aedes.publish({ cmd: 'publish', topic, payload: Buffer.from(text), qos: 1, retain: false, dup: false }, (error) => {
        if (error) reject(error)
        else resolve()
      })
    }),
    close: async () => {
      server.close()
      await new Promise<void>((resolve) => aedes.close(() => resolve()))
    },
  }
}

export const passwordHash = (password: Uint8Array | string): string => createHash('sha256').update(password).digest('hex')

function sameHash(a: string, b: string): boolean {
  const left = Buffer.from(a, 'hex'), right = Buffer.from(b, 'hex')
  return left.length === right.length && timingSafeEqual(left, right)
}

function guarded(socket: Socket, log: Logger): Duplex {
  const guard = createPacketGuard(PACKET_BYTES_MAX)
  guard.on('error', (error) => {
    log.warn({ error: error.message }, 'connection closed')
    socket.destroy()
  })
  socket.on('error', () => socket.destroy())
  const stream = Duplex.from({ readable: socket.pipe(guard), writable: socket })
  stream.on('error', () => socket.destroy())
  stream.on('close', () => socket.destroy())
  socket.on('close', () => stream.destroy())
  return stream
}

/** Lets MQTT packets through whose announced length is within the bound, and fails on the first that is not. */
export function createPacketGuard(bytesMax: number): Transform {
  const beyond = createPacketBound(bytesMax)
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const length = beyond(chunk)
      if (length === undefined) done(null, chunk)
      else done(new Error(`packet of ${length} bytes or more`))
    },
  })
}

const listening = (server: Server, host: string, port: number): Promise<void> => new Promise((resolve, reject) => {
  const refuse = (cause: Error): void =>
    reject(new Error(`the broker cannot listen on ${host}:${port}: ${cause.message}`, { cause }))
  server.once('error', refuse)
  server.listen(port, host, () => {
    server.off('error', refuse)
    resolve()
  })
})
