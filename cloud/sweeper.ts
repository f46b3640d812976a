/**
 * Looks for money that nobody told us of: every minute it reads the events since its last look and the charges of the
 * last hour, and every quarter of an hour those of the last day. What it comes across goes to the gateway; nothing is
 * decided here. Webhooks may all be lost, and answers too: then this is how a late payment is found, or a refund made
 * at the dashboard, or a charge that our own records know nothing of.
 */
import type { Logger } from 'pino'
import { pagesOf } from './charge-effects.js'
import type { Clock } from './clock.js'
import type { Gateway } from './gateway.js'
import type { Event, Omise } from './omise.js'
import type { Store } from './store.js'

export interface Sweeper {
  start(): void
  /** A charge that a webhook named and no sale of ours has. */
  lookAt(charge: string): Promise<void>
  stop(): Promise<void>
}

export interface Tools {
  readonly omise: Pick<Omise, 'listCharges' | 'listEvents' | 'retrieveCharge'>
  readonly gateway: Pick<Gateway, 'see' | 'disputed'>
  readonly store: Pick<Store, 'mark' | 'setMark'>
  readonly clock: Clock
  readonly everyMs: number
  readonly log: Logger
}

const RECENT_MS = 3_600_000
/** A day, the longest that a charge can be paid (the API's own default), and some. */
const WIDE_MS = 26 * 3_600_000
const WIDE_EVERY_MS = 900_000
/** Events may be listed a little after they happened. */
const OVERLAP_MS = 120_000
const FOLLOWED_MAX = 20_000
const MARK = 'events read until'

export function createSweeper({ omise, gateway, store, clock, everyMs, log }: Tools): Sweeper {
  let cancelAlarm = (): void => undefined
  let sweeping: Promise<void> | undefined
  /** Events dealt with: the list is read with some overlap. */
  const followed = new Set<string>()
  let widelyAt = -Infinity
  let stopped = false

  async function sweep(): Promise<void> {
    await readEvents()
    const wide = clock.now() - widelyAt >= WIDE_EVERY_MS
    if (await readCharges(clock.now() - (wide ? WIDE_MS : RECENT_MS)) && wide) widelyAt = clock.now()
  }

  /** False when the list could not be read to its end, or a charge not be dealt with; the others are, all the same. */
  async function readCharges(sinceMs: number): Promise<boolean> {
    const from = new Date(sinceMs).toISOString()
    let isDone = true
    for await (const page of pagesOf((paging) => omise.listCharges({ ...paging, from, order: 'chronological' }))) {
      if (page === undefined) return false
      sayUnreadable('charges', page.unreadable)
      for (const charge of page.items) {
        if (stopped) return false
        isDone = await gateway.see(charge) && isDone
      }
    }
    return isDone
  }

  /** Nobody will ever read them, and they must not hide what comes after them. */
  function sayUnreadable(what: string, count: number): void {
    if (count > 0) log.error({ what, count }, 'the payment API lists what cannot be read')
  }

  /** The mark moves on only behind what was dealt with. */
  async function readEvents(): Promise<void> {
    const from = await store.mark(MARK) ?? new Date(clock.now() - WIDE_MS).toISOString()
    for await (const page of pagesOf((paging) => omise.listEvents({ ...paging, from, order: 'chronological' }))) {
      if (page === undefined) return log.warn({ from }, 'events could not be read')
      sayUnreadable('events', page.unreadable)
      const { items: events } = page
      for (const event of lastOfEach(events.filter(({ id }) => !followed.has(id)))) if (!await follow(event)) return
      if (followed.size > FOLLOWED_MAX) followed.clear()
      for (const { id } of events) followed.add(id)
      const last = events.at(-1)
      if (last !== undefined) await store.setMark(MARK, new Date(Date.parse(last.createdAt) - OVERLAP_MS).toISOString())
    }
  }

  /** True when it was dealt with. Refunds and disputes carry no metadata of ours: their charge leads to the sale. */
  async function follow({ key, charge }: Event): Promise<boolean> {
    if (stopped) return false
    if (charge === undefined || key === 'charge.create') return true
    if (key.startsWith('dispute.') && !await gateway.disputed(charge)) return false
    return look(charge)
  }

  async function look(charge: string): Promise<boolean> {
    const answer = await omise.retrieveCharge(charge)
    switch (answer.answer) {
      case 'ok':
        return gateway.see(answer.value)
      case 'refused':
        return true
      case 'none':
        return false
    }
  }

  function setAlarm(): void {
    if (stopped) return
    cancelAlarm = clock.alarm(clock.now() + everyMs, () => {
      sweeping = sweep()
        .catch((error: unknown) => log.error({ error }, 'sweep failed'))
        .finally(setAlarm)
    })
  }

  return {
    start: setAlarm,
    lookAt: async (charge) => { await look(charge) },
    async stop() {
      stopped = true
      cancelAlarm()
      await sweeping
    },
  }
}

/** One look at a charge serves all that happened to it; a dispute is never left out. */
function lastOfEach(events: readonly Event[]): readonly Event[] {
  const last = new Map<string, Event>()
  for (const event of events) {
    const of = `${event.charge ?? event.id} ${event.key.startsWith('dispute.') ? 'dispute' : ''}`
    last.delete(of)
    last.set(of, event)
  }
  return [...last.values()]
}
