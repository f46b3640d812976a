/**
 * What the owner of the shop asks the gateway's books: which money needs a person, what became of a sale, whether the
 * ledger is whole, the slips of a day, and whether all of it agrees with the payment API. Commands and their texts; each
 * answer is one text for a person and one value for a machine. Only `resolveException` and `closeTheDay` write.
 */
import { PAYMENT_METHODS, voidableUntil } from '../device/protocol/payment-method.js'
import { referenceOf } from '../device/protocol/wire.js'
import { closeDays, slipText, verifyLedger } from './bookkeeping.js'
import { ageText, bothText, type DayIn, offsetText, utcText, wallText, yesterday } from './calendar.js'
import type { State } from './charge.js'
import { decidedByHand, type Posted } from './ledger.js'
import { count, moneyText, type Row, table } from './plain-text.js'
import type { Report } from './reconciliation.js'
import { chaptersOf, type SaleFile, standingOf, storyText } from './sale-story.js'
import type { Books, Exception, Resolution, Store } from './store.js'

export interface Answer {
  /** Ends without a line feed. */
  readonly text: string
  readonly json: unknown
  /** Beside the answer, for a person: on stderr. */
  readonly note?: string
  /** False when what was looked at is not in order: exit 1. */
  readonly ok: boolean
}

const good = (text: string, json: unknown): Answer => ({ text, json, ok: true })

// -- Exceptions -----------------------------------------------------------------------------------------------------

export async function listExceptions(books: Books, { all, now }: { readonly all: boolean; readonly now: number }): Promise<Answer> {
  const exceptions = await books.exceptions(all ? 'all' : 'open')
  const open = exceptions.filter(({ resolution }) => resolution === null).length
  const rows = exceptions.map((exception): Row => {
    const { id, sale, terminal, amountMinor, currency, charge, reason } = exception
    return [String(id), standing(exception, now), referenceOf(sale), terminal, moneyText(amountMinor, currency), charge ?? '-', reason]
  })
  const titles = ['id', 'standing', 'sale', 'terminal', 'amount', 'charge', 'reason']
  const text = [
    ...(rows.length === 0 ? [] : [table([titles, ...rows], [0, 4]), '']),
    open === 0 ? 'No exception is open.' : `${count(open, 'exception is', 'exceptions are')} open.`,
  ].join('\n')
  return good(text, exceptions.map((exception) => ({ ...exception, reference: referenceOf(exception.sale) })))
}

function standing({ openedAt, resolution }: Exception, now: number): string {
  if (resolution === null) return `open for ${ageText(now - openedAt)}`
  return resolution.decision === 'none' ? 'resolved' : resolution.decision
}

export async function showException(books: Books, { id, now }: { readonly id: number; readonly now: number }): Promise<Answer> {
  const exception = await exceptionOrThrow(books, id)
  const file = await fileOf(books, exception.sale)
  const { charge, amountMinor, currency, reason, openedAt, resolution, sale, terminal } = exception
  const heldMinor = heldOf(exception, file)
  const text = [
    `Exception ${id}: ${moneyText(amountMinor, currency)}, charge ${charge ?? 'none'}, sale ${referenceOf(sale)} at ${terminal}`,
    `  why     ${reason}`,
    `  opened  ${bothText(openedAt, currency)}, ${ageText(now - openedAt)} ago`,
    `  held    ${heldMinor > 0 ? `${moneyText(heldMinor, currency)}, which is the customer's until somebody decides` : 'nothing'}`,
    ...(resolution === null
      ? ['', 'What can be done', ...remediesOf(exception, file, { heldMinor, now }).map((line) => `  ${line}`)]
      : [`  closed  ${bothText(resolution.at, currency)}: ${resolution.decision} -- ${resolution.note}`]),
    '',
    storyText(file),
  ].join('\n')
  const voidEnd = voidEndOf(exception, file) ?? null
  return good(text, { ...exception, reference: referenceOf(sale), heldMinor, voidableUntil: voidEnd, sale: fileJson(file) })
}

