/**
 * When the faults are over and everything has come to rest: every sale ended, nothing can be paid any more, every bit of
 * money is where somebody knows of it, and the books say so: I2 I5 I9 I10 R1.
 */
import { type Posted, replay } from '../../cloud/ledger.js'
import type { Store } from '../../cloud/store.js'
import type { ChargeRecord } from '../../cloud/sandbox/objects.js'
import type { Box } from './box.js'
import type { SaleSeen, Seen } from './seen.js'

/** Nothing is open any more, as far as anybody can see. */
export async function isQuiet({ api }: Seen, boxes: readonly Box[], store: Store): Promise<boolean> {
  return boxes.every((box) => restless(box) === undefined) && (await store.openSales()).length === 0
    && api().charges().every(({ state }) => state.status !== 'pending')
}

/** Why this box is not ready for the next customer. */
function restless(box: Box): string | undefined {
  const last = box.disk.last()
  if (last.phase !== 'idle' && !(last.phase === 'settled' && last.told && last.undelivered !== true)) return `never ended ${last.phase} ${last.sale.id}`
  const status = box.terminal()?.status()
  if (status === undefined) return 'does not run'
  return status.notReady === undefined ? undefined : `does not serve any more: ${status.notReady}`
}

export async function audit(seen: Seen, boxes: readonly Box[], store: Store): Promise<void> {
  const { violate, hold, tally, api } = seen
  for (const box of boxes) {
    const why = restless(box)
    if (why !== undefined) violate('I10', `${box.name} ${why}`)
  }
  for (const { sale } of await store.openSales()) {
    violate('I10', `the gateway still has ${sale} open: ${JSON.stringify(await store.sale(sale)).slice(0, 400)}`)
  }
  const exceptions = await store.exceptions('all')
  tally.exceptions = exceptions.length
  const looked = new Set(exceptions.map(({ charge }) => charge))
  const keys = new Set(exceptions.map(({ key }) => key))
  for (const charge of seen.disputes) hold('I10', keys.has(`disputed ${charge}`), () => `${charge} is disputed and nobody looks at it`)
  for (const charge of api().charges()) await auditCharge(seen, charge, store, looked)
  for (const sale of seen.sales.values()) auditSale(seen, sale, looked)
  await auditLedger(seen, store)
}

async function auditCharge({ hold, tally }: Seen, charge: ChargeRecord, store: Store, looked: ReadonlySet<string | null>): Promise<void> {
  const { id, state, amount, refundedAmount } = charge
  hold('I10', state.status !== 'pending', () => `${id} can still be paid`)
  if (state.status !== 'successful') return
  tally.paidAtApi++
  if (refundedAmount >= amount) return void tally.reversed++
  const sale = await store.sale(String(charge.metadata['plinth_sale']))
  const isSold = sale?.phase === 'paid' && sale.charge === id
  hold('I5', isSold || looked.has(id), () => `${id} was paid and is kept: its sale is ${sale?.phase ?? 'unknown'} and nobody looks at it`)
}

function auditSale({ hold, tally, chargeOf }: Seen, sale: SaleSeen, looked: ReadonlySet<string | null>): void {
  const { id, toldOutcome, panelSaid } = sale
  const successes = sale.charges.map(chargeOf).filter((charge) => charge?.state.status === 'successful').filter((charge) => charge !== undefined)
  const kept = successes.filter((charge) => charge.refundedAmount < charge.amount && !looked.has(charge.id)).map((charge) => charge.id)
  hold('I2', kept.length <= 1, () => `${id} was paid twice and both are kept: ${kept.join(', ')}`)
  hold('R1', toldOutcome !== 'paid' || successes.length > 0, () => `${id} was called paid, and no charge of it is`)
  const isCalledUnpaid = toldOutcome === 'unpaid' || panelSaid === 'unpaid'
  hold('R1', !isCalledUnpaid || kept.length === 0, () => `${id} was called unpaid, and ${kept.join(', ')} is kept`)
  if (toldOutcome !== undefined || panelSaid !== undefined) return
  tally.neverTold++
  hold('I10', sale.forgotten, () => `nobody was ever told how ${id} ended`)
  hold('I10', kept.length === 0 || sale.unknowingly,
    () => `${kept.join(', ')} was paid for ${id}, whose terminal forgot it: the customer got nothing and nobody looks at it`)
}

async function auditLedger({ hold, violate, api }: Seen, store: Store): Promise<void> {
  const replayed = await replay(store.entries())
  if (!replayed.ok) return violate('I9', `entry ${replayed.seq} of the ledger ${replayed.fault}`)
  const balances = await store.balances()
  const told = (all: typeof balances): string =>
    JSON.stringify(all.map(({ terminal, currency, account, minor }) => JSON.stringify([terminal, currency, account, minor])).sort())
  hold('I9', told(replayed.balances) === told(balances), () => 'the balances are not what a replay of the ledger gives')

  const entries: Posted[] = []
  for await (const entry of store.entries()) entries.push(entry)
  const keys = new Set(entries.map(({ key }) => key))
  let owed = 0
  for (const charge of api().charges().filter(({ state }) => state.status === 'successful')) {
    owed += netOf(charge) - charge.refundedAmount
    hold('I9', keys.has(`sale paid ${charge.id}`) || keys.has(`late payment ${charge.id}`), () => `${charge.id} was paid and is not in the ledger`)
    for (const refund of api().refunds(charge.id)) hold('I9', keys.has(`refund ${refund.id}`), () => `${refund.id} of ${charge.id} is not in the ledger`)
  }
  const receivable = balances.filter(({ account }) => account === 'receivable').reduce((sum, { minor }) => sum + minor, 0)
  return hold('I9', receivable === owed, () => `the ledger says the API owes ${receivable}, and it owes ${owed}`)
}

/** As the API shows it: what is left after its fee and the tax on that. */
function netOf({ amount, feeBasisPoints, vatBasisPoints }: ChargeRecord): number {
  const portion = (of: number, basisPoints: number): number => Math.floor((of * basisPoints + 5_000) / 10_000)
  const fee = portion(amount, feeBasisPoints)
  return amount - fee - portion(fee, vatBasisPoints)
}

const PAID_MS_MAX = 8_000
const CODE_MS_MAX = 6_000

/** Where nothing went wrong everything is also prompt, and nobody need look at anything. */
export function auditSunny({ hold, tally }: Seen): void {
  const longest = (times: readonly number[]): number => Math.max(0, ...times)
  hold('LIVE', longest(tally.paids) <= PAID_MS_MAX, () => `nothing was wrong, and PAID came ${longest(tally.paids)} ms after the bank's word`)
  hold('LIVE', longest(tally.codes) <= CODE_MS_MAX, () => `nothing was wrong, and a code came after ${longest(tally.codes)} ms`)
  hold('LIVE', tally.exceptions + tally.reversed === 0, () => 'nothing was wrong, and money went back or a person must look')
}
