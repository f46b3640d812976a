import { describe, expect, test } from 'vitest'
import type * as charge from '../../cloud/charge.js'
import type * as sale from '../../device/sale.js'
import { explore, type Model, type Move } from './explore.js'
import type { Machines } from './machines.js'
import { modelOf, SIZES } from './sizes.js'
import { createKeys, createValues } from './values.js'
import { PARTS, type World } from './world.js'

/** What comes to a terminal in the model: no keys, since a sale begins when its amount is asked; and its box lets no goods out. */
const SALE_EVENTS: Readonly<Record<sale.Event['type'], boolean>> = {
  'digit pressed': false, 'point pressed': false, 'product chosen': false, 'goods let out': false, 'clear pressed': false, 'enter pressed': false, 'cancel pressed': true, 'amount asked': true,
  'offer received': true, 'verdict received': true, 'reversal received': true, 'code not shown': true, 'outcome told': true,
  'link restored': true, 'deadline reached': true,
}

/** A dispute, and goods in doubt, only add to the exception list. */
const CHARGE_EVENTS: Readonly<Record<charge.Event['type'], boolean>> = {
  'sale opened': true, 'sale asked after': true, 'close asked': true, 'terminal forgot': true, 'charge seen': true, 'dispute seen': false, 'goods in doubt': false,
  'charge created': true, 'create refused': true, 'create unanswered': true, 'charges found': true, 'find unanswered': true,
  'code read': true, 'code unreadable': true, 'code unanswered': true, 'charge read': true, 'expire refused': true,
  'charge unanswered': true, 'hint received': true, 'deadline reached': true, 'refunds listed': true, 'refunds unanswered': true,
  'refund made': true, 'refund refused': true, 'refund unanswered': true,
}

/** A toy: a walk over numbered places. `1!` is a sure way to 1, `1?` a lucky one. */
function walk(ways: Readonly<Record<number, string>>, { wrong = [] as number[], settled = [0] } = {}): Model<number> {
  return {
    start: 0, key: String, state: Number,
    moves: (place) => (ways[place] ?? '').split(' ').filter((way) => way !== '').map((way): Move<number> =>
      ({ name: `${place} -> ${way}`, to: Number.parseInt(way, 10), sure: way.includes('!'), wrong: way.includes('#') ? 'WAY: a bad way' : undefined })),
    wrong: (place) => (wrong.includes(place) ? `PLACE: ${place} is bad` : undefined),
    open: (place) => (settled.includes(place) ? [] : [`OPEN: at ${place}`]),
  }
}

describe('the exploration', () => {
  test('visits every place there is a way to, once', () => {
    const report = explore(walk({ 0: '1! 2?', 1: '0! 2?', 2: '3!', 3: '0!', 4: '0!' }))
    expect(report).toMatchObject({ states: 4, moves: 6, settled: 1, bad: 0, stuck: 0, findings: [], cut: false })
    expect(report.deepest).toEqual(['0 -> 2?', '2 -> 3!'])
  })

  test('finds a bad place, and the shortest way to it', () => {
    const { bad, findings } = explore(walk({ 0: '1! 2!', 1: '3! 0!', 2: '4! 0!', 3: '5! 0!', 4: '6! 0!', 5: '6! 0!', 6: '0!' }, { wrong: [6] }))
    expect(bad).toBe(1)
    expect(findings).toEqual([{ what: 'PLACE: 6 is bad', trace: ['0 -> 2!', '2 -> 4!', '4 -> 6!'] }])
  })

  test('finds a bad way between good places', () => {
    const { bad, findings } = explore(walk({ 0: '1!', 1: '0!# 0!' }))
    expect(bad).toBe(1)
    expect(findings).toEqual([{ what: 'WAY: a bad way', trace: ['0 -> 1!', '1 -> 0!#'] }])
  })

  test('finds where nothing goes on, and what is open there', () => {
    const { stuck, findings } = explore(walk({ 0: '1!', 1: '0! 2?', 2: '3!' }))
    expect(stuck).toBe(2)
    expect(findings).toEqual([{ what: 'OPEN: at 3 -- for ever', trace: ['0 -> 1!', '1 -> 2?'] }])
  })

  test('finds a circle that never leads home', () => {
    const { stuck, findings } = explore(walk({ 0: '1?', 1: '2!', 2: '1!' }))
    expect(stuck).toBe(2)
    expect(findings.map(({ trace }) => trace)).toEqual([['0 -> 1?']])
  })

  test('does not hope for luck', () => {
    expect(explore(walk({ 0: '1!', 1: '0?' })).stuck).toBe(1)
    expect(explore(walk({ 0: '1!', 1: '0!' })).stuck).toBe(0)
  })

  test('says that it was ended early, and then nothing about what is stuck', () => {
    const endless: Model<number> = { ...walk({}), moves: (place) => [{ name: 'on', to: place + 1, sure: true }] }
    expect(explore(endless, { statesMax: 100 })).toMatchObject({ states: 101, stuck: 0, cut: true })
  })

  test('ends at the first broken invariant when asked to', () => {
    const { states, cut } = explore(walk({ 0: '1!', 1: '2!', 2: '3!', 3: '0!' }, { wrong: [1] }), { firstOnly: true })
    expect(states).toBeLessThan(4)
    expect(cut).toBe(true)
  })
})

