/**
 * The story of a sale in words, for who has the customer on the telephone: what happened and when, what was booked, what
 * the terminal was told, how it stands. Pure: all of it is in the history, the ledger and the exceptions of the sale.
 */
import { PAYMENT_METHODS } from '../device/protocol/payment-method.js'
import { NEEDS_ATTENTION, referenceOf } from '../device/protocol/wire.js'
import { bothText, offsetText, utcText, wallText } from './calendar.js'
import type { State } from './charge.js'
import type { Posted } from './ledger.js'
import { count, moneyText } from './plain-text.js'
import type { Reversal } from './reversal.js'
import type { Exception, Told } from './store.js'

export interface SaleFile {
  readonly sale: string
  readonly state: Exclude<State, { phase: 'none' }>
  readonly history: readonly Told[]
  readonly entries: readonly Posted[]
  /** Of this sale alone, resolved or not. */
  readonly exceptions: readonly Exception[]
}

/** One line of the story, and what followed from it. */
export interface Chapter {
  readonly at: number
  readonly what: readonly string[]
  /** What was booked by it, and what was said. */
  readonly then: readonly string[]
}

const NOT_BEGUN: State = { phase: 'none' }

export function storyText(file: SaleFile): string {
  const { sale, state } = file
  const { order: { amountMinor, currency, method }, terminal } = state
  const { title } = PAYMENT_METHODS[method]
  const chapters = chaptersOf(file)
  const charge = state.phase === 'intent' ? null : state.charge
  return [
    `Sale ${referenceOf(sale)}: ${moneyText(amountMinor, currency)} by ${title} at ${terminal} -- ${titleOf(state)}`,
    `  sale    ${sale}`,
    `  charge  ${charge ?? 'none'}`,
    '',
    `  ${offsetText(currency).padEnd(20)} UTC`,
    ...timeTable(chapters, currency),
    '',
    'How it stands',
    ...standingOf(file).map((line) => `  ${line}`),
    '',
    `The customer was told: ${toldText(file)}`,
  ].join('\n')
}

/** The date stands where a new one begins. */
function timeTable(chapters: readonly Chapter[], currency: string): readonly string[] {
  let date = ''
  return chapters.flatMap(({ at, what, then }) => {
    const [day = '', time = ''] = wallText(at, currency).split(' ')
    const local = day === date ? `${' '.repeat(10)} ${time}` : `${day} ${time}`
    date = day
    const [first = 'the gateway looked again', ...more] = what
    return [
      `  ${local.padEnd(20)} ${utcText(at).slice(11)}  ${first}`,
      ...more.map((line) => `${' '.repeat(33)}${line}`), ...then.map((line) => `${' '.repeat(35)}${line}`),
    ]
  })
}

// -- What happened --------------------------------------------------------------------------------------------------

/** What changed nothing -- another look at a charge that is not paid yet -- is counted, not told. */
export function chaptersOf({ history, entries, exceptions }: SaleFile): readonly Chapter[] {
  const chapters: Chapter[] = []
  const open = new Map(entries.map((entry) => [entry.key, entry]))
  let before = NOT_BEGUN
  let looks = 0
  const tellLooks = (at: number): void => {
    if (looks > 0) chapters.push({ at, what: [`the gateway looked ${count(looks, 'time')}: nothing new`], then: [] })
    looks = 0
  }
  for (const [step, told] of history.entries()) {
    const booked = told.posted.flatMap((key) => {
      const entry = open.get(key)
      open.delete(key) // Posted once, whatever is said of it later.
      return entry === undefined ? [] : [entryText(entry)]
    })
    const what = [causeOf(told, before), ...changesOf(before, told.state)].filter((text) => text !== undefined)
    const then = [...booked, ...wordsOf(told, before)]
    before = told.state
    if (what.length === 0 && then.length === 0) {
      looks++
      continue
    }
    tellLooks(history[step - 1]?.at ?? told.at)
    chapters.push({ at: told.at, what, then })
  }
  tellLooks(history.at(-1)?.at ?? 0)
  const byHand = exceptions.flatMap((exception) => chaptersOfException(exception, [...open.values()]))
  return [...chapters, ...byHand].sort((a, b) => a.at - b.at)
}

function chaptersOfException({ id, key, openedAt, resolution }: Exception, left: readonly Posted[]): readonly Chapter[] {
  const opened = { at: openedAt, what: [`exception ${id} was opened: a person must look`], then: [] }
  if (resolution === null) return [opened]
  const booked = left.filter((entry) => entry.key.endsWith(` by hand ${key}`)).map(entryText)
  const { at, decision, note } = resolution
  return [opened, { at, what: [`exception ${id} was resolved (${decision}): ${note}`], then: booked }]
}

const entryText = ({ key, currency, lines }: Posted): string =>
  `booked: ${key}: ${lines.map(({ account, minor }) => `${account} ${moneyText(minor, currency)}`).join(', ')}`

