/**
 * The terminal's end of the wire. It says what it is told to, once; sale.ts repeats what was not answered.
 * A received word becomes an event only when its seal opens with a pinned gateway key and it is for this terminal.
 * The link counts as up only while a hello was answered: a TCP connection proves nothing.
 */
import type { Logger } from 'pino'
import type { Clock } from './clock.js'
import type { OpenSeal, Seal } from './protocol/seal.js'
import { type CloseReason, type DownMessage, type Order, type UpMessage, upTopic, WIRE_VERSION } from './protocol/wire.js'
import type { Event, Millis } from './sale.js'

export type LinkEvent =
  | { readonly type: 'link up' }
  | { readonly type: 'link down' }
  /** Whether the gateway can reach the payment API. */
  | { readonly type: 'charging changed'; readonly charging: boolean }
  | Extract<Event, { type: 'offer received' | 'verdict received' | 'reversal received' }>

export type SaleRequest =
  | { readonly type: 'sale.open'; readonly id: string; readonly order: Order }
  | { readonly type: 'sale.ask'; readonly id: string; readonly order: Order; readonly charge: string | null }
  | {
      readonly type: 'sale.close'; readonly id: string; readonly order: Order; readonly charge: string | null
      readonly reason: CloseReason
    }
  | { readonly type: 'sale.undelivered'; readonly id: string; readonly order: Order; readonly charge: string | null }

export interface CloudLink {
  start(deliver: (event: LinkEvent) => void): Promise<void>
  /** Seals and sends, or drops it when the link is down. */
  send(request: SaleRequest): void
  /** What was dropped, by reason. */
  refused(): Readonly<Record<string, number>>
  stop(): Promise<void>
}

/** A sealed text and where it goes. */
export interface Packet {
  readonly topic: string
  readonly sealed: string
}

/** What a connection tells. After `lost`, and after it was closed, nothing more is heard of it. */
export interface Listener {
  readonly connected: () => void
  /** What the gateway says arrives from now on. */
  readonly subscribed: () => void
  readonly received: (bytes: Uint8Array) => void
  /** Something came that nobody opens. */
  readonly refused: (because: string) => void
  readonly lost: (because: string) => void
}

export interface Connection {
  /** Calls `taken` when the broker has it. False when it was not even sent: there is no connection. */
  publish(packet: Packet, taken: () => void): boolean
  close(): Promise<void>
}

/** Carries sealed texts to and from a broker. It promises neither that they arrive nor that they arrive once. */
export interface Transport {
  /** Who is at the other end, for the log. */
  readonly peer: string
  /** Loads what it needs. */
  prepare(): Promise<void>
  /** Begins a connection of its own; the broker says `will` when it ends without being closed. */
  open(will: Packet, listener: Listener): Connection
}

export interface LinkOptions {
  readonly terminal: string
  readonly transport: Transport
  readonly seal: Seal
  /** Opens what the gateway sealed, and nothing else. */
  readonly open: OpenSeal<DownMessage>
  readonly epoch: number
  readonly software: string
  readonly configHash: string
  /** 128 random bits, hexadecimal, minted when the process starts. */
  readonly boot: string
  /** The journal holds nothing of earlier boots. */
  readonly forgot: boolean
  /** The sales a hello names. */
  readonly openSales: () => readonly string[]
  readonly clock: Clock
  /** 0 <= x < 1, spreads the reconnects of a fleet. */
  readonly random: () => number
  readonly log: Logger
}

/** No answer to a hello in this time, three times: the connection is dead whatever TCP says. */
const HELLO_MS = 5_000
const HELLOS_MAX = 3
/** Without a word from the gateway for this long the link must prove itself again. */
const SILENCE_MS = 60_000
const PUBACK_MS = 5_000
const SUBACK_MS = 5_000
const RECONNECT_MS = 500
const RECONNECT_MS_MAX = 30_000

