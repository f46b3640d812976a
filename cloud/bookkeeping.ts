/**
 * The books, checked and closed. Verification reads everything and believes nothing: the chain, the sums, and whether
 * balances, day closes and the histories of the sales tell of the same entries. A day is closed once and stays as it is.
 */
import { bothText, type DayIn, theDay } from './calendar.js'
import { type Balance, closeOfDay, type DayClose, type Head, type Posted, replay } from './ledger.js'
import { moneyText } from './plain-text.js'
import type { Books, ClosedDay, Store } from './store.js'

// -- Verification ---------------------------------------------------------------------------------------------------

export type Verification =
  | { readonly ok: true; readonly head: Head; readonly balances: readonly Balance[]; readonly closes: number }
  | { readonly ok: false; readonly fault: string }

/** The first thing that is wrong, by its number in the ledger where it has one. */
export function verifyLedger(books: Books): Promise<Verification> {
  return books.together(async () => {
    const closes = await books.closedDays()
    const known = new Set<string>()
    const faults: string[] = []
    const replayed = await replay(noting(books.entries(), known, closes, faults)).catch((error: unknown) => (
      { ok: false, seq: undefined, fault: `cannot be read: ${error instanceof Error ? error.message : String(error)}` } as const))
    if (!replayed.ok) {
      const { seq, fault } = replayed
      return { ok: false, fault: `${seq === undefined ? 'an entry' : `entry ${seq}`} ${fault}` }
    }
    faults.push(
      ...await faultsOfHistories(books, known),
      ...faultsOfBalances(await books.balances(), replayed.balances),
    )
    const [first] = faults
    if (first !== undefined) return { ok: false, fault: first }
    return { ok: true, head: replayed.head, balances: replayed.balances, closes: closes.length }
  })
}

/** Passes the entries on; notes their keys, and every day close that is not the sum of its entries. */
async function* noting(
  entries: AsyncIterable<Posted>, known: Set<string>, closes: readonly ClosedDay[], faults: string[],
): AsyncGenerator<Posted> {
  const tills = new Map<string, { readonly left: ClosedDay[]; open: Posted[] }>()
  for (const close of [...closes].sort((a, b) => a.throughSeq - b.throughSeq)) {
    const till = tills.get(tillOf(close))
    if (till === undefined) tills.set(tillOf(close), { left: [close], open: [] })
    else till.left.push(close)
  }
  for await (const entry of entries) {
    known.add(entry.key)
    yield entry
    const till = tills.get(tillOf(entry))
    const [close] = till?.left ?? []
    if (till === undefined || close === undefined) continue
    till.open.push(entry)
    if (entry.seq !== close.throughSeq) continue
    const fault = faultOfClose(close, till.open)
    if (fault !== undefined) faults.push(fault)
    till.left.shift()
    till.open = []
  }
  for (const { left } of tills.values()) {
    for (const close of left) {
      faults.push(`the ${nameOf(close)} goes through entry ${close.throughSeq}, which the ledger does not have`)
    }
  }
}

function faultOfClose(close: ClosedDay, entries: readonly Posted[]): string | undefined {
  const stranger = entries.find(({ at }) => at >= theDay(close.day)(close.currency).end)
  if (stranger !== undefined) return `the ${nameOf(close)} counts entry ${stranger.seq}, which is of a later day`
  const [figures] = closeOfDay(entries)
  return figures !== undefined && sameFigures(figures, close) ? undefined : `the ${nameOf(close)} is not the sum of its entries`
}

const sameFigures = (computed: DayClose, stored: DayClose): boolean =>
  (Object.keys(computed) as (keyof DayClose)[]).every((figure) => computed[figure] === stored[figure])

/** What was posted stands in the history of its sale, or in the exception that was resolved with it; and the other way round. */
async function faultsOfHistories(books: Books, known: ReadonlySet<string>): Promise<readonly string[]> {
  const told = await books.postedBySales()
  const decided = (await books.exceptions('all')).flatMap(({ key, sale, resolution }) =>
    (resolution === null || resolution.decision === 'none' ? [] : [{ sale, key: `${resolution.decision} by hand ${key}` }]))
  const all = new Set([...told, ...decided].map(({ key }) => key))
  return [
    ...[...told, ...decided].filter(({ key }) => !known.has(key))
      .map(({ sale, key }) => `the ledger has no "${key}", which sale ${sale} posted`),
    ...[...known].filter((key) => !all.has(key)).map((key) => `the ledger has "${key}", which no sale posted`),
  ]
}

