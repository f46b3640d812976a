/**
 * One simulated world: a few terminals on their counters, one gateway, one payment API, and what goes wrong between them.
 * First the shop is open and faults strike; then they stop, and everything must come to rest.
 */
import { createBox, type Box, type BoxBend, type BoxPlan } from './box.js'
import { type Dice, dice } from './dice.js'
import { createEngine, type Line } from './engine.js'
import { createFaults, type Decision, type Fault, type FaultSource, type ProfileName, ratesOf } from './faults.js'
import { createHost, type HostBend, type HostPlan } from './gateway-host.js'
import { createNetwork } from './network.js'
import { createOracle } from './oracle.js'
import { createPaymentApi, type PaymentApi } from './payment-api.js'
import { type Behaviour, createPeople, type People } from './people.js'
import type { Tally, Violation } from './seen.js'

/** What a world is made of, written down so that a regression does not depend on how it was once drawn. */
export interface Shape {
  readonly seed: number
  /** Milliseconds since 1970 when it begins. */
  readonly epoch: number
  readonly openMs: number
  readonly boxes: readonly BoxPlan[]
  readonly host: HostPlan
  readonly embeddedBroker: boolean
  readonly honoursExpiresAt: boolean
}

export interface WorldOptions {
  readonly shape: Shape
  readonly source: FaultSource
  readonly sunny: boolean
  readonly bend?: BoxBend & HostBend
  readonly linesKept?: number
}

export interface Outcome {
  readonly violation: Violation | undefined
  readonly lines: readonly Line[]
  readonly hash: string
  readonly events: number
  readonly terminalHours: number
  readonly faults: Readonly<Partial<Record<Fault, number>>>
  readonly decisions: readonly Decision[]
  readonly tally: Tally
  readonly behaviours: Readonly<Record<string, number>>
}

const MINUTE = 60_000
const HOUR = 3_600_000
/** Within this everything must have converged: the bound on late money, and some. */
const CONVERGE_MS = 20 * MINUTE
/** Quiet that lasts: a sweep has looked, and found nothing. */
const QUIET_MS = 3 * MINUTE

export function shapeOf(seed: number, profile: ProfileName): Shape {
  const chance = dice(seed, profile, 'shape')
  const codeLifetimeMs = chance.pick([45_000, 120_000, 120_000, 180_000])
  const goods = dice(seed, profile, 'goods')
  const boxes = Array.from({ length: chance.whole(1, 4) }, (_, at): BoxPlan => withGoods(goods, {
    terminal: `T${at + 1}`, kind: chance.chance(0.65) ? 'register' : 'keypad', method: chance.chance(0.85) ? 'alipayplus_mpm' : 'promptpay', bistable: chance.chance(0.5),
    drawMs: chance.pick([[30, 90], [300, 900], [600, 1_800]]), gapMs: chance.pick([45_000, 90_000, 240_000]),
    fewPrices: chance.chance(0.4),
  }))
  return {
    seed, epoch: Date.UTC(2026, 2, 2) + chance.whole(0, 86_400_000), openMs: chance.pick([1, 2, 3]) * HOUR, boxes,
    host: {
      terms: {
        codeLifetimeMs, leaseGraceMs: chance.pick([10_000, 30_000, 60_000]), pollMs: chance.pick([3_000, 5_000, 10_000]), livemode: false,
      },
      sweepMs: 60_000, sendExpiresAt: chance.chance(0.9),
    },
    embeddedBroker: chance.chance(0.5), honoursExpiresAt: chance.chance(0.9),
  }
}

/** Some boxes let goods out. Those that sell few things give them by coins: their prices are 25.00 and 40.00. */
function withGoods(chance: Dice, plan: BoxPlan): BoxPlan {
  const takesMs = chance.pick([[150, 400], [300, 1_500]] as const)
  if (!chance.chance(0.4)) return plan
  return { ...plan, release: { pulses: plan.fewPrices ? { perMinor: 500, max: 100 } : 'one', takesMs } }
}

export const drawn = (seed: number, profile: ProfileName): WorldOptions => ({
  shape: shapeOf(seed, profile), source: { kind: 'drawn', seed, rates: ratesOf(profile, seed) }, sunny: profile === 'sunny',
})

