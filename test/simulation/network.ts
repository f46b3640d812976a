/**
 * Everything between terminals and gateway: the line of each box, the broker, and the messages on their way. The broker
 * keeps the promises of the floor in ARCHITECTURE.md ("The wire") and no others: QoS 1, a client id that is taken over,
 * a last will, clean sessions for terminals. Its PUBACK says that it has a message, not that anybody will get it.
 */
import type { TerminalLink } from '../../cloud/terminal-link.js'
import type { Connection, Listener, Packet, Transport } from '../../device/cloud-link.js'
import { type Dice, dice } from './dice.js'
import type { Engine, Life } from './engine.js'
import type { Faults } from './faults.js'

/** The line of one box. Half open: nothing gets through, and nobody is told for a while. */
export interface WireEnd {
  readonly name: string
  readonly chance: Dice
  state: 'open' | 'down' | 'half open'
}

export interface NetworkOptions {
  readonly engine: Engine
  readonly faults: Faults
  readonly seed: number
  /** The broker lives in the gateway's process; else it is a program of its own, and keeps words for an absent gateway. */
  readonly embedded: boolean
  /** A welcome got through to a terminal. */
  readonly delivered: (packet: Packet, life: Life) => void
}

export interface Network {
  addWire(name: string): WireEnd
  /** A terminal's transport, for one process of it. */
  transport(terminal: string, wire: WireEnd, life: Life, tell: { readonly opened: () => void; readonly closed: () => void }): Transport
  /** The gateway's end, for one process of it. */
  gatewayLink(life: Life): TerminalLink
  /** The power of a box went, or its process: nobody says goodbye. */
  abandon(life: Life, how: 'killed' | 'unplugged'): void
  cut(wire: WireEnd, how: 'down' | 'half open'): void
  mend(wire: WireEnd): void
  restartBroker(downMs: number): void
  gatewayGone(): void
}

interface Session {
  readonly client: string
  readonly wire: WireEnd
  readonly life: Life
  readonly listener: Listener
  readonly will: Packet
  /** As the terminal sees it. */
  here: 'connecting' | 'connected' | 'gone'
  /** As the broker sees it. */
  there: boolean
  /** Nothing overtakes what was sent before, unless a fault says so. */
  upFreeAt: number
  downFreeAt: number
}

const KEEPALIVE_MS = 45_000
const QUEUE_MAX = 1_000

