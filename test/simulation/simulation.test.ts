/**
 * The simulation itself: it repeats itself to the last bit, a few seeds of each profile are clean, what once went wrong is
 * replayed for ever -- and the oracle finds every lie that is planted in the shells. The great run is the program simulate.ts.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Effect, Event } from '../../cloud/charge.js'
import type { ChargeEffects } from '../../cloud/charge-effects.js'
import type { CloudLink, LinkEvent } from '../../device/cloud-link.js'
import { PROFILE_NAMES, type ProfileName, type Rates } from './faults.js'
import { minimise, readRegression, regressionNames, replay } from './regression.js'
import { drawn, type Outcome, runWorld, shapeOf, type WorldOptions } from './world.js'

const root = join(import.meta.dirname, '../..')
const SEEDS = [1, 2]

/** As the program draws it, with half an hour before the shop closes. */
const short = (seed: number, profile: ProfileName): WorldOptions => {
  const world = drawn(seed, profile)
  return { ...world, shape: { ...world.shape, openMs: 1_800_000 } }
}

type Bend = NonNullable<WorldOptions['bend']>

/** Half an hour in a shop with one register. */
const small = (seed: number, rates: Rates, bend: Bend = {}): WorldOptions => {
  const shape = shapeOf(seed, 'everything')
  const [box] = shape.boxes
  return {
    shape: { ...shape, openMs: 1_800_000, boxes: [{ ...box!, kind: 'register', method: 'alipayplus_mpm', fewPrices: false, gapMs: 45_000, release: undefined }] },
    source: { kind: 'drawn', seed, rates }, sunny: false, bend,
  }
}
/** The same with a box that lets goods out. */
const machine = (seed: number, rates: Rates, bend: Bend = {}): WorldOptions => {
  const world = small(seed, rates, bend)
  const [box] = world.shape.boxes
  return { ...world, shape: { ...world.shape, boxes: [{ ...box!, kind: 'keypad', release: { pulses: 'one', takesMs: [300, 1_500] } }] } }
}
const saidOf = ({ violation }: Outcome): string => (violation === undefined ? 'nothing' : `${violation.invariant}: ${violation.what}`)

describe('a simulated world', () => {
  test('is the same again from the same seed, to the last event', async () => {
    const [first, second] = [await runWorld(short(11, 'everything')), await runWorld(short(11, 'everything'))]
    expect(second.hash).toBe(first.hash)
    expect(second.events).toBe(first.events)
    expect(second.tally).toEqual(first.tally)
    expect(second.decisions).toEqual(first.decisions)
    expect((await runWorld(short(12, 'everything'))).hash).not.toBe(first.hash)
  })

  test('is the same again in another process, where nobody can look at a real clock or roll real dice', async () => {
    const here = await runWorld(drawn(3, '4G-stormy'))
    const there = spawnSync(process.execPath, [join(root, 'dist/test/simulation/simulate.js'), '--seed', '3', '--profile', '4G-stormy'], { encoding: 'utf8' })
    expect(there.stdout + there.stderr).toContain(`trace ${here.hash}`)
    expect(there.status).toBe(0)
  })

  test('is the same again from its decisions alone: a fault that is written down strikes where it struck', async () => {
    const world = short(5, 'bad-PSP')
    const first = await runWorld(world)
    const again = await runWorld({ ...world, source: { kind: 'given', decisions: first.decisions } })
    expect(again.decisions).toEqual(first.decisions)
    expect(again.tally).toEqual(first.tally)
  })

  test.each(PROFILE_NAMES.flatMap((profile) => SEEDS.map((seed) => [profile, seed] as const)))('of %s, seed %i, keeps every invariant', async (profile, seed) => {
    const outcome = await runWorld(short(seed, profile))
    expect(saidOf(outcome)).toBe('nothing')
    expect(outcome.tally.toldPaid).toBeGreaterThan(0)
  })

  test('without faults has none, and everything in it is prompt', async () => {
    const { faults, tally } = await runWorld(short(4, 'sunny'))
    expect(faults).toEqual({})
    expect(tally.sales).toBeGreaterThan(20)
    expect(Math.max(...tally.codes)).toBeLessThan(6_000)
    expect(Math.max(...tally.paids)).toBeLessThan(8_000)
  })
})

describe('what once went wrong', () => {
  test.each(regressionNames())('%s does not go wrong any more', async (name) => {
    const regression = readRegression(name)
    const outcome = await replay(regression)
    expect(saidOf(outcome), regression.what).toBe('nothing')
  })
})

