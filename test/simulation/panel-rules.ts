/** What may stand on a panel, and for how long; what the lamps may say: I1 I7 I8 D1 D2 D3. */
import type { ChargeRecord } from '../../cloud/sandbox/objects.js'
import { NEEDS_ATTENTION, referenceOf } from '../../device/protocol/wire.js'
import { SETTLED_MS, UNDELIVERED_MS } from '../../device/sale.js'
import type { LampPattern } from '../../drivers/driver.js'
import { type Box, type Picture, WITHIN_MS } from './box.js'
import type { CounterRules } from './counter-rules.js'
import type { MoneyRules } from './money-rules.js'
import type { Place, SaleSeen, Seen } from './seen.js'

type View = Exclude<Picture, 'blank'>
type Ending = Extract<View, { screen: 'paid' | 'undelivered' | 'not paid' | 'ask staff' }>

export interface PanelRules {
  drew(box: Box, picture: Picture): void
  lit(box: Box, pattern: LampPattern): void
  /** Its sale is not presented any more: the code must go. */
  mustGo(place: Place, charge: string): void
}

/** A terminal's clock and the API's may be this far apart about a code's end. */
const CLOCKS_MS = 10_000
/** A box that has only just started draws in a moment; a panel that hung is tried again. */
const EXCUSED_MS = 20_000