/** Why the step was taken, where that is more than its outcome says. */
function causeOf({ event, state }: Told, before: State): string | undefined {
  if (event === 'sale opened' && before.phase === 'none') return `the terminal asked for a charge of ${orderText(state)}`
  if (event === 'charge seen' && before.phase === 'none') return 'a charge of this sale was found; our own records of it were lost'
  return CAUSES[event]
}

const CAUSES: Readonly<Record<string, string>> = {
  'sale opened': 'the terminal asked for the charge again',
  'sale asked after': 'the terminal asked how it stands',
  'close asked': 'the terminal asked to close it',
  'goods in doubt': 'the terminal does not know whether the goods came out',
  'terminal forgot': 'the terminal started anew and knew nothing of it',
  restarted: 'the gateway started anew and took it up where it stood',
  'create refused': 'the payment API made no charge',
  'create unanswered': 'the payment API did not say whether it made a charge',
  'code read': 'the code was read',
  'code unreadable': 'the code could not be read',
  'dispute seen': 'the customer disputes the payment',
  'refund refused': 'the payment API refused the refund',
  'refund unanswered': 'the payment API did not say whether it made the refund',
}

const orderText = (state: State): string => (state.phase === 'none' ? '' : moneyText(state.order.amountMinor, state.order.currency))

function changesOf(before: State, after: State): readonly string[] {
  if (after.phase === 'none') return []
  const earlier = before.phase === 'none' ? [] : before.reversals
  return [...phaseChanges(before, after), ...after.reversals.flatMap((reversal) =>
    reversalChange(earlier.find(({ charge }) => charge === reversal.charge), reversal))]
}

function phaseChanges(before: State, after: Exclude<State, { phase: 'none' }>): readonly string[] {
  switch (after.phase) {
    case 'intent':
      if (before.phase === 'bound' || before.phase === 'closed') {
        return ['the terminal shows another charge: asked the payment API which there are']
      }
      if (before.phase === 'none' && after.doing === 'finding') return ['looked for its charges at the payment API']
      return [
        ...(before.phase === 'intent' && after.creates > before.creates
          ? [`there was none: asked for ${before.creates === 0 ? 'one' : 'one again'}`] : []),
        ...closingChange(before, after),
      ]
    case 'bound':
      return [
        ...(before.phase === 'bound' && before.charge === after.charge ? [] : [`its charge is ${after.charge}`]),
        ...closingChange(before, after),
      ]
    case 'paid': {
      if (before.phase !== 'paid') return ['PAID']
      const backMinor = after.refundedMinor - before.refundedMinor
      const back = moneyText(backMinor, after.order.currency)
      return backMinor > 0 ? [`${back} of it was given back elsewhere, at the dashboard or by a dispute`] : []
    }
    case 'closed':
      return before.phase === 'closed' ? [] : [`ended UNPAID: ${reasonText(after.reason)}`]
    case 'exception':
      return before.phase === 'exception' ? [] : [`A PERSON MUST LOOK: ${after.reason}`]
  }
}

function closingChange(before: State, { closing }: Extract<State, { phase: 'intent' | 'bound' }>): readonly string[] {
  const known = before.phase === 'intent' || before.phase === 'bound' ? before.closing : undefined
  return closing === undefined || known !== undefined ? [] : [`closing the charge: ${reasonText(closing.reason)}`]
}

function reversalChange(before: Reversal | undefined, after: Reversal): readonly string[] {
  const money = moneyText(after.amountMinor, after.currency)
  const begun = before === undefined ? [`${money} came in with charge ${after.charge}: ${after.why}`] : []
  switch (after.phase) {
    case 'listing':
      return before === undefined ? [...begun, 'it must go back'] : []
    case 'refunding':
      return before?.phase === 'refunding' ? []
        : [...begun, `asked the payment API to give ${moneyText(after.askedMinor, after.currency)} back`]
    case 'reversed':
      return before?.phase === 'reversed' ? [] : [...begun, `${money} WENT BACK ${voidText(after.voided)}`]
    case 'stuck':
      return before?.phase === 'stuck' ? [] : [...begun, `it does not go back by itself: ${after.reason}`]
  }
}

const voidText = (voided: boolean): string => (voided ? '(undone before settlement)' : '(as a refund, which may take days)')

/** A verdict, an offer or the news of returned money, by what the sale was when it was said. */
function wordsOf({ state, said }: Told, before: State): readonly string[] {
  if (state.phase === 'none' || said.length === 0) return []
  const returned = state.reversals.filter(({ phase, charge }) => phase === 'reversed' && !isReversed(before, charge)).length
  const news = Array.from({ length: Math.min(returned, said.length) }, () => 'told the terminal: the payment was returned')
  if (said.length === news.length) return news
  return [state.phase === 'bound' ? 'sent the code to the terminal' : `told the terminal: ${endingText(state)}`, ...news]
}