interface Resolving extends Pick<Resolution, 'note' | 'decision'> {
  readonly id: number
  readonly now: number
}

export async function resolveException(store: Store, { id, note, decision, now }: Resolving): Promise<Answer> {
  // Nothing may go back between the look at what is held and the entry that moves it.
  return store.together(async () => {
    const exception = await exceptionOrThrow(store, id)
    if (exception.resolution !== null) {
      const { at, note: before } = exception.resolution
      throw new Error(`exception ${id} was resolved already, on ${bothText(at, exception.currency)}: ${before}`)
    }
    const file = await fileOf(store, exception.sale)
    const heldMinor = heldOf(exception, file)
    const refusal = refuseDecision(decision, heldMinor, exception, file)
    if (refusal !== undefined) throw new Error(`exception ${id} stays open: ${refusal}`)
    const { key: concern, sale, currency } = exception
    const entry = decision === 'none' ? undefined : decidedByHand(decision, { concern, sale, currency, amountMinor: heldMinor })
    await store.resolve(id, { decision, note, at: now }, entry)
    const moved = entry === undefined ? '' : ` ${moneyText(heldMinor, currency)} was booked as ${decision}.`
    return good(`Exception ${id} is resolved.${moved}`, { id, decision, note, at: now, movedMinor: heldMinor })
  })
}

async function exceptionOrThrow(books: Pick<Books, 'exception'>, id: number): Promise<Exception> {
  const exception = await books.exception(id)
  if (exception === undefined) throw new Error(`there is no exception ${id}`)
  return exception
}

/** What is left on the account 'late' of this charge: what came in with it, less what went back or was decided by hand. */
export function heldOf({ charge }: Pick<Exception, 'charge'>, { state, entries }: Pick<SaleFile, 'state' | 'entries'>): number {
  const reversal = state.reversals.find((one) => one.charge === charge)
  if (charge === null || reversal?.phase === 'reversed') return 0
  const lateOf = (posted: readonly Posted[]): number =>
    -posted.flatMap(({ lines }) => lines).reduce((sum, { account, minor }) => sum + (account === 'late' ? minor : 0), 0)
  const isOwn = ({ key }: Posted): boolean => key === `late payment ${charge}` || key.includes(' by hand ') && key.endsWith(` ${charge}`)
  const own = lateOf(entries.filter(isOwn))
  // A refund's entry does not name its charge, so the reversal says what went back; never more than the whole sale still holds.
  return Math.max(0, Math.min(own - (reversal?.phase === 'stuck' ? reversal.refundedMinor : 0), lateOf(entries)))
}

function refuseDecision(
  decision: Resolution['decision'], heldMinor: number, exception: Exception, file: SaleFile,
): string | undefined {
  const held = moneyText(heldMinor, exception.currency)
  if (decision === 'none') return heldMinor === 0 ? undefined : `${held} of it is held; say --decision kept or --decision returned`
  if (heldMinor === 0) return `no money is held, so none can be ${decision}; leave --decision out`
  if (isOnItsWay(exception, file)) return `${held} is on its way back by itself; wait until it has gone, or cannot go`
  return undefined
}

const isOnItsWay = ({ charge }: Exception, { state }: SaleFile): boolean =>
  state.reversals.some((reversal) => reversal.charge === charge && (reversal.phase === 'listing' || reversal.phase === 'refunding'))

/** Until when the payment can be undone at once. The sale's own charge says when it was paid; others, when they were seen. */
function voidEndOf({ charge }: Exception, { state, entries }: SaleFile): number | undefined {
  const seenAt = entries.find(({ key }) => key === `late payment ${charge}`)?.at
  const paidAt = state.phase === 'paid' && state.charge === charge ? Date.parse(state.paidAt) : seenAt
  return paidAt === undefined ? undefined : voidableUntil(state.order.method, paidAt)
}