export function createPanelRules(seen: Seen, money: MoneyRules, outcome: CounterRules['outcome']): PanelRules {
  const { engine, api, hold, violate, saleOf, chargeOf, placeOf, graceMs, byReference, tally } = seen

  const isOn = (box: Box, isIt: (view: View) => boolean): boolean => {
    const picture = box.picture()
    return box.powered() && picture !== 'blank' && isIt(picture)
  }
  const showsCodeOf = (charge: ChargeRecord | undefined) => (view: View): boolean => view.screen === 'scan to pay' && view.payload === charge?.payload
  const isExcused = ({ box, hangsUntil, bootedAt }: Place): boolean =>
    box.life() === undefined || engine.now() < hangsUntil + EXCUSED_MS || engine.now() < bootedAt + Math.max(graceMs(box), EXCUSED_MS)

  /** What stands on the panel must be gone after this; while it cannot be, it is looked at again. */
  function gone(place: Place, afterMs: number, isIt: (view: View) => boolean, otherwise: () => void): void {
    engine.after(afterMs, 'oracle looks at a panel', () => {
      if (!isOn(place.box, isIt)) return
      if (isExcused(place)) gone(place, graceMs(place.box), isIt, otherwise)
      else otherwise()
    })
  }

  function mustGo(place: Place, charge: string): void {
    gone(place, graceMs(place.box), showsCodeOf(chargeOf(charge)),
      () => violate('D1', `${place.box.name} still shows the code of ${charge}, whose sale it does not present any more`))
  }

  function code(place: Place, view: Extract<View, { screen: 'scan to pay' }>): void {
    const { box } = place
    const charge = api().scan(view.payload)
    if (charge === undefined) return violate('I8', `${box.name} shows a code that is of no charge`)
    const offered = place.presented.find(({ payload }) => payload === view.payload)
    if (offered?.charge !== charge.id) return violate('I8', `${box.name} shows the code of ${charge.id}, and was offered ${place.presented.at(-1)?.charge}`)
    const sale = saleOf(charge)
    if (sale === undefined) return violate('I1', `${box.name} shows the code of ${charge.id}, which is of no sale`)
    hold('D1', engine.now() <= offered.until + graceMs(box), () => `${box.name} shows the code of ${sale.id}, which it presents no more`)
    hold('I7', view.amount.minor === sale.minor && charge.amount === sale.minor,
      () => `${box.name} shows ${view.amount.minor} for a charge of ${charge.amount} and a sale of ${sale.minor}`)
    hold('D2', view.reference === referenceOf(sale.id), () => `${box.name} shows a wrong reference`)
    if (!sale.shown.has(charge.id)) return firstSeen(place, sale, charge)
  }

  function firstSeen(place: Place, sale: SaleSeen, charge: ChargeRecord): void {
    sale.shown.add(charge.id)
    tally.codes.push(engine.now() - sale.openedAt)
    hold('I1', sale.shown.size === 1, () => `${sale.id} was shown with two charges: ${[...sale.shown].join(', ')}`)
    money.leased(charge.id)
    gone(place, seen.codeLifetimeMs + graceMs(place.box) + CLOCKS_MS, showsCodeOf(charge),
      () => violate('D1', `${place.box.name} still shows the code of ${charge.id}, long after its end`))
  }

  function ending(place: Place, view: Ending): void {
    const { box } = place
    const sale = byReference.get(view.reference)
    const settled = [place.settled, place.settledBefore].find((one) => one !== undefined && one.sale === sale?.id)
    if (sale === undefined || settled === undefined) {
      return violate('D3', `${box.name} shows '${view.screen}' for a sale that it has not settled`)
    }
    const isPaid = view.screen === 'paid' || view.screen === 'undelivered'
    hold('D3', settled.paid === isPaid && engine.now() <= settled.until + graceMs(box),
      () => `${box.name} shows '${view.screen}' for ${sale.id}, which it has not settled so`)
    hold('I7', view.amount.minor === sale.minor, () => `${box.name} shows ${view.amount.minor} for ${sale.minor}`)
    if (isPaid) money.calledPaid(sale, settled.charge, `the panel of ${box.name}`)
    else money.calledUnpaid(sale, settled.charge, view.screen === 'not paid' ? view.reason : NEEDS_ATTENTION, `the panel of ${box.name}`)
    const said = isPaid ? 'paid' : 'unpaid'
    hold('R1', sale.panelSaid === undefined || sale.panelSaid === said, () => `the panel called ${sale.id} ${sale.panelSaid}, and now ${said}`)
    sale.panelSaid = said
    if (box.plan.kind === 'keypad' && sale.toldOutcome === undefined) outcome(sale, said, said)
    mustNotStay(place, view)
  }

  /** An ending that stays is taken for the next customer's. It stays only while nobody could be told. */
  function mustNotStay(place: Place, { screen, reference }: Ending): void {
    const isIt = (view: View): boolean => view.screen === screen && view.reference === reference
    const staysMs = screen === 'undelivered' ? UNDELIVERED_MS : SETTLED_MS + (place.box.plan.release === undefined ? 0 : WITHIN_MS)
    gone(place, staysMs + graceMs(place.box) + 1_000, isIt, () => {
      const last = place.box.disk.last()
      const isUntold = last.phase === 'settled' && (!last.told || last.undelivered === true) && referenceOf(last.sale.id) === reference
      // Of goods in doubt it also stays for a while after the gateway has noted it.
      const isFresh = screen === 'undelivered' && place.settled !== undefined && engine.now() < place.settled.recordedAt + staysMs + graceMs(place.box)
      if (isUntold || isFresh) mustNotStay(place, { screen, reference } as Ending) // Only these two are looked at.
      else violate('D2', `${place.box.name} still shows '${screen}' of ${reference}`)
    })
  }

  return {
    mustGo,
    drew(box, picture) {
      const place = placeOf(box)
      place.drawnAt = engine.now()
      if (picture === 'blank') return
      switch (picture.screen) {
        case 'scan to pay': return code(place, picture)
        case 'paid':
        case 'undelivered':
        case 'ask staff':
        case 'not paid': return ending(place, picture)
        case 'reversed': {
          const sale = byReference.get(picture.reference)
          const isBack = sale?.charges.some((id) => chargeOf(id)?.refundedAmount === sale.minor) === true
          return hold('D3', isBack, () => `${box.name} shows that money of ${sale?.id ?? picture.reference} went back, and it did not`)
        }
        case 'starting':
        case 'enter amount':
        case 'confirm amount':
        case 'refused':
        case 'please wait':
        case 'checking':
        case 'offline':
        case 'set up':
        case 'updating':
        case 'out of service':
          return
      }
    },
    lit(box, pattern) {
      const last = box.disk.last()
      const paid = last.phase === 'delivering' || (last.phase === 'settled' && last.verdict.ending.outcome === 'paid')
      if (pattern === 'paid') hold('D3', paid, () => `${box.name} lights 'paid', and its sale is ${last.phase}`)
      if (pattern === 'waiting') hold('D3', last.phase === 'presenting', () => `${box.name} lights 'waiting', and its sale is ${last.phase}`)
      if (pattern === 'ready') hold('D3', last.phase === 'idle', () => `${box.name} lights 'ready', and its sale is ${last.phase}`)
    },
  }
}