export function createCloudLink(
  { terminal, transport, seal, open, epoch, software, configHash, boot, forgot, openSales, clock, random, log }: LinkOptions,
): CloudLink {
  const refusals: Record<string, number> = {}
  let deliver: (event: LinkEvent) => void = () => undefined
  let connection: Connection | undefined
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
    const will = { topic: upTopic(terminal, 'gone'), sealed: await seal(gone) }
    if (stopped) return
    const fresh: Connection = transport.open(will, {
      connected: () => setAlarm(clock.now() + SUBACK_MS, () => drop(fresh, `no SUBACK in ${SUBACK_MS} ms`)),
      subscribed() {
        hellos = 0
        void sayHello()
      },
      received: (bytes) => void receive(fresh, bytes),
      refused: (because) => refuse(because),
      lost: (because) => drop(fresh, because),
    })
    connection = fresh
  }

  /** Ends this connection and makes a new one later. A new one each time: an old one may still say what it could not send. */
  function drop(dead: Connection | undefined, because: string): void {
    if (dead === undefined || dead !== connection) return
    connection = undefined
    dead.close().catch((error: unknown) => log.warn({ error }, 'connection not closed'))
    if (up) deliver({ type: 'link down' })
    up = false
    if (stopped) return
    const waitMs = Math.min(RECONNECT_MS * 2 ** Math.min(failures, 10), RECONNECT_MS_MAX) * (0.5 + random() / 2)
    failures++
    log.warn({ because, url: transport.peer, againInMs: Math.round(waitMs) }, 'link lost')
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
    if (hellos >= HELLOS_MAX) return drop(connection, `no answer to ${hellos} hellos`)
    hellos++
    setAlarm(clock.now() + HELLO_MS, () => void sayHello())
    helloId = `hello-${epoch}-${Math.round(clock.now())}`
    await publish({ ...envelope(), type: 'hello', id: helloId, software, configHash, boot, forgot, openSales: [...openSales()] })
  }

  async function publish(message: UpMessage): Promise<void> {
    const sealed = await seal(message)
    const through = connection
    if (through === undefined) return
    const taken = clock.alarm(clock.now() + PUBACK_MS, () => drop(through, `no PUBACK in ${PUBACK_MS} ms`))
    if (!through.publish({ topic: upTopic(terminal, message.type), sealed }, taken)) taken()
  }

  // -- Words in ----------------------------------------------------------------------------------------------------

  async function receive(from: Connection, bytes: Uint8Array): Promise<void> {
    const opened = await open(bytes)
    if (from !== connection) return // Its connection went while it was opened: it proves nothing of the next, and is said again.
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
          log.info({ url: transport.peer }, 'link up')
          deliver({ type: 'link up' })
        }
        return
      case 'sale.offer': {
        const { order, counter, charge, payload, expiresAt } = message
        const lifetimeMs = Date.parse(expiresAt) - (clock.now() + gatewayAhead)
        return deliver({ type: 'offer received', order, counter, charge, payload, lifetimeMs })
      }
      case 'sale.verdict': {
        const { order, counter, re, charge, ending } = message
        return deliver({ type: 'verdict received', order, counter, re, charge, ending })
      }
      case 'sale.reversed': {
        const { order, counter, charge, amountMinor, voided } = message
        const ageMs = clock.now() + gatewayAhead - Date.parse(message.time)
        return deliver({ type: 'reversal received', order, counter, charge, amountMinor, voided, ageMs })
      }
    }
  }

  return {
    async start(to) {
      deliver = to
      await transport.prepare() // The heaviest import of the terminal: after the first picture.
      await connect()
    },
    send(request) {
      publish({ ...envelope(), ...request }).catch((error: unknown) => log.error({ error }, 'request not sent'))
    },
    refused: () => ({ ...refusals }),
    async stop() {
      stopped = true
      cancelAlarm()
      const last = connection
      connection = undefined
      await last?.close()
    },
  }
}