function remediesOf(
  exception: Exception, file: SaleFile, { heldMinor, now }: { readonly heldMinor: number; readonly now: number },
): readonly string[] {
  const { id, key } = exception
  const command = (decision: string): string => `plinth-gateway exceptions resolve ${id} ${decision}--note "..."`
  const done = `When it is settled: ${command('')}`
  if (isOnItsWay(exception, file)) return ['Nothing yet: the gateway goes on giving it back by itself.', done]
  const refund = refundRemedy(exception, file, now)
  if (heldMinor > 0) {
    return [
      ...refund,
      `Give it back by other means, in cash or by transfer: ${command('--decision returned ')}`,
      `Keep it, when the customer did get the goods: ${command('--decision kept ')}`,
    ]
  }
  if (key.startsWith('disputed ')) {
    return ['Answer the dispute at the dashboard of the payment API; if it is lost, the ledger follows by itself.', done]
  }
  return [...(file.state.phase === 'paid' ? ['Ask the shop whether the customer got the goods. If not:', ...refund] : []), done]
}

function refundRemedy(exception: Exception, file: SaleFile, now: number): readonly string[] {
  const { method } = file.state.order
  const { title, refundable } = PAYMENT_METHODS[method]
  if (!refundable) return [`${title} cannot be refunded through the payment API.`]
  const until = voidEndOf(exception, file)
  const kind = until === undefined || until <= now ? 'It is a refund and takes days to reach the customer'
    : `Until ${bothText(until, exception.currency)} all of it is undone at once (a void); after that it is a refund and takes days`
  const charge = exception.charge ?? 'none'
  return [`Refund charge ${charge} at the dashboard of the payment API. ${kind}. The ledger follows within a minute.`]
}

// -- A sale ---------------------------------------------------------------------------------------------------------

/** REF is what a customer reads off the panel, or a sale's or a charge's whole id. */
export async function tellSale(books: Books, ref: string): Promise<Answer> {
  const sales = await findSales(books, ref.trim())
  const files = await Promise.all(sales.map((sale) => fileOf(books, sale)))
  return good(files.map(storyText).join(`\n\n${'-'.repeat(80)}\n\n`), files.map(fileJson))
}

async function findSales(books: Books, ref: string): Promise<readonly string[]> {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(ref)) {
    if (await books.saleRow(ref.toLowerCase()) !== undefined) return [ref.toLowerCase()]
    throw new Error(`no sale has the id ${ref}`)
  }
  if (ref.startsWith('chrg_')) {
    const sale = await books.saleOfCharge(ref) ?? await books.saleWithMoneyOf(ref)
    if (sale !== undefined) return [sale]
    throw new Error(`no sale of ours has the charge ${ref}`)
  }
  const reference = ref.toUpperCase()
  if (!/^[0-9A-Z]{6}$/.test(reference)) {
    throw new Error(`"${ref}" is no reference of six characters, and no id of a sale or a charge`)
  }
  const sales = await books.salesByReference(reference)
  if (sales.length > 0) return sales.map(({ sale }) => sale)
  throw new Error(`no sale has the reference ${reference}${await hintAt(books, reference)}`)
}

/** References are made without the characters that look like others. */
async function hintAt(books: Books, reference: string): Promise<string> {
  if (!/[01OI]/.test(reference)) return ''
  const like = await books.referencesLike(reference.replace(/[01OI]/g, '_'))
  const there = like.length === 0 ? '' : `; there is ${like.join(', ')}`
  return `: references have no 0, O, 1 or I, so look at it again (D, Q, 8, J, L, 7?)${there}`
}

async function fileOf(books: Pick<Books, 'saleRow' | 'history' | 'ledger' | 'exceptions'>, sale: string): Promise<SaleFile> {
  const row = await books.saleRow(sale)
  if (row === undefined) throw new Error(`no sale has the id ${sale}`)
  const exceptions = (await books.exceptions('all')).filter((exception) => exception.sale === sale)
  return { sale, state: row.state, history: await books.history(sale), entries: await books.ledger(sale), exceptions }
}

