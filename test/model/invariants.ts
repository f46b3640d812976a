/**
 * What must hold: in every world, in every step of the gateway, and in the end. The numbers are those of the invariants in
 * ARCHITECTURE.md. Each fault is a sentence that begins with its number.
 */
import { type ChargeSeen, CREATES_MAX, type Event, type State, type Step } from '../../cloud/charge.js'
import type { SaleVerdict, State as SaleState } from '../../device/sale.js'
import type { Screen } from '../../device/view.js'
import type { ChargeStep } from './machines.js'
import { amountOf, type Charge, codeOf, isPending, leftMinor, NOW, ORDER, refundedMinor, refundsOf, tookMoney, tookMoneyLate } from './omise.js'
import type { Size, World } from './world.js'

// -- In every world ---------------------------------------------------------------------------------------------------

export function faultOfWorld(world: World): string | undefined {
  const { omise, books } = world
  const shown = omise.filter((each) => each.shown)
  if (shown.length > 1) return `I1: the codes of ${shown.length} charges were shown`
  const excess = omise.find((each) => refundedMinor(each) > amountOf(each))
  if (excess !== undefined) return `I6: more than its amount went back of ${excess.id}`
  if (books.posted.filter((each) => each.startsWith('sale paid')).length > 1) return 'I9: the sale is posted as paid twice'
  return faultOfTelling(world)
}

/** What the terminal believes, or the register was told. */
function faultOfTelling({ terminal, past, omise }: World): string | undefined {
  const settled = terminal.power === 'on' && terminal.state.phase === 'settled' ? terminal.state.verdict : null
  for (const verdict of [settled, past.told]) {
    const fault = verdict === null ? undefined : faultOfVerdict(verdict, omise)
    if (fault !== undefined) return fault
  }
  return undefined
}

function faultOfVerdict({ ending, charge }: SaleVerdict, omise: readonly Charge[]): string | undefined {
  switch (ending.outcome) {
    case 'paid': {
      const paid = omise.find(({ id }) => id === charge)
      if (paid === undefined || !tookMoney(paid)) return `I3: PAID, and nobody paid ${charge ?? 'anything'}`
      return refundsOf(paid, 'us').length > 0 ? `R1: PAID, and we gave the money of ${paid.id} back` : undefined
    }
    case 'unpaid': {
      const open = omise.find((each) => each.shown && isPending(each))
      return open === undefined ? undefined : `I4: "not paid" was believed, and ${open.id} can still be paid`
    }
  }
}

/** Before a terminal forgets a sale it has told the register how it ended. */
export const faultOfIdle = ({ past }: World): string | undefined =>
  past.told === null ? 'R4: the terminal is done with the sale, and the register was told nothing' : undefined

export function faultOfTold({ past }: World, verdict: SaleVerdict): string | undefined {
  if (past.told === null || JSON.stringify(past.told) === JSON.stringify(verdict)) return undefined
  return `R1: the register was told ${JSON.stringify(past.told)}, and then ${JSON.stringify(verdict)}`
}

// -- In every step ----------------------------------------------------------------------------------------------------

/** What the view makes of a state. */
export function faultOfPanel(state: SaleState, screen: Screen): string | undefined {
  if (screen.screen === 'scan to pay') {
    if (state.phase !== 'presenting') return `D1: a code is on the panel while ${state.phase}`
    if (screen.payload !== codeOf(state.offer.charge)) return `I8: the code on the panel is not that of ${state.offer.charge}`
  }
  const isPaid = state.phase === 'settled' && state.verdict.ending.outcome === 'paid'
  if (screen.screen === 'paid' && !isPaid) return `D3: PAID is on the panel while ${state.phase}`
  if (screen.screen === 'not paid' && state.phase !== 'settled') return `D3: an ending is on the panel while ${state.phase}`
  return undefined
}

export const faultOfGateway = (before: State, event: Event | 'restarted', step: Step): string | undefined =>
  faultOfEntries(step) ?? faultOfCreates(event, step) ?? faultOfPaid(before, event, step) ?? faultOfRefunds(before, event, step)

function faultOfEntries({ entries }: Step): string | undefined {
  const odd = entries.find(({ lines }) => lines.reduce((sum, { minor }) => sum + minor, 0) !== 0)
  return odd === undefined ? undefined : `I9: the entry "${odd.key}" does not sum to zero`
}

