import fc from 'fast-check'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createLog } from '../../cloud/log.js'
import type { Answer, Charge, Event, Page, Paging } from '../../cloud/omise.js'
import { createSweeper, type Sweeper } from '../../cloud/sweeper.js'
import { fakeWallClock } from '../fakes/wall-clock.js'
import { apiCharge, charge, START } from './charge-story.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const none: Answer<never> = { answer: 'none', because: 'timeout', text: '' }
const iso = (at: number): string => new Date(at).toISOString()

interface Listed<T> {
  readonly item: T
  /** When it shows up in the list. */
  readonly listedAt: number
}

/** A merchant's account at the payment API, as its lists show it, and everything a sweeper does with what it finds. */
function account({ perPage = 100 } = {}) {
  const clock = fakeWallClock(START)
  const charges: Listed<Charge>[] = []
  const events: Listed<Event>[] = []
  const asked: string[] = []
  const seen: { readonly id: string; readonly at: number }[] = []
  const disputed: string[] = []
  const marks = new Map<string, string>()
  let logged = ''
  const world = { answers: true, reads: true, gatewayWorks: true, trouble: '', unreadable: 0 }

  const page = <T extends { readonly createdAt: string }>(all: readonly Listed<T>[], { from = '', offset = 0, limit = 20 }: Paging): Answer<Page<T>> => {
    if (!world.answers) return none
    const there = all.filter(({ item, listedAt }) => item.createdAt >= from && listedAt <= clock.now()).map(({ item }) => item)
      .sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0))
    const items = there.slice(offset, offset + Math.min(limit, perPage))
    const unreadable = items.length > 0 ? Math.min(world.unreadable, items.length) : 0
    return { answer: 'ok', value: { items: items.slice(unreadable), unreadable, total: there.length, offset, limit } }
  }
  const log = createLog('info', { write: (line) => { logged += line } })
  const start = (): Sweeper => {
    const sweeper = createSweeper({
      omise: {
        listCharges: (paging) => { asked.push(`charges since ${paging.from} at ${paging.offset ?? 0}`); return Promise.resolve(page(charges, paging)) },
        listEvents: (paging) => { asked.push(`events since ${paging.from} at ${paging.offset ?? 0}`); return Promise.resolve(page(events, paging)) },
        retrieveCharge: (id) => Promise.resolve(world.answers && world.reads ? { answer: 'ok', value: apiCharge(charge(id)) } : none),
      },
      gateway: {
        see: ({ id }) => {
          const isDone = world.gatewayWorks && id !== world.trouble
          if (isDone) seen.push({ id, at: clock.now() })
          return Promise.resolve(isDone)
        },
        disputed: (id) => { disputed.push(id); return Promise.resolve(true) },
      },
      store: { mark: (name) => Promise.resolve(marks.get(name)), setMark: (name, value) => { marks.set(name, value); return Promise.resolve() } },
      clock, everyMs: MINUTE, log,
    })
    sweeper.start()
    return sweeper
  }
  return {
    clock, charges, events, asked, seen, disputed, marks, world, start,
    logged: () => logged,
    ids: () => seen.map(({ id }) => id),
    /** Goes on to the next sweep and waits for its end: then the next alarm is set. */
    async sweep(): Promise<void> {
      const at = clock.next()
      if (at === undefined) throw new Error('no sweep is due')
      clock.goTo(at)
      for (let turns = 0; clock.next() === undefined; turns++) {
        if (turns > 1_000) throw new Error('the sweep never ends')
        await turn()
      }
    },
    has(id: string, at: number, listedAt = at): void { charges.push({ item: apiCharge(charge(id), { createdAt: iso(at) }), listedAt }) },
    happens(id: string, key: string, of: string | undefined, at: number, listedAt = at): void {
      const item: Event = { id, key, livemode: false, createdAt: iso(at), objectKind: key.split('.')[0] ?? '', objectId: 'x', charge: of }
      events.push({ item, listedAt })
    },
  }
}

describe('every minute', () => {
  test('the charges of the last hour are looked at, and every quarter of an hour those of the last 26 hours', async () => {
    const shop = account()
    shop.has('ancient', START - 27 * HOUR)
    shop.has('yesterday', START - 25 * HOUR)
    shop.has('just now', START - MINUTE)
    shop.start()
    for (let sweeps = 0; sweeps < 17; sweeps++) await shop.sweep()
    expect(shop.ids().filter((id) => id === 'just now')).toHaveLength(17)
    expect(shop.seen.filter(({ id }) => id === 'yesterday').map(({ at }) => (at - START) / MINUTE)).toEqual([1, 16])
    expect(shop.ids()).not.toContain('ancient')
  })

  test('all of them are, however many pages there are', async () => {
    const shop = account({ perPage: 2 })
    for (let count = 0; count < 7; count++) shop.has(`c${count}`, START - 1_000 * (7 - count))
    shop.start()
    await shop.sweep()
    expect(shop.ids()).toEqual(['c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6'])
  })

  test('those that nobody can read hide no other, and are said aloud', async () => {
    const shop = account({ perPage: 3 })
    for (let count = 0; count < 6; count++) shop.has(`c${count}`, START - 1_000 * (7 - count))
    shop.world.unreadable = 1
    shop.start()
    await shop.sweep()
    expect(shop.ids()).toEqual(['c1', 'c2', 'c4', 'c5'])
    expect(shop.logged()).toContain('lists what cannot be read')
  })

  test('a charge that cannot be dealt with hides no other, and the day is looked at again in a minute', async () => {
    const shop = account()
    shop.has('yesterday', START - 25 * HOUR)
    shop.has('today', START - 5 * HOUR)
    shop.start()
    shop.world.trouble = 'yesterday'
    await shop.sweep()
    shop.world.trouble = ''
    await shop.sweep()
    await shop.sweep()
    expect(shop.seen.map(({ id, at }) => `${id} ${(at - START) / MINUTE}`)).toEqual(['today 1', 'yesterday 2', 'today 2'])
  })

  test('a list that did not come is asked for again in a minute, also the long one', async () => {
    const shop = account()
    shop.has('yesterday', START - 25 * HOUR)
    shop.start()
    shop.world.answers = false
    await shop.sweep()
    shop.world.answers = true
    await shop.sweep()
    expect(shop.seen).toEqual([{ id: 'yesterday', at: START + 2 * MINUTE }])
  })

  test('nothing is asked any more, once it was stopped', async () => {
    const shop = account()
    const sweeper = shop.start()
    await shop.sweep()
    await sweeper.stop()
    expect(shop.clock.next()).toBeUndefined()
  })
})