const isReversed = (state: State, charge: string): boolean =>
  state.phase !== 'none' && state.reversals.some((reversal) => reversal.charge === charge && reversal.phase === 'reversed')

// -- How it stands --------------------------------------------------------------------------------------------------

function titleOf(state: SaleFile['state']): string {
  switch (state.phase) {
    case 'intent':
    case 'bound':     return 'OPEN'
    case 'paid':      return 'PAID'
    case 'closed':    return 'NOT PAID'
    case 'exception': return 'A PERSON MUST LOOK'
  }
}

export function standingOf(file: SaleFile): readonly string[] {
  const { state, exceptions } = file
  const open = exceptions.filter(({ resolution }) => resolution === null)
  return [
    ...phaseStanding(state),
    ...state.reversals.map((reversal) => reversalStanding(reversal, file)),
    ...open.map(({ id, reason }) => `Exception ${id} is open: ${reason} -- see plinth-gateway exceptions show ${id}`),
  ]
}

function phaseStanding(state: SaleFile['state']): readonly string[] {
  const { amountMinor, currency } = state.order
  const money = moneyText(amountMinor, currency)
  switch (state.phase) {
    case 'intent':
      return ['Open: the gateway is waiting for the payment API.']
    case 'bound':
      return [state.closing === undefined
        ? `Open: the code may be paid until ${bothText(state.codeEndsAt, currency)}.`
        : 'Open: the charge is being closed; if the customer was faster, it will be paid.']
    case 'paid':
      return [
        `Paid: ${money} on ${bothText(Date.parse(state.paidAt), currency)}.`,
        ...(state.refundedMinor > 0 ? [`Of it, ${moneyText(state.refundedMinor, currency)} went back to the customer since.`] : []),
      ]
    case 'closed':
      return [`Not paid: ${reasonText(state.reason)}.`, ...(state.reversals.length === 0 ? ['No money came in.'] : [])]
    case 'exception':
      return [`Not decided: ${state.reason}.`]
  }
}

function reversalStanding(reversal: Reversal, { exceptions }: SaleFile): string {
  const came = `${moneyText(reversal.amountMinor, reversal.currency)} came in with charge ${reversal.charge} (${reversal.why})`
  switch (reversal.phase) {
    case 'listing':
    case 'refunding':
      return `${came}. It is on its way back: the gateway goes on until it has gone.`
    case 'reversed':
      return `${came} and went back on ${bothText(reversal.reversedAt, reversal.currency)} ${voidText(reversal.voided)}.`
    case 'stuck': {
      const decided = exceptions.filter(({ charge }) => charge === reversal.charge).map(({ resolution }) => resolution)
        .find((resolution) => resolution !== null && resolution.decision !== 'none')
      return decided == null ? `${came}. It does not go back by itself.`
        : `${came}. A person decided: ${decided.decision} -- ${decided.note}`
    }
  }
}

function toldText({ state }: SaleFile): string {
  const returned = state.reversals.filter((reversal) => reversal.phase === 'reversed')
  const then = returned.map(({ amountMinor, currency, voided }) =>
    `; then that ${moneyText(amountMinor, currency)} was returned ${voidText(voided)}`)
  return `${endingText(state)}${then.join('')}`
}

/** In the sense of what the panel says, in whatever language the shop has. */
function endingText(state: State): string {
  switch (state.phase) {
    case 'none':
    case 'intent':    return 'nothing yet'
    case 'bound':     return `nothing final yet; the panel ${state.closing === undefined ? 'shows the code' : 'says: do not pay again'}`
    case 'paid':      return 'PAID'
    case 'closed':    return `NOT PAID: ${reasonText(state.reason)}`
    case 'exception': return state.told.outcome === 'paid' ? 'PAID' : `NOT PAID: ${reasonText(state.told.reason)}`
  }
}

const REASONS: Readonly<Record<string, string>> = {
  payment_expired: 'the code was not paid in time',
  payment_rejected: 'the wallet did not accept it',
  insufficient_fund: 'too little balance, or a limit of the wallet',
  failed_processing: 'the payment did not go through',
  cancelled: 'cancelled at the terminal',
  expired: 'the code was not paid in time',
  'no answer': 'no code came in time',
  'code not shown': 'the panel could not show the code',
  'code unreadable': 'the code could not be read',
  restarted: 'the terminal was interrupted',
  frozen: 'the terminal is frozen',
  refunded: 'it was paid, and given back before the gateway read it',
  [NEEDS_ATTENTION]: 'ask the staff, do not pay again',
}

/** A reason that is not ours is the API's own word, and passed on. */
export const reasonText = (reason: string): string =>
  REASONS[reason] ?? reason.replace(/^refused: /, 'no charge could be made: ')