/** What is due is dealt with: a deadline that stays due would ring for ever. */
export const faultOfDeadline = (next: number | undefined): string | undefined =>
  next !== undefined && next <= NOW ? 'P2: a deadline was reached and stays due' : undefined

/** A create whose answer was lost may have been done: another one is asked for only after a look, and only once. */
function faultOfCreates(event: Event | 'restarted', { effects }: Step): string | undefined {
  const create = effects.find((effect) => effect.do === 'create charge')
  if (create === undefined || create.do !== 'create charge') return undefined
  if (create.attempt > CREATES_MAX) return `I1: charge number ${create.attempt} of one sale is asked for`
  const looked = event !== 'restarted' && event.type === 'charges found' && event.charges.length === 0
  return create.attempt === 1 || looked ? undefined : 'I1: another charge is asked for, and nobody looked for the first'
}

/** Only what was read of the charge itself makes a sale paid. */
function faultOfPaid(before: State, event: Event | 'restarted', { state }: Step): string | undefined {
  if (state.phase !== 'paid' || before.phase === 'paid') return undefined
  const proof = event === 'restarted' ? undefined : chargesIn(event).find(({ id }) => id === state.charge)
  const proves = proof !== undefined && proof.status === 'successful' && proof.paid && !proof.livemode && proof.refundedMinor === 0
    && proof.amountMinor === ORDER.amountMinor && proof.currency === ORDER.currency
  return proves ? undefined : `I3: the gateway says paid, and did not read it of ${state.charge}`
}

/** What the gateway says of charges, held against what they are. */
export function faultOfDecision({ omise, past }: World, step: ChargeStep): string | undefined {
  for (const word of step.words) {
    if (word.type !== 'reversed') continue
    const charge = omise.find(({ id }) => id === word.charge)
    if (charge === undefined || leftMinor(charge) > 0) return `I5: "your money went back" was said, and it did not (${word.charge})`
  }
  return isUnpaid(step.state) && !isUnpaid(step.before) && step.before.phase !== 'paid' ? faultOfUnpaid(omise, past.amnesia, step) : undefined
}

/**
 * Unpaid is said when no customer can pay any more, of all that could be read. A gateway that lost its records may not know
 * yet which charge a customer sees; then the terminal must not believe it.
 */
function faultOfUnpaid(omise: readonly Charge[], amnesia: boolean, { state, concerns }: ChargeStep): string | undefined {
  const about = 'charge' in state ? state.charge : null
  for (const charge of omise.filter(({ id, shown }) => (amnesia ? id === about : shown))) {
    if (isPending(charge)) return `I4: the gateway says unpaid, and ${charge.id} can still be paid`
    const isSeenTo = concerns.some((key) => key.endsWith(` ${charge.id}`))
      || ('reversals' in state && state.reversals.some((each) => each.charge === charge.id))
    if (tookMoney(charge) && !tookMoneyLate(charge) && !isSeenTo) return `I4: the gateway says unpaid, and ${charge.id} is paid`
  }
  return undefined
}

const isUnpaid = ({ phase }: State): boolean => phase === 'closed' || phase === 'exception'

/** A refund is sent on sight of the list of refunds, never more than what is left of it, and never after it was complete. */
function faultOfRefunds(before: State, event: Event | 'restarted', { effects, state }: Step): string | undefined {
  for (const effect of effects) {
    if (effect.do !== 'refund charge') continue
    const { charge, amountMinor } = effect
    if (event === 'restarted' || event.type !== 'refunds listed' || event.charge !== charge) return `I6: a refund of ${charge} was sent unseen`
    const gone = event.refunds.reduce((sum, refund) => sum + refund.amountMinor, 0)
    const known = 'reversals' in state ? state.reversals.find((each) => each.charge === charge) : undefined
    if (known === undefined || gone + amountMinor > known.amountMinor) return `I6: more than what is left of ${charge} was to be refunded`
    const was = 'reversals' in before ? before.reversals.find((each) => each.charge === charge) : undefined
    if (was?.phase === 'reversed') return `I6: ${charge} was reversed, and is refunded again`
  }
  return undefined
}