// -- Lies ---------------------------------------------------------------------------------------------------------------

type Execute = ChargeEffects['execute']

/** Does something else than it was told for one kind of command. */
const commands = (bend: (effect: Effect, execute: Execute) => Promise<Event | undefined>): Bend =>
  ({ effects: (real) => ({ ...real, execute: (effect) => bend(effect, real.execute) }) })

/** Hears something else than the gateway says. */
const hears = (bend: (event: LinkEvent) => readonly LinkEvent[]): Bend => ({
  link: (real): CloudLink => ({ ...real, start: (deliver) => real.start((event) => { for (const it of bend(event)) deliver(it) }) }),
})

const PAID = { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' } as const

const lies: readonly (readonly [what: string, bend: Bend, said: RegExp, rates?: Rates])[] = [
  ['a gateway that says paid without having read it', commands(async (effect, execute) => {
    const event = await execute(effect)
    return event?.type === 'charge read' ? { ...event, charge: { ...event.charge, status: 'successful', paid: true } } : event
  }), /^I3: .*no gateway has read as paid/],
  ['a terminal that says paid by itself', hears((event) =>
    (event.type === 'offer received' ? [event, { ...event, type: 'verdict received', re: null, ending: PAID }] : [event])), /^I3: /],
  ['a gateway that calls a sale closed without closing its charge', commands((effect, execute) => {
    if (effect.do !== 'expire charge') return execute(effect)
    return execute({ do: 'read charge', charge: effect.charge }).then((event) =>
      (event?.type === 'charge read' && event.charge.status === 'pending' ? { ...event, charge: { ...event.charge, status: 'expired' } } : event))
  }), /^I4: .*can still be paid/],
  ['a terminal that calls Cancel an ending', hears((event) => {
    if (event.type !== 'offer received') return [event]
    return [event, { ...event, type: 'verdict received', re: null, ending: { outcome: 'unpaid', reason: 'cancelled' } }]
  }), /^I4: /],
  ['a gateway that only says that late money went back', commands((effect, execute) => (effect.do === 'refund charge'
    ? Promise.resolve({ type: 'refund made', charge: effect.charge, refund: { id: 'rfnd_lie', amountMinor: effect.amountMinor, voided: true } })
    : execute(effect))), /^(I5|I9|R1|D3): /, { 'paid after expiry': 1 }],
  ['a gateway that keeps late money', commands((effect, execute) =>
    (effect.do === 'list refunds' ? Promise.resolve(undefined) : execute(effect))), /^(I5|I10|R1): /, { 'paid after expiry': 1 }],
  ['a gateway that refunds without looking first', commands((effect, execute) =>
    (effect.do === 'list refunds' ? Promise.resolve({ type: 'refunds listed', charge: effect.charge, refunds: [] }) : execute(effect))),
  /^I6: .*without a look/, { 'paid after expiry': 1 }],
  ['a gateway that gives money back for goods that were sold', commands(async (effect, execute) => {
    const event = await execute(effect)
    if (event?.type === 'charge read' && event.charge.paid) {
      await execute({ do: 'list refunds', charge: event.charge.id })
      setImmediate(() => void execute({ do: 'refund charge', charge: event.charge.id, sale: '', amountMinor: event.charge.amountMinor }))
    }
    return event
  }), /^(I6|I9|R1): /],
  ['a gateway that charges a little more', commands((effect, execute) => execute(effect.do === 'create charge'
    ? { ...effect, order: { ...effect.order, amountMinor: effect.order.amountMinor + 100 } } : effect)), /^I7: /],
  ['a gateway that makes charges and never closes any', commands((effect, execute) =>
    (effect.do === 'expire charge' || effect.do === 'expire orphan' ? Promise.resolve(undefined) : execute(effect))), /^(I10|I4|D1): /],
  ['a ledger that forgets', { store: (real) => ({ ...real, commit: (commit) => real.commit({ ...commit, entries: [] }) }) }, /^I9: /],
  ['a terminal whose eyes are closed to what it draws', { renderer: (real) => ({ ...real, readBack: () => Promise.resolve('matches') }) },
    /^I8: /, { 'picture bent': 0.2 }],
  ['a panel that says paid when it was not', {
    renderer: (real) => ({ ...real, render: (view) => real.render(view.screen === 'not paid' ? { ...view, screen: 'paid' } : view) }),
  }, /^D3: /],
  ['a panel that leaves a code where it stood', {
    renderer: (real) => ({ ...real, render: (view) => (view.screen === 'scan to pay' ? Object.assign(lastCode, real.render(view)) : view.screen === 'not paid' ? lastCode : real.render(view)) }),
  }, /^(D1|D3|I8|I10): /],
  ['a terminal that shows another charge of the same sale', hears((event) => (event.type === 'offer received' && seenOffers++ % 2 === 1
    ? [{ ...event, charge: `${event.charge}x` }] : [event])), /^(I8|I1|I10|R1): /],
]

/** Of boxes that let goods out. */
const goodsLies: typeof lies = [
  ['a release that is pulsed twice', {
    release: (real) => ({ ...real, release: (pulses) => real.release(pulses).then(() => real.release(pulses)) }),
  }, /^G1: .*a second time/],
  ['a box that lets out more than was paid for', { release: (real) => ({ ...real, release: (pulses) => real.release(pulses + 1) }) }, /^G2: .*2 pulses/],
  ['a terminal that lets goods out for a sale that no gateway has called paid', hears((event) =>
    (event.type === 'offer received' ? [event, { ...event, type: 'verdict received', re: null, ending: PAID }] : [event])), /^G2: .*called paid/],
  ['a release that always knows that the goods came out', {
    release: (real) => ({ ...real, release: (pulses) => real.release(pulses).then(() => ({ delivery: 'delivered' })) }),
  }, /^G3: /, { 'delivery unknown': 0.5 }],
  ['a gateway that notes no goods in doubt', {
    store: (real) => ({ ...real, commit: (commit) => real.commit({ ...commit, concerns: commit.concerns.filter(({ key }) => !key.startsWith('undelivered')) }) }),
  }, /^G3: /, { 'delivery unknown': 0.5 }],
  ['a terminal that never says that goods are in doubt', {
    link: (real) => ({ ...real, send: (request) => { if (request.type !== 'sale.undelivered') real.send(request) } }),
  }, /^I10: /, { 'delivery unknown': 0.5 }],
]
let seenOffers = 0
const lastCode = { widthPx: 64, heightPx: 64, bits: new Uint8Array(0) }

describe('the oracle', () => {
  for (const [of, table] of [[small, lies], [machine, goodsLies]] as const) {
    for (const [what, bend, said, rates = {}] of table) {
      test(`finds ${what}`, async () => {
        let found = 'nothing'
        for (let seed = 1; seed <= 12 && found === 'nothing'; seed++) found = saidOf(await runWorld(of(seed, rates, bend)))
        expect(found).toMatch(said)
      })
    }
  }

  test('finds nothing in the same worlds without a lie', async () => {
    for (const rates of [{}, { 'paid after expiry': 1 }, { 'picture bent': 0.2 }] satisfies readonly Rates[]) {
      for (let seed = 1; seed <= 3; seed++) expect(saidOf(await runWorld(small(seed, rates)))).toBe('nothing')
    }
    for (let seed = 1; seed <= 3; seed++) {
      const outcome = await runWorld(machine(seed, { 'delivery unknown': 0.5, 'power cut while goods come out': 0.2, 'release silent': 0.1 }))
      expect(saidOf(outcome)).toBe('nothing')
      expect(outcome.tally.letOut).toBeGreaterThan(5)
      expect(outcome.tally.inDoubt).toBeGreaterThan(2)
    }
  })
})

describe('a violation', () => {
  test('is made small: the faults that do not matter are left out, and what is left shows it again', async () => {
    const keepsLateMoney = commands((effect, execute) => (effect.do === 'list refunds' ? Promise.resolve(undefined) : execute(effect)))
    const rates = { 'paid after expiry': 1, 'message lost': 0.05, 'webhook late': 0.3, 'terminal killed': 3 }
    let seed = 1
    while ((await runWorld(small(seed, rates, keepsLateMoney))).violation === undefined) seed++
    const world = small(seed, rates, keepsLateMoney)
    const before = await runWorld(world)
    const made = await minimise('everything', world)
    expect(made?.invariant).toBe(before.violation?.invariant)
    expect(made!.decisions.map(({ fault }) => fault)).toContain('paid after expiry')
    expect(made!.decisions.length).toBeLessThan(4)
    expect(before.decisions.length).toBeGreaterThan(20)
    const again = await runWorld({ ...world, shape: made!.shape, source: { kind: 'given', decisions: made!.decisions } })
    expect(again.violation?.invariant).toBe(made?.invariant)
  })
})
