/**
 * The terminal's end of the wire. It says what it is told to, once; sale.ts repeats what was not answered.
 * A received word becomes an event only when its seal opens with a pinned gateway key and it is for this terminal.
 * The link counts as up only while a hello was answered: a TCP connection proves nothing.
 */
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import type { IClientOptions, MqttClient } from 'mqtt'
import type { Logger } from 'pino'
import type { Identity } from '../firmware-config/schema.js'
import type { Clock } from './clock.js'
import { createPacketBound, PACKET_BYTES_MAX } from './protocol/packet-bound.js'
import { createOpener, createSeal, type OpenSeal, type Seal } from './protocol/seal.js'
import { type CloseReason, downFilter, DownMessage, type Order, type UpMessage, upTopic, WIRE_VERSION } from './protocol/wire.js'
import type { Event, Millis } from './sale.js'

export type LinkEvent =
  | { readonly type: 'link up' }
  | { readonly type: 'link down' }
  /** Whether the gateway can reach the payment API. */
  | { readonly type: 'charging changed'; readonly charging: boolean }
  | Extract<Event, { type: 'offer received' | 'verdict received' }>

export type SaleRequest =
  | { readonly type: 'sale.open'; readonly id: string; readonly order: Order }
  | { readonly type: 'sale.ask'; readonly id: string; readonly order: Order }
  | { readonly type: 'sale.close'; readonly id: string; readonly order: Order; readonly reason: CloseReason }

export interface CloudLink {
  start(deliver: (event: LinkEvent) => void): Promise<void>
  /** Seals and sends, or drops it when the link is down. */
  send(request: SaleRequest): void
  /** What was dropped, by reason. */
  refused(): Readonly<Record<string, number>>
  stop(): Promise<void>
}

export interface LinkOptions {
  readonly identity: Identity
  readonly epoch: number
  readonly software: string
  readonly configHash: string
  /** The sales a hello names. */
  readonly openSales: () => readonly string[]
  readonly clock: Clock
  /** 0 <= x < 1, spreads the reconnects of a fleet. */
  readonly random: () => number
  readonly log: Logger
}

const CONNECT_MS = 10_000
const KEEPALIVE_S = 30
/** No answer to a hello in this time, three times: the connection is dead whatever TCP says. */
const HELLO_MS = 5_000
const HELLOS_MAX = 3
/** Without a word from the gateway for this long the link must prove itself again. */
const SILENCE_MS = 60_000
const PUBACK_MS = 5_000
const SUBACK_MS = 5_000
const RECONNECT_MS = 500
const RECONNECT_MS_MAX = 30_000

export async function createCloudLink(options: LinkOptions): Promise<CloudLink> {
  const { identity, clock, log } = options
  const seal = await createSeal(identity.key)
  const open = await createOpener(DownMessage, identity.gatewayKeys)
  return createLink(options, seal, open, { clock, log })
}