export function createNetwork({ engine, faults, seed, embedded, delivered }: NetworkOptions): Network {
  const sessions = new Map<string, Session>()
  const everyone = new Set<Session>()
  const waiting: Packet[] = []
  let gateway: { readonly life: Life; readonly receive: (topic: string, bytes: Uint8Array) => void; attached: boolean } | undefined
  let brokerUp = !embedded
  let gatewayFreeAt = 0

  /** The gateway's own way to the broker. */
  const near = dice(seed, 'wire', 'gateway')
  const leg = (chance: Dice): number => chance.between(10, 90)

  // -- The broker --------------------------------------------------------------------------------------------------

  function takeUp(packet: Packet): void {
    if (!brokerUp) return
    if (gateway?.attached === true && gateway.life.alive) {
      const { receive, life } = gateway
      gatewayFreeAt = Math.max(engine.now() + leg(near), gatewayFreeAt)
      engine.at(gatewayFreeAt, 'up', () => receive(packet.topic, Buffer.from(packet.sealed)), life)
    } else if (!embedded && waiting.length < QUEUE_MAX) waiting.push(packet)
  }

  function takeDown(packet: Packet): void {
    const session = sessions.get(packet.topic.split('/')[2] ?? '')
    if (!brokerUp || session === undefined || !session.there) return
    carry('down', session, (late) => {
      const at = Math.max(engine.now() + leg(session.wire.chance), late ? 0 : session.downFreeAt)
      if (!late) session.downFreeAt = at
      return at
    }, () => {
      if (!brokerUp || !session.there || session.here !== 'connected' || session.wire.state !== 'open') return
      delivered(packet, session.life)
      session.listener.received(Buffer.from(packet.sealed))
    }, session.life)
  }

  /** One message over one session, with everything that may happen to it. */
  function carry(way: 'up' | 'down', session: Session, slot: (late: boolean) => number, arrive: () => void, life?: Life): void {
    const where = `${session.wire.name} ${way}`
    if (faults.strikes('message lost', where) !== undefined) return
    const delayed = faults.strikes('message delayed', where)
    const reordered = faults.strikes('message reordered', where)
    const extra = (delayed === undefined ? 0 : 3_000 + delayed * 87_000) + (reordered === undefined ? 0 : reordered * 4_000)
    engine.at(slot(extra > 0) + extra, way, arrive, life)
    const again = faults.strikes('message duplicated', where)
    if (again !== undefined) engine.at(slot(true) + extra + again * again * 20_000, `${way} again`, arrive, life)
  }

  function forget(session: Session, saysWill: boolean): void {
    if (!session.there) return
    session.there = false
    if (sessions.get(session.client) === session) sessions.delete(session.client)
    if (saysWill) takeUp(session.will)
  }

  /** The terminal learns that its connection is gone, if its line carries the news. */
  function hangUp(session: Session, because: string): void {
    if (session.here === 'gone') return
    const ms = session.wire.state === 'half open' ? session.wire.chance.between(KEEPALIVE_MS / 2, KEEPALIVE_MS) : session.wire.chance.between(1, 300)
    engine.after(ms, 'connection lost', () => {
      if (session.here === 'gone') return
      session.here = 'gone'
      everyone.delete(session)
      session.listener.lost(because)
    }, session.life)
  }

  function breakBroker(): void {
    brokerUp = false
    for (const session of everyone) {
      forget(session, false)
      hangUp(session, 'connection closed')
    }
  }

  // -- A terminal's end --------------------------------------------------------------------------------------------

  function accept(session: Session): void {
    if (session.here !== 'connecting') return
    if (!brokerUp || session.wire.state !== 'open') {
      session.here = 'gone'
      everyone.delete(session)
      engine.after(session.wire.state === 'half open' ? 10_000 : 50, 'connection refused', () => session.listener.lost('connection refused'), session.life)
      return
    }
    const before = sessions.get(session.client)
    if (before !== undefined) { // The same client id: the newer one takes over.
      forget(before, true)
      hangUp(before, 'connection closed')
    }
    sessions.set(session.client, session)
    session.there = true
    session.here = 'connected'
    session.listener.connected()
    engine.after(leg(session.wire.chance), 'suback', () => { if (session.here === 'connected' && session.there && session.wire.state === 'open') session.listener.subscribed() }, session.life)
  }

  function publish(session: Session, packet: Packet, taken: () => void): boolean {
    if (session.here !== 'connected') return false
    const at = Math.max(engine.now() + leg(session.wire.chance), session.upFreeAt)
    session.upFreeAt = at
    engine.at(at, 'publish', () => {
      if (!session.there || !brokerUp || session.wire.state !== 'open') return // No PUBACK: the link finds out.
      carry('up', session, () => engine.now(), () => takeUp(packet))
      engine.after(leg(session.wire.chance), 'puback', () => {
        if (session.here === 'connected' && session.there && session.wire.state === 'open') taken()
      }, session.life)
    })
    return true
  }

  return {
    addWire: (name) => ({ name, chance: dice(seed, 'wire', name), state: 'open' }),
    transport: (terminal, wire, life, tell) => ({
      peer: 'mqtt://broker',
      prepare: () => Promise.resolve(),
      open(will, listener): Connection {
        tell.opened()
        const session: Session = {
          client: terminal, wire, life, will, listener: {
            ...listener,
            lost(because) {
              tell.closed()
              listener.lost(because)
            },
          }, here: 'connecting', there: false, upFreeAt: 0, downFreeAt: 0,
        }
        if (life.alive) {
          everyone.add(session)
          engine.after(leg(wire.chance) * 3, 'connect', () => accept(session), life)
        }
        return {
          publish: (packet, taken) => life.alive && publish(session, packet, taken),
          close() {
            if (session.here === 'gone') return Promise.resolve()
            tell.closed()
            session.here = 'gone'
            everyone.delete(session)
            const noticed = wire.state === 'open' ? leg(wire.chance) : KEEPALIVE_MS
            engine.after(noticed, 'closed', () => forget(session, true))
            return Promise.resolve()
          },
        }
      },
    }),

    gatewayLink: (life) => ({
      start(receive) {
        return new Promise((resolve) => {
          if (!life.alive) return
          gateway = { life, receive, attached: false }
          engine.after(embedded ? 5 : 150, 'gateway attaches', () => {
            if (embedded) brokerUp = true
            gateway = { life, receive, attached: brokerUp }
            if (brokerUp) for (const packet of waiting.splice(0)) takeUp(packet)
            resolve()
          }, life)
        })
      },
      publish: (topic, sealed) => new Promise((resolve, reject) => {
        if (!life.alive) return
        if (!brokerUp || gateway?.attached !== true || gateway.life !== life) {
          engine.after(5, 'not published', () => reject(new Error('the broker is away')), life)
          return
        }
        engine.after(embedded ? 1 : leg(near), 'published', () => {
          if (!brokerUp) return engine.after(5_000, 'no puback', () => reject(new Error('no PUBACK in 5000 ms')), life)
          takeDown({ topic, sealed })
          return resolve()
        }, life)
      }),
      close: () => Promise.resolve(),
    }),

    abandon(life, how) {
      for (const session of everyone) {
        if (session.life !== life) continue
        session.here = 'gone'
        everyone.delete(session)
        engine.after(how === 'killed' ? leg(session.wire.chance) : KEEPALIVE_MS, 'abandoned', () => forget(session, true))
      }
    },
    cut(wire, how) {
      wire.state = how
      for (const session of everyone) {
        if (session.wire !== wire || session.here === 'connecting') continue
        hangUp(session, 'connection closed')
        engine.after(how === 'down' ? leg(session.wire.chance) : KEEPALIVE_MS, 'broker gives up on a line', () => forget(session, true))
      }
    },
    mend(wire) { wire.state = 'open' },
    restartBroker(downMs) {
      if (!brokerUp || embedded) return // One inside the gateway comes and goes with it.
      breakBroker()
      if (gateway !== undefined) gateway.attached = false
      waiting.length = 0
      engine.after(downMs, 'broker is back', () => {
        brokerUp = true
        engine.after(1_000, 'gateway reconnects', () => {
          if (gateway?.life.alive === true && brokerUp) gateway.attached = true
        })
      })
    },
    gatewayGone() {
      gateway = undefined
      if (embedded) breakBroker()
    },
  }
}