function fileJson(file: SaleFile): object {
  const { sale, state, entries, exceptions } = file
  return {
    sale, reference: referenceOf(sale), ...withoutSecrets(state),
    story: chaptersOf(file), standing: standingOf(file), ledger: entries, exceptions,
  }
}

/** The code can be paid, and the nonce is between the terminal and the gateway. */
function withoutSecrets(state: Exclude<State, { phase: 'none' }>): object {
  const { amountMinor, currency, method } = state.order
  return { ...state, order: { amountMinor, currency, method }, payload: undefined }
}

// -- The ledger -----------------------------------------------------------------------------------------------------

export async function tellVerification(books: Books): Promise<Answer> {
  const verified = await verifyLedger(books)
  if (!verified.ok) return { text: `The ledger is NOT whole: ${verified.fault}`, json: verified, ok: false }
  const { head, balances, closes } = verified
  const rows = balances.map(({ terminal, currency, account, minor }) => [terminal, account, moneyText(minor, currency)])
  const when = head.seq === 0 ? '' : ` of ${utcText(head.at)} UTC`
  const text = [
    ...(rows.length === 0 ? [] : [table([['terminal', 'account', 'balance'], ...rows], [2]), '']),
    `${count(head.seq, 'entry', 'entries')}, ${count(closes, 'day close')}; head ${head.hash}${when}`,
    'The ledger is whole: chain, sums, balances, day closes and the histories of the sales agree.',
  ].join('\n')
  return good(text, verified)
}

/** Without a day: the last one that is over where the currency is spent. */
export async function closeTheDay(
  store: Store, { day, now }: { readonly day: DayIn | undefined; readonly now: number },
): Promise<Answer> {
  const { slips, before, refused } = await closeDays(store, day ?? yesterday(now), now)
  if (slips.length === 0 && refused.length > 0) throw new Error(refused.join('; '))
  const closed = before.map(({ day: name, terminal, currency }) =>
    `${name} was closed already for ${terminal} ${currency}: this is the slip as it was stored`)
  const notes = [...closed, ...refused]
  const nothing = 'There is nothing to close: no entry of that day or before it is left.'
  const text = slips.length === 0 ? nothing : slips.map(slipText).join('\n\n')
  return { text, json: slips, ok: true, ...(notes.length === 0 ? {} : { note: notes.join('\n') }) }
}

// -- Reconciliation -------------------------------------------------------------------------------------------------

export function tellReconciliation(report: Report, day: DayIn): Answer {
  const { lines, foreign, unreadable, differences } = report
  const rows = lines.flatMap(({ at, sale, charge, amountMinor, currency, api, ledger, differences: of, moving }): readonly Row[] => [
    [
      `${wallText(at, currency)} ${offsetText(currency)}`, sale === null ? '-' : referenceOf(sale), charge ?? '-',
      moneyText(amountMinor, currency), api, ledger,
    ],
    ...of.map((difference) => `    ${moving ? 'moving' : '!'} ${difference}`),
  ])
  const isMoving = lines.some((line) => line.moving && line.differences.length > 0)
  const text = [
    `The ledger and the payment API on ${day('').name}`,
    '',
    ...(rows.length === 0 ? [] : [table([['time', 'sale', 'charge', 'amount', 'payment API', 'ledger'], ...rows], [3]), '']),
    ...foreign.map(({ currency, charges, paid, paidMinor }) =>
      `Not made by Plinth: ${count(charges, 'charge')} in ${currency}, ${paid} paid, ${moneyText(paidMinor, currency)}`),
    ...(unreadable === 0 ? [] : [`${count(unreadable, 'charge')} of the list could not be read`]),
    ...(isMoving ? ['What is marked as moving changed within ten minutes and is not counted; run this again.'] : []),
    `${count(lines.length, 'line')}, ${count(differences, 'difference')}`,
  ].join('\n')
  return { text, json: report, ok: differences === 0 }
}
