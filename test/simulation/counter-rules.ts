/** What a terminal may begin, and what it may answer to whoever asked: I7 I12 R1 R2 R3. */
import { formatMajor } from '../../device/protocol/money.js'
import type { Recorded } from '../../device/sale.js'
import type { Answer } from '../../drivers/driver.js'
import type { Box } from './box.js'
import type { MoneyRules } from './money-rules.js'
import { type Place, type SaleSeen, type Seen, STILL } from './seen.js'

export interface CounterRules {
  recorded(box: Box, recorded: Recorded): void
  /** Whatever stood on the panel is presented no more. */
  presentsNoMore(place: Place): void
  settledAs(place: Place, recorded: Extract<Recorded, { phase: 'delivering' | 'settled' }>): void
  answered(box: Box, answer: Answer): void
  /** Somebody knows now how it ended. */
  outcome(sale: SaleSeen, what: 'paid' | 'unpaid', bytes: string): void
}

/** The link proves itself after a minute of silence, with three hellos of five seconds each. */
const LINK_PROOF_MS = 60_000 + 3 * 5_000 + 2_000

export function createCounterRules(seen: Seen, money: MoneyRules, mustGo: (place: Place, charge: string) => void): CounterRules {
  const { engine, people, sales, hold, violate, placeOf, tally } = seen

  function begun(place: Place, { sale: { id, amount, askedBy } }: Extract<Recorded, { phase: 'opening' }>): void {
    const { box } = place
    seen.begin(box, id, amount.minor)
    hold('I12', place.welcomed && engine.now() - place.heardAt <= LINK_PROOF_MS, () => `${box.name} begins a sale without a proven link`)
    hold('I12', place.hangsUntil > engine.now() || place.drawnAt >= place.hangsUntil, () => `${box.name} begins a sale with a panel that does not draw`)
    hold('I12', place.falseWelcomes < 3, () => `${box.name} begins a sale while the gateway cannot charge`)
    hold('I7', askedBy === box.plan.kind, () => `${box.name} says a ${askedBy} asked`)
    if (box.plan.kind === 'register') askedFor(place, id, amount.minor)
  }

  function askedFor({ box, memoryLostAt }: Place, id: string, minor: number): void {
    const request = people().requestOf(box)
    if (request === undefined) return violate('I7', `${box.name} begins a sale that nobody asked for`)
    hold('I7', request.minor === minor, () => `${box.name} was asked for ${request.minor} and begins a sale of ${minor}`)
    request.sales.push(id)
    hold('R2', request.sales.length === 1 || memoryLostAt >= request.at,
      () => `${box.name} begins a second sale for one request: ${request.sales.join(', ')}`)
  }

  function presentsNoMore(place: Place): void {
    const newest = place.presented.at(-1)
    if (newest?.until !== STILL) return
    newest.until = engine.now()
    mustGo(place, newest.charge)
  }

  function resolved(place: Place, since: number, isSettled: boolean): void {
    place.resolvingSince = undefined
    if (isSettled && place.linkUpAt >= since) tally.doubts.push(engine.now() - place.linkUpAt)
  }

  function settledAs(place: Place, { sale, verdict }: Extract<Recorded, { phase: 'delivering' | 'settled' }>): void {
    if (place.settled?.sale !== sale.id) place.settledBefore = place.settled
    place.settled = { sale: sale.id, paid: verdict.ending.outcome === 'paid', charge: verdict.charge, recordedAt: engine.now(), until: STILL }
  }

  function outcome(sale: SaleSeen, what: 'paid' | 'unpaid', bytes: string): void {
    hold('R1', sale.told === undefined || sale.told === bytes, () => `the answer about ${sale.id} changed from ${sale.told} to ${bytes}`)
    if (sale.told !== undefined) return
    sale.told = bytes
    sale.toldOutcome = what
    if (what === 'unpaid') return void tally.toldUnpaid++
    tally.toldPaid++
    const at = seen.paidAt.get(sale.charges.find((id) => seen.paidAt.has(id)) ?? '')
    if (at !== undefined) tally.paids.push(engine.now() - at)
  }

  /** A register that knows sales by their ids ignores what it has heard before; anything else it may take for what it asked. */
  function isForWhatWasAsked(box: Box, sale: SaleSeen): void {
    const request = people().requestOf(box)
    const isMistaken = box.plan.kind === 'register' && sale.told === undefined && request !== undefined
      && request.pending && !request.byHand && request.minor === sale.minor && !request.sales.includes(sale.id) && sale.openedAt < request.at
    hold('R3', !isMistaken, () => `${box.name} answers with ${sale.id} what was asked later, for the same amount`)
  }

  return {
    presentsNoMore, settledAs, outcome,
    recorded(box, recorded) {
      const place = placeOf(box)
      const before = place.phase
      place.phase = recorded.phase
      if (recorded.phase !== 'presenting') presentsNoMore(place)
      const isSettled = recorded.phase === 'settled' || recorded.phase === 'delivering'
      if (!isSettled && place.settled?.until === STILL) place.settled.until = engine.now()
      if (recorded.phase !== 'resolving' && place.resolvingSince !== undefined) {
        resolved(place, place.resolvingSince, isSettled)
      }
      switch (recorded.phase) {
        case 'idle': return
        case 'opening':
          if (!sales.has(recorded.sale.id)) begun(place, recorded)
          return
        case 'presenting': {
          const { charge, payload } = recorded.offer
          if (before !== 'presenting') place.presented = [...place.presented.slice(-2), { charge, payload, until: STILL }]
          return
        }
        case 'resolving':
          place.resolvingSince ??= engine.now()
          return
        case 'delivering':
        case 'settled':
          return settledAs(place, recorded)
      }
    },
    answered(box, answer) {
      if (answer.answer === 'ok') {
        const sale = sales.get(answer.sale)
        if (sale === undefined) return violate('R1', `${box.name} tells of ${answer.sale}, which never was`)
        money.calledPaid(sale, answer.charge, `the answer of ${box.name}`)
        hold('I7', answer.amount === formatMajor({ minor: sale.minor, currency: 'THB' }), () => `${box.name} answers ${answer.amount} for ${sale.minor}`)
        isForWhatWasAsked(box, sale)
        return outcome(sale, 'paid', JSON.stringify(answer))
      }
      const last = box.disk.last()
      const isOutcome = last.phase === 'settled' && !last.told && last.verdict.ending.outcome === 'unpaid'
        && answer.reason.startsWith(last.verdict.ending.reason)
      if (!isOutcome) return void tally.refused++
      const { sale: { id }, verdict: { charge, ending } } = last
      const sale = sales.get(id)
      if (sale === undefined || ending.outcome !== 'unpaid') return violate('R1', `${box.name} tells of ${id}, which never was`)
      money.calledUnpaid(sale, charge, ending.reason, `the answer of ${box.name}`)
      return outcome(sale, 'unpaid', JSON.stringify(answer))
    },
  }
}