describe('keys', () => {
  /** Every world of a smaller model, as the moves made it: not yet looked up by its key. */
  const small = modelOf({ ...SIZES.quick, crashes: 0, lateWallet: false }).model

  test('a key says exactly one world, and a world has one key', () => {
    const keys = createKeys<World>(createValues(), PARTS)
    const textOf = new Map<string, string>()
    const keyOf = new Map<string, string>()
    let clashes = 0
    const watched: Model<World> = {
      ...small,
      key(world) {
        const text = spelt(world)
        const key = keys.key(world)
        if ((textOf.get(key) ?? text) !== text || (keyOf.get(text) ?? key) !== key) clashes++
        textOf.set(key, text)
        keyOf.set(text, key)
        return small.key(world)
      },
    }
    const { states } = explore(watched)
    expect(clashes).toBe(0)
    expect(textOf.size).toBe(states)
    expect(keyOf.size).toBe(states)
  })

  test('a world comes back from its key as it was', () => {
    const { key, state } = createKeys<World>(createValues(), PARTS)
    let different = 0
    const { states } = explore({
      ...small,
      key(world) {
        if (spelt(state(key(world))) !== spelt(world)) different++
        return small.key(world)
      },
      wrong(world) {
        expect(state(key(world))).toStrictEqual(world)
        return undefined
      },
    })
    expect(different).toBe(0)
    expect(states).toBeGreaterThan(2_000)
  })

  test('more values than a key can tell apart are an error, not a clash', () => {
    const { key } = createKeys<{ n: number }>(createValues(), ['n'])
    const fill = (): void => { for (let n = 0; n <= 0x10000; n++) key({ n }) }
    expect(fill).toThrow('more than 65536 different values of n')
  })

  test('the order of names makes no difference, everything else does', () => {
    const { one } = createValues()
    expect(one({ a: 1, b: { c: [1, 2], d: undefined } })).toBe(one({ b: { c: [1, 2] }, a: 1 }))
    expect(one({ a: 1, b: 2 })).not.toBe(one({ a: 2, b: 1 }))
    expect(one({ a: '1' })).not.toBe(one({ a: 1 }))
    expect(one({ a: null })).not.toBe(one({}))
    expect(one([1, 2])).not.toBe(one([2, 1]))
  })

  /** Names in order, what is undefined left out: written again here, so that keys are not tested by themselves. */
  const spelt = (value: unknown): string => {
    if (Array.isArray(value)) return `[${value.map(spelt).join()}]`
    if (typeof value !== 'object' || value === null) return JSON.stringify(value)
    const fields = Object.entries(value).filter(([, inner]) => inner !== undefined).map(([name, inner]) => `${JSON.stringify(name)}:${spelt(inner)}`)
    return `{${fields.sort().join()}}`
  }
})

describe('one sale, whatever breaks', () => {
  test('keeps every promise in every state, and can always be settled', () => {
    const report = explore(modelOf(SIZES.quick).model)
    expect(report.findings).toEqual([])
    expect(report).toMatchObject({ bad: 0, stuck: 0, cut: false })
    expect(report.states).toBeGreaterThan(15_000)
    expect(report.settled).toBeGreaterThan(1_000)
  })

  test('meets every phase of both machines, and every event but those that are named here', () => {
    const met = { sale: new Set<string>(), charge: new Set<string>(), phases: new Set<string>() }
    const watch = (machines: Machines): Machines => ({
      ...machines,
      terminalTakes(state, event) {
        met.sale.add(event.type)
        met.phases.add(state.phase)
        return machines.terminalTakes(state, event)
      },
      gatewayTakes(state, event) {
        met.charge.add(event.type)
        met.phases.add(state.phase)
        return machines.gatewayTakes(state, event)
      },
      saleDeadlines(state) {
        met.sale.add('deadline reached')
        return machines.saleDeadlines(state)
      },
      chargeDeadlines(state) {
        met.charge.add('deadline reached')
        return machines.chargeDeadlines(state)
      },
    })
    explore(modelOf({ ...SIZES.quick, crashes: 0, oddCharges: true, listLags: true }, watch).model)
    const expected = (events: Readonly<Record<string, boolean>>): readonly string[] => Object.keys(events).filter((event) => events[event]).sort()
    expect([...met.sale].sort()).toEqual(expected(SALE_EVENTS))
    expect([...met.charge].sort()).toEqual(expected(CHARGE_EVENTS))
    expect([...met.phases].sort()).toEqual(
      ['bound', 'closed', 'exception', 'idle', 'intent', 'none', 'opening', 'paid', 'presenting', 'resolving', 'settled'])
  })

  const found = (spoil: (machines: Machines) => Machines): readonly string[] =>
    explore(modelOf({ ...SIZES.quick, crashes: 0 }, spoil).model).findings.map(({ what }) => what.split(':')[0]!)

  test('is not believed when a webhook alone makes a sale paid', () => {
    expect(found((machines) => ({
      ...machines,
      gatewayTakes(state, event) {
        const step = machines.gatewayTakes(state, event)
        if (event.type !== 'hint received' || state.phase !== 'bound') return step
        const { terminal, order, asked, reversals, charge } = state
        const paid = { phase: 'paid', terminal, order, asked, reversals, charge, paidAt: '2026-03-01T12:00:00.000Z', refundedMinor: 0 } as const
        const ending = { outcome: 'paid', paidAt: paid.paidAt } as const
        return { ...step, state: paid, words: [{ type: 'verdict', re: null, charge, ending }] }
      },
    }))).toContain('I3')
  })

  test('is not believed when the terminal asks only once', () => {
    expect(found((machines) => ({ ...machines, saleDeadlines: () => [] }))).toContain('R4')
  })

  test('is not believed when a silent terminal leaves its code payable', () => {
    expect(found((machines) => ({
      ...machines, chargeDeadlines: (state) => machines.chargeDeadlines(state).filter(([name]) => name !== 'leaseEndsAt'),
    }))).toContain('I10')
  })

  test('is not believed when late money is not looked for', () => {
    expect(found((machines) => ({ ...machines, chargeSeen: () => ({ type: 'charge unanswered' }) }))).toContain('I5')
  })
})