function faultsOfBalances(stored: readonly Balance[], replayed: readonly Balance[]): readonly string[] {
  const nameOfBalance = ({ terminal, currency, account }: Balance): string => `${terminal} ${currency} ${account}`
  const sums = new Map(replayed.map((balance) => [nameOfBalance(balance), balance.minor]))
  const books = new Map(stored.map((balance) => [nameOfBalance(balance), balance.minor]))
  return [...new Set([...sums.keys(), ...books.keys()])].filter((name) => (sums.get(name) ?? 0) !== (books.get(name) ?? 0))
    .map((name) => `the balance ${name} is ${books.get(name) ?? 0}, its entries sum to ${sums.get(name) ?? 0}`)
}

// -- Day close ------------------------------------------------------------------------------------------------------

export interface Closing {
  /** Of the day asked for: those that were just made, and those that were there. */
  readonly slips: readonly ClosedDay[]
  readonly before: readonly ClosedDay[]
  /** Why some of the tills could not be closed. */
  readonly refused: readonly string[]
}

/** Each terminal and currency for itself: what came after its last close, until the end of the day where the currency is spent. */
export async function closeDays(store: Store, day: DayIn, now: number): Promise<Closing> {
  const tills = new Map((await store.balances()).map((balance) => [tillOf(balance), balance]))
  const before: ClosedDay[] = []
  const refused: string[] = []
  const after = new Map<string, number>()
  for (const [till, { terminal, currency }] of tills) {
    const { name, end } = day(currency)
    const known = (await store.closedDays(name)).find((close) => tillOf(close) === till)
    const last = await store.lastClose(terminal, currency)
    if (known !== undefined) before.push(known)
    else if (end > now) refused.push(`${name} is not over for ${till}: it ends on ${bothText(end, currency)}`)
    else if (last !== undefined && last.day > name) {
      refused.push(`${name} is behind the last close of ${till}, which was ${last.day}`)
    } else after.set(till, last?.throughSeq ?? 0)
  }
  // The entries may be many, and a gateway must not wait for them: only what is stored is looked at again under the lock.
  const made = await slipsOf(store, after, day, now)
  await store.together(async () => {
    for (const slip of made) {
      const till = tillOf(slip)
      const last = await store.lastClose(slip.terminal, slip.currency)
      if ((last?.throughSeq ?? 0) !== after.get(till)) throw new Error(`somebody else is closing ${till}: look again`)
    }
    await store.closeDay(made)
  })
  return { slips: [...before, ...made].sort((a, b) => (tillOf(a) < tillOf(b) ? -1 : 1)), before, refused }
}

/** `after` says for each till through which entry it was closed before. A till without entries since then has no slip. */
async function slipsOf(store: Store, after: ReadonlyMap<string, number>, day: DayIn, now: number): Promise<readonly ClosedDay[]> {
  const entries = new Map<string, Posted[]>()
  if (after.size === 0) return []
  for await (const entry of store.entries(Math.min(...after.values()))) {
    const till = tillOf(entry)
    if (entry.seq <= (after.get(till) ?? Infinity) || entry.at >= day(entry.currency).end) continue
    const of = entries.get(till)
    if (of === undefined) entries.set(till, [entry])
    else of.push(entry)
  }
  return [...entries.values()].flatMap((of) => closeOfDay(of).map((figures) => (
    { ...figures, day: day(figures.currency).name, throughSeq: of.at(-1)?.seq ?? 0, closedAt: now })))
}

/** The same bytes whenever it is printed. */
export function slipText(close: ClosedDay): string {
  const { currency, salesMinor, refundsMinor, feesMinor, lateMinor, reversedMinor, receivableMinor } = close
  const lines: readonly (readonly [string, number])[] = [
    [`sales (${close.sales})`, salesMinor], ['refunds', -refundsMinor], ['fees', -feesMinor],
    ['late money in', lateMinor], ['late money out', -reversedMinor], ['the payment API owes', receivableMinor],
  ]
  const amounts = lines.map(([, minor]) => moneyText(minor, currency))
  const width = Math.max(...amounts.map(({ length }) => length))
  return [
    `Day close ${close.day}  ${close.terminal}  ${currency}`,
    ...lines.map(([label], at) => `  ${label.padEnd(22)}${(amounts[at] ?? '').padStart(width)}`),
    `  through entry ${close.throughSeq}, closed on ${bothText(close.closedAt, currency)}`,
  ].join('\n')
}

const tillOf = ({ terminal, currency }: Pick<Balance, 'terminal' | 'currency'>): string => `${terminal} ${currency}`

const nameOf = (close: ClosedDay): string => `close of ${close.day} for ${tillOf(close)}`