describe('events', () => {
  test('lead to their charges: a refund at the desk of a sale of last week is found', async () => {
    const shop = account()
    shop.happens('e1', 'refund.create', 'last week', START - HOUR)
    shop.happens('e2', 'transfer.create', undefined, START - HOUR)
    shop.start()
    await shop.sweep()
    expect(shop.ids()).toEqual(['last week'])
  })

  test('are followed once, and several of one charge by one look; a dispute is always told', async () => {
    const shop = account()
    shop.happens('e0', 'charge.create', 'a', START)
    shop.happens('e1', 'charge.complete', 'a', START)
    shop.happens('e2', 'dispute.create', 'a', START)
    shop.happens('e3', 'refund.create', 'a', START)
    shop.happens('e4', 'charge.create', 'b', START)
    shop.start()
    for (let sweeps = 0; sweeps < 3; sweeps++) await shop.sweep()
    expect(shop.disputed).toEqual(['a'])
    expect(shop.ids()).toEqual(['a', 'a'])
  })

  test('are read on from where the last reader stopped, a little overlapping, after a restart too', async () => {
    const shop = account({ perPage: 2 })
    for (let count = 0; count < 5; count++) shop.happens(`e${count}`, 'charge.complete', `c${count}`, START - HOUR + count * 10 * MINUTE)
    await shop.start().stop()
    const first = shop.start()
    await shop.sweep()
    expect(shop.ids()).toEqual(['c0', 'c1', 'c2', 'c3', 'c4'])
    expect([...shop.marks.values()]).toEqual([iso(START - HOUR + 40 * MINUTE - 2 * MINUTE)])
    await first.stop()
    shop.asked.length = 0
    shop.start()
    await shop.sweep()
    expect(shop.asked[0]).toBe(`events since ${iso(START - HOUR + 38 * MINUTE)} at 0`)
    expect(shop.ids()).toEqual(['c0', 'c1', 'c2', 'c3', 'c4', 'c4'])
  })

  test('do not move on while the API does not answer, or what was found cannot be written down', async () => {
    const shop = account()
    shop.happens('e1', 'refund.create', 'a', START)
    shop.start()
    shop.world.answers = false
    await shop.sweep()
    shop.world.answers = true
    shop.world.reads = false
    await shop.sweep()
    shop.world.reads = true
    shop.world.gatewayWorks = false
    await shop.sweep()
    expect([shop.ids(), [...shop.marks]]).toEqual([[], []])
    shop.world.gatewayWorks = true
    await shop.sweep()
    expect(shop.ids()).toEqual(['a'])
    expect(shop.marks.size).toBe(1)
  })

  test('that nobody can read do not stop those that follow', async () => {
    const shop = account()
    shop.happens('e1', 'refund.create', 'odd', START)
    shop.happens('e2', 'refund.create', 'a', START + 1)
    shop.world.unreadable = 1
    shop.start()
    await shop.sweep()
    expect(shop.ids()).toEqual(['a'])
    expect(shop.logged()).toContain('lists what cannot be read')
  })

  test('are never skipped, whatever breaks, restarts, or is listed late, and however they fall onto pages', async () => {
    const happening = fc.record({ atMs: fc.nat(30 * MINUTE), lagMs: fc.nat(110_000), of: fc.nat(5) })
    const trouble = fc.constantFrom('none', 'none', 'no list', 'no charge', 'disk full', 'restart')
    await fc.assert(fc.asyncProperty(fc.array(happening, { maxLength: 25 }), fc.array(trouble, { maxLength: 35 }), fc.integer({ min: 1, max: 7 }), async (happenings, troubles, perPage) => {
      const shop = account({ perPage })
      happenings.forEach(({ atMs, lagMs, of }, index) => shop.happens(`e${index}`, 'refund.create', `c${of}`, START + atMs, START + atMs + lagMs))
      let sweeper = shop.start()
      for (const what of [...troubles, ...Array<'none'>(40 - troubles.length).fill('none')]) {
        shop.world.answers = what !== 'no list'
        shop.world.reads = what !== 'no charge'
        shop.world.gatewayWorks = what !== 'disk full'
        if (what === 'restart') {
          await sweeper.stop()
          sweeper = shop.start()
        }
        await shop.sweep()
      }
      for (const { item: { id, charge: of }, listedAt } of shop.events) {
        expect(shop.seen.some((look) => look.id === of && look.at >= listedAt), `${id} of ${of ?? ''}`).toBe(true)
      }
    }), { numRuns: 300 })
  })
})

test('a charge that a webhook named is looked at once, now', async () => {
  const shop = account()
  const sweeper = shop.start()
  await sweeper.lookAt('a')
  expect(shop.seen).toEqual([{ id: 'a', at: START }])
})