function createLink(
  { identity, epoch, software, configHash, openSales, random }: LinkOptions,
  seal: Seal, open: OpenSeal<DownMessage>, { clock, log }: { clock: Clock; log: Logger },
): CloudLink {
  const { terminal, broker } = identity
  const mqttOptions = clientOptions(identity) // An authority that cannot be read stops the program at its start.
  const refusals: Record<string, number> = {}
  let deliver: (event: LinkEvent) => void = () => undefined
  let connectMqtt: typeof import('mqtt').connect | undefined
  let client: MqttClient | undefined
  let up = false
  let charging = true
  let hellos = 0
  let helloId = ''
  let failures = 0
  let stopped = false
  let cancelAlarm = (): void => undefined
  /** The gateway's clock less ours, as the freshest word since the last hello showed it: a word that took long shows less. */
  let gatewayAhead = -Infinity
  /** The largest counter heard since the start. */
  let newest = -1

  const envelope = () => ({ v: WIRE_VERSION, terminal, epoch }) as const

  function refuse(because: string, fields: object = {}): void {
    refusals[because] = (refusals[because] ?? 0) + 1
    log.warn({ because, ...fields }, 'message refused')
  }

  // -- The connection ----------------------------------------------------------------------------------------------

  async function connect(): Promise<void> {
    const gone: UpMessage = { ...envelope(), type: 'gone', id: `gone-${epoch}` }
    const will = { topic: upTopic(terminal, 'gone'), payload: Buffer.from(await seal(gone)), qos: 1, retain: false } as const
    if (stopped || connectMqtt === undefined) return
    const fresh = connectMqtt(broker.url, { ...mqttOptions, will })
    client = fresh
    const beyond = createPacketBound(PACKET_BYTES_MAX)
    fresh.stream.on('data', (chunk: Buffer) => {
      if (beyond(chunk) === undefined) return
      if (fresh === client) refuse('oversized packet')
      drop(fresh, 'oversized packet') // Before the client collects it: 256 MB can be announced.
    })
    fresh.on('connect', () => {
      withoutDelay(fresh)
      setAlarm(clock.now() + SUBACK_MS, () => drop(fresh, `no SUBACK in ${SUBACK_MS} ms`))
      fresh.subscribe(downFilter(terminal), { qos: 1 }, (error, granted) => {
        if (error || granted?.some(({ qos }) => qos > 1)) return drop(fresh, 'subscription refused')
        hellos = 0
        void sayHello()
      })
    })
    fresh.on('message', (_topic, bytes, { retain }) => {
      // Nothing of ours is ever retained: a retained word is somebody's replay.
      if (retain) refuse('retained')
      else void receive(fresh, bytes)
    })
    fresh.on('error', (error) => drop(fresh, error.message))
    fresh.on('close', () => drop(fresh, 'connection closed'))
  }

  /** Ends this connection and makes a new one later. A new client each time: an old one replays what it could not send. */
  function drop(dead: MqttClient | undefined, because: string): void {
    if (dead === undefined || dead !== client) return
    client = undefined
    dead.removeAllListeners()
    dead.on('error', () => undefined) // Its last breath is of no interest.
    dead.end(true)
    if (up) deliver({ type: 'link down' })
    up = false
    if (stopped) return
    const waitMs = Math.min(RECONNECT_MS * 2 ** Math.min(failures, 10), RECONNECT_MS_MAX) * (0.5 + random() / 2)
    failures++
    log.warn({ because, url: broker.url, againInMs: Math.round(waitMs) }, 'link lost')
    setAlarm(clock.now() + waitMs, () => void connect())
  }

  function setAlarm(at: Millis, ring: () => void): void {
    cancelAlarm()
    cancelAlarm = clock.alarm(at, ring)
  }

  /** A link must prove itself again after a while; a gateway that could not charge is asked more often. */
  function askAgainLater(): void {
    setAlarm(clock.now() + (charging ? SILENCE_MS : HELLO_MS), () => {
      hellos = 0
      void sayHello()
    })
  }

  // -- Words out ---------------------------------------------------------------------------------------------------

  async function sayHello(): Promise<void> {
    if (hellos >= HELLOS_MAX) return drop(client, `no answer to ${hellos} hellos`)
    hellos++
    setAlarm(clock.now() + HELLO_MS, () => void sayHello())
    helloId = `hello-${epoch}-${Math.round(clock.now())}`
    await publish({ ...envelope(), type: 'hello', id: helloId, software, configHash, openSales: [...openSales()] })
  }

  async function publish(message: UpMessage): Promise<void> {
    const sealed = await seal(message)
    const through = client
    if (through === undefined || !through.connected) return
    const cancel = clock.alarm(clock.now() + PUBACK_MS, () => drop(through, `no PUBACK in ${PUBACK_MS} ms`))
    through.publish(upTopic(terminal, message.type), sealed, { qos: 1 }, () => cancel())
  }

  // -- Words in ----------------------------------------------------------------------------------------------------

  async function receive(from: MqttClient, bytes: Uint8Array): Promise<void> {
    const opened = await open(bytes)
    if (from !== client) return // Its connection went while it was opened: it proves nothing of the next, and is said again.
    if ('broken' in opened) return refuse(opened.broken)
    const { message } = opened
    if (message.terminal !== terminal) return refuse('another terminal', { terminal: message.terminal })
    const ahead = Date.parse(message.time) - clock.now()
    gatewayAhead = Math.max(gatewayAhead, ahead)
    // A word that came before proves nothing: somebody else may be saying it again.
    if (up && message.counter > newest) askAgainLater()
    newest = Math.max(newest, message.counter)
    switch (message.type) {
      case 'welcome':
        // Only the answer to our latest hello proves a round trip; an older one may be anybody's replay.
        if (message.re !== helloId) return refuse('stale welcome')
        helloId = '' // Once: the same welcome again is a replay too.
        gatewayAhead = ahead // Just sealed: if it shows less than before, somebody set the gateway's clock back.
        failures = 0
        if (message.charging !== charging) deliver({ type: 'charging changed', charging: message.charging })
        charging = message.charging
        askAgainLater()
        if (!up) {
          up = true
          log.info({ url: broker.url }, 'link up')
          deliver({ type: 'link up' })
        }
        return
      case 'sale.offer': {
        const { order, counter, charge, payload, expiresAt } = message
        const lifetimeMs = Date.parse(expiresAt) - (clock.now() + gatewayAhead)
        return deliver({ type: 'offer received', order, counter, charge, payload, lifetimeMs })
      }
      case 'sale.verdict': {
        const { order, counter, charge, ending } = message
        return deliver({ type: 'verdict received', order, counter, charge, ending })
      }
    }
  }

  return {
    async start(to) {
      deliver = to
      connectMqtt = (await import('mqtt')).connect // The heaviest import of the terminal: after the first picture.
      await connect()
    },
    send(request) {
      publish({ ...envelope(), ...request }).catch((error: unknown) => log.error({ error }, 'request not sent'))
    },
    refused: () => ({ ...refusals }),
    async stop() {
      stopped = true
      cancelAlarm()
      const last = client
      client = undefined
      if (last === undefined) return
      last.removeAllListeners()
      last.on('error', () => undefined)
      await last.endAsync(true)
    },
  }
}

/** MQTT 3.1.1, nothing kept by the broker, no reconnecting by the client itself (mqtt.md, section 1.2). */
function clientOptions({ terminal, broker }: Identity): IClientOptions {
  return {
    protocolVersion: 4, clean: true, clientId: terminal, username: broker.username, password: broker.password,
    keepalive: KEEPALIVE_S, connectTimeout: CONNECT_MS, reconnectPeriod: 0, queueQoSZero: false, resubscribe: false,
    ...(broker.caFile === undefined ? {} : { ca: readFileSync(broker.caFile) }),
  }
}

/** The client leaves Nagle's algorithm on, which costs about 40 ms a round trip. */
function withoutDelay({ stream }: MqttClient): void {
  if (stream instanceof Socket) stream.setNoDelay(true)
}