function chargesIn(event: Event): readonly ChargeSeen[] {
  switch (event.type) {
    case 'charge created':
    case 'charge read':
    case 'charge seen':
      return [event.charge]
    case 'charges found':
      return event.charges
    case 'sale opened':
    case 'sale asked after':
    case 'close asked':
    case 'goods in doubt':
    case 'terminal forgot':
    case 'dispute seen':
    case 'create refused':
    case 'create unanswered':
    case 'find unanswered':
    case 'code read':
    case 'code unreadable':
    case 'code unanswered':
    case 'expire refused':
    case 'charge unanswered':
    case 'hint received':
    case 'deadline reached':
    case 'refunds listed':
    case 'refunds unanswered':
    case 'refund made':
    case 'refund refused':
    case 'refund unanswered':
      return []
  }
}

// -- In the end -------------------------------------------------------------------------------------------------------

/** What is not settled yet. Every world must be able to come to one where nothing is. */
export function openIn(world: World, { unseenPaid }: Pick<Size, 'unseenPaid'>): readonly string[] {
  const { terminal, gateway, omise } = world
  const open: string[] = []
  if (terminal.power === 'on' && terminal.state.phase !== 'idle') open.push(`R4: the terminal is ${terminal.state.phase}`)
  if (gateway.phase === 'intent' || gateway.phase === 'bound') open.push(`I10: the gateway has not decided: ${gateway.phase}`)
  if ('reversals' in gateway) {
    for (const { phase, charge } of gateway.reversals) if (phase === 'listing' || phase === 'refunding') open.push(`I5: ${charge} is not reversed: ${phase}`)
  }
  for (const charge of omise) {
    if (isPending(charge) && (charge.shown || unseenPaid)) open.push(`I10: ${charge.id} can still be paid`)
  }
  return [...open, ...openMoney(world)]
}

function openMoney({ gateway, omise, books, past }: World): readonly string[] {
  const open: string[] = []
  const kept = gateway.phase === 'paid' ? gateway.charge : null
  const isExcepted = (charge: Charge): boolean => books.concerns.some((key) => key.endsWith(` ${charge.id}`))
  const unaccounted = omise.filter((each) => leftMinor(each) > 0 && each.id !== kept && !isExcepted(each))
  for (const { id } of unaccounted) open.push(`I5: the money of ${id} is neither the sale's, nor reversed, nor on the exception list`)
  if (unaccounted.length + (kept === null ? 0 : 1) > 1) open.push('I2: two payments of one sale are kept')
  const keptCharge = omise.find(({ id }) => id === kept)
  if (past.told?.ending.outcome === 'unpaid' && keptCharge !== undefined && leftMinor(keptCharge) > 0 && !isExcepted(keptCharge)) {
    open.push('R1: the register was told "not paid", and the money is kept')
  }
  if (past.told?.ending.outcome === 'paid' && kept !== past.told.charge) open.push('R1: the register was told PAID, and the gateway does not know it')
  return [...open, ...openBooks(omise, books.posted, kept)]
}

/** The books say what Omise has: what came in and what went back, and whose it is. */
function openBooks(omise: readonly Charge[], posted: readonly string[], kept: string | null): readonly string[] {
  const open: string[] = []
  const owed = omise.reduce((total, each) => total + leftMinor(each), 0)
  const booked = sumOf(posted, 'receivable') + sumOf(posted, 'fees')
  if (booked !== owed) open.push(`I9: Omise holds ${owed}, the books say ${booked}`)
  const sold = omise.reduce((total, each) => total + (each.id === kept ? amountOf(each) : 0), 0)
  if (sumOf(posted, 'sales') !== -sold) open.push(`I9: ${sold} was sold, the books say ${-sumOf(posted, 'sales')}`)
  for (const { id } of omise.filter(tookMoney)) {
    const isPosted = posted.some((each) => each.startsWith(`${id === kept ? 'sale paid' : 'late payment'} ${id}: `))
    if (!isPosted) open.push(`I9: the payment of ${id} is not posted as ${id === kept ? 'a sale' : 'late'}`)
  }
  return open
}

const sumOf = (posted: readonly string[], account: string): number =>
  posted.flatMap((each) => each.split(': ')[1]!.split(', ')).filter((line) => line.startsWith(`${account} `))
    .reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)