export async function runWorld({ shape, source, sunny, bend = {}, linesKept }: WorldOptions): Promise<Outcome> {
  const { seed, epoch, openMs, host: plan } = shape
  const behaviours: Record<string, number> = {}
  const engine = createEngine((error) => oracle.broken(error), linesKept)
  const faults = createFaults(source, ({ fault, where, n, u }) => engine.note('fault', `${fault} at ${where}`, `${n} ${u.toFixed(4)}`))
  const oracle = createOracle({
    engine, codeLifetimeMs: plan.terms.codeLifetimeMs, leaseGraceMs: plan.terms.leaseGraceMs, people: (): People => people, api: (): PaymentApi => api,
  })
  const network = createNetwork({
    engine, faults, seed, embedded: shape.embeddedBroker,
    delivered: ({ topic, sealed }, life) => { for (const box of boxes) box.heard(life, topic, sealed) },
  })
  const api: PaymentApi = createPaymentApi({
    engine, faults, chance: dice(seed, 'api'), epoch, honoursExpiresAt: shape.honoursExpiresAt, witness: oracle,
    deliver: (hint) => host.hint(hint),
  })
  const terminals = [...new Set(shape.boxes.map(({ terminal }) => terminal))]
  const host = createHost({
    engine, faults, chance: dice(seed, 'host'), network, client: api.client, epoch, plan, terminals,
    keepsBackups: source.kind === 'given' || (source.rates['gateway restored'] ?? 0) > 0, witness: oracle, bend,
  })
  const people: People = createPeople({
    seed, engine, faults, api, codeLifetimeMs: plan.terms.codeLifetimeMs,
    disputed(charge) {
      oracle.disputed(charge)
      api.dispute(charge)
    },
    tried: (_charge, behaviour: Behaviour, outcome) => {
      const key = `${behaviour}: ${outcome}`
      behaviours[key] = (behaviours[key] ?? 0) + 1
    },
  })
  const boxes: Box[] = []

  const addBox = (name: string, of: BoxPlan): Box => {
    const box = createBox({
      name, plan: of, engine, faults, chance: dice(seed, 'box', name), goods: dice(seed, 'goods of', name), network, epoch, bend,
      witness: {
        ...oracle,
        drew(it, picture) {
          oracle.drew(it, picture)
          people.sees(it, picture)
        },
        answered(it, answer) {
          oracle.answered(it, answer)
          people.hears(it, answer)
        },
      },
    })
    boxes.push(box)
    return box
  }

  const onUnhandled = (error: unknown): void => oracle.broken(error)
  process.on('unhandledRejection', onUnhandled)
  try {
    await host.start()
    for (const of of shape.boxes) {
      const box = addBox(of.terminal, of)
      engine.after(dice(seed, 'opening', box.name).between(0, 20_000), 'shop opens', () => {
        box.powerOn()
        people.attend(box)
      })
      plot(box)
    }
    plotAround()
    engine.at(openMs, 'faults end', heal)
    await engine.run(openMs + MINUTE)
    let quietSince: number | undefined
    for (let at = openMs + MINUTE; at <= openMs + CONVERGE_MS && oracle.violation() === undefined; at += MINUTE / 3) {
      await engine.run(at)
      quietSince = await oracle.isQuiet(standing(), host.store()) ? quietSince ?? at : undefined
      if (quietSince !== undefined && at - quietSince >= QUIET_MS) break
    }
    if (oracle.violation() === undefined) await oracle.audit(standing(), host.store(), sunny)
  } finally {
    process.off('unhandledRejection', onUnhandled)
    host.close()
  }
  return {
    violation: oracle.violation(), lines: engine.lines(), hash: engine.hash(), events: engine.events(),
    terminalHours: shape.boxes.length * engine.now() / HOUR, faults: faults.counts(), decisions: faults.decisions(), tally: oracle.tally(), behaviours,
  }

  function standing(): readonly Box[] {
    return boxes.filter(({ name }) => !name.includes('clone'))
  }

  // -- What goes wrong at its time ---------------------------------------------------------------------------------

  function at(fault: Fault, where: string, strike: (u: number) => void): void {
    for (const decision of faults.planned(fault, where, MINUTE, openMs)) {
      engine.at(decision.at ?? 0, fault, () => {
        if (faults.ended()) return
        faults.struck(decision)
        strike(decision.u)
      })
    }
  }

  function plot(box: Box): void {
    const { name } = box
    const offFor = (ms: number, meanwhile = (): void => undefined): void => {
      box.powerOff()
      meanwhile()
      engine.after(ms, 'power is back', () => box.powerOn())
    }
    const forgets = (what: () => void, ms: number, knows = true): void => {
      offFor(ms, what)
      oracle.lostMemory(box, knows)
    }
    at('terminal killed', name, (u) => box.kill(500 + u * 5_000))
    at('power cut', name, (u) => offFor(2_000 + u ** 4 * 2_400_000))
    at('acknowledged record lost', name, (u) => forgets(() => box.disk.forget(1 + Math.floor(u * 3)), 5_000 + u * 20_000, false))
    at('amnesia', name, (u) => forgets(() => box.disk.wipe(), 5_000 + u * 60_000))
    at('journal damaged', name, (u) => (u < 0.4
      ? forgets(() => box.disk.damage('everything'), 5_000 + u * 60_000)
      : offFor(5_000 + u * 60_000, () => box.disk.damage('log'))))
    at('disk cloned', name, (u) => clone(box, u))
    at('register unplugged', name, (u) => {
      box.plug(false)
      engine.after(5_000 + u * 300_000, 'register plugged in', () => box.plug(true))
    })
    at('keys pressed at random', name, (u) => {
      const chance = dice(seed, 'vandal', name, u)
      for (let i = 0; i < 6; i++) {
        engine.after(i * chance.between(50, 400), 'key', () => box.give(chance.pick([
          { type: 'cancel pressed' }, { type: 'clear pressed' }, { type: 'digit pressed', digit: '7' }, { type: 'cancel pressed' },
          { type: 'nonsense received', what: 'noise' },
        ])))
      }
    })
    at('link down', name, (u) => {
      network.cut(box.wire, 'down')
      engine.after(1_000 + u * u * 240_000, 'link is back', () => network.mend(box.wire))
    })
    at('link half open', name, (u) => {
      network.cut(box.wire, 'half open')
      engine.after(5_000 + u * u * 180_000, 'link is back', () => network.mend(box.wire))
    })
    // Staff: who sees that a terminal is out of service turns it off and on again.
    const look = (): void => {
      engine.after(2 * MINUTE, 'staff looks', () => {
        if (box.terminal()?.status().notReady === 'panel fault') offFor(5_000)
        look()
      })
    }
    look()
  }

  /** A second box with the same disk, and so the same identity; its owner uses it, for a while. */
  function clone(box: Box, u: number): void {
    if (boxes.some(({ name }) => name === `${box.name} clone`)) return
    const twin = addBox(`${box.name} clone`, box.plan)
    box.disk.copyTo(twin.disk)
    oracle.lostMemory(box, true)
    twin.powerOn()
    people.attend(twin)
    engine.after(MINUTE + u * 5 * MINUTE, 'clone is found', () => {
      retire(twin)
      engine.after(MINUTE + u * 4 * MINUTE, 'terminal is enrolled anew', () => thaw(box))
    })
  }

  /** With a new identity, so the terminal is started anew. */
  function thaw(box: Box): void {
    void host.thaw(box.plan.terminal).then((wasFrozen) => { if (wasFrozen && box.powered()) box.kill(2_000) })
  }

  function retire(twin: Box): void {
    people.leave(twin)
    oracle.lostMemory(twin, true)
    twin.retire()
  }

  function plotAround(): void {
    at('broker restarted', 'broker', (u) => network.restartBroker(500 + u * u * 60_000))
    const kill = (ms: number): void => {
      host.kill(ms)
      oracle.trouble(engine.now() + ms)
    }
    at('gateway killed', 'gateway', (u) => kill(500 + u ** 6 * 1_800_000))
    at('gateway started twice', 'gateway', () => host.startAnother())
    at('gateway restored', 'gateway', (u) => {
      host.restore(HOUR, 2_000 + u * 30_000)
      // What it knows no more it takes up again, with a new lease.
      oracle.trouble(engine.now() + 2_000 + u * 30_000 + MINUTE + plan.terms.codeLifetimeMs + plan.terms.leaseGraceMs)
    })
    at('clock jumped', 'gateway', (u) => {
      // Minutes mostly, now and then days.
      const ms = (u < 0.5 ? -1 : 1) * (1_000 + (u * 2 % 1) ** 6 * 72 * HOUR)
      const wrongMs = 20 * MINUTE * u + MINUTE
      host.jump(ms)
      oracle.trouble(engine.now() + wrongMs)
      engine.after(wrongMs, 'clock corrected', () => host.setClock())
    })
    at('API unreachable', 'api', (u) => {
      const ms = 2_000 + u * u * 300_000
      api.goDown(ms)
      oracle.trouble(engine.now() + ms)
    })
  }

  function heal(): void {
    faults.end()
    engine.note('world', 'the faults are over')
    people.goHome()
    api.heal()
    host.heal()
    for (const box of boxes) {
      if (box.name.includes('clone')) retire(box)
      network.mend(box.wire)
      box.plug(true)
      box.powerOn()
    }
    for (const box of standing()) thaw(box)
  }
}
