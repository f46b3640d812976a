/**
 * The auditor, when all is quiet: the bank's charges, the gateway's books, the words of the terminals, the answers at the
 * registers and the pictures on the panels are laid side by side. Pure: facts in, violations out.
 */
import type { Invariant } from './report.js'

/** A charge as the payment API lists it. */
export interface BankCharge {
  readonly id: string
  /** Of its metadata; '' for a charge that carries none. */
  readonly sale: string
  readonly status: string
  readonly amount: number
  readonly refunded_amount: number
}

export interface LedgerEntry {
  readonly key: string
  readonly sale: string
  readonly lines: readonly { readonly account: string; readonly minor: number }[]
}

/** What a terminal said of a sale that ended; said again after a restart, it must be the same. */
export interface Word {
  readonly terminal: string
  readonly sale: string
  readonly outcome: string
  readonly charge: string | null
}

export interface Facts {
  readonly charges: readonly BankCharge[]
  readonly entries: readonly LedgerEntry[]
  /** What the gateway's own check of its ledger complains of. */
  readonly ledgerFault: string | undefined
  /** Sales the gateway still waits for. */
  readonly open: readonly string[]
  /** Money that a person was asked to look at. */
  readonly exceptions: readonly { readonly sale: string; readonly charge: string | null }[]
  /** Sales that a terminal said it had journalled. */
  readonly opened: readonly { readonly terminal: string; readonly sale: string }[]
  readonly words: readonly Word[]
  readonly codes: readonly { readonly terminal: string; readonly code: string | undefined }[]
  /** Lines that came to a register, of the terminals that have one. */
  readonly answers: ReadonlyMap<string, readonly string[]>
}

export interface Finding {
  readonly invariant: Invariant
  readonly text: string
}

export function audit(facts: Facts): readonly Finding[] {
  const sales = new Set([...facts.opened, ...facts.words, ...facts.charges].map(({ sale }) => sale))
  return [
    ...facts.charges.filter(({ status }) => status === 'pending')
      .map(({ id, sale }) => finding('I4', `charge ${id} of sale ${sale} can still be paid`)),
    ...facts.open.map((sale) => finding('I10', `the gateway still waits for sale ${sale}`)),
    ...facts.codes.filter(({ code }) => code !== undefined)
      .map(({ terminal }) => finding('D1', `the panel of ${terminal} still shows a code`)),
    ...[...sales].flatMap((sale) => auditSale(sale, facts)),
    ...facts.ledgerFault === undefined ? [] : [finding('I9', `the ledger does not verify: ${facts.ledgerFault}`)],
    ...auditLedger(facts),
    ...[...facts.answers].flatMap(([terminal, lines]) => auditRegister(terminal, lines, facts)),
  ]
}

const finding = (invariant: Invariant, text: string): Finding => ({ invariant, text })

/** Money that the bank took and that has not gone back. */
const isKept = ({ status, amount, refunded_amount }: BankCharge): boolean => status === 'successful' && refunded_amount < amount

/** One word on each sale, and one payment at most: of a sale that is paid, or one that somebody was asked to look at. */
function auditSale(sale: string, { charges, words, opened, exceptions }: Facts): readonly Finding[] {
  const said = words.filter((word) => word.sale === sale)
  const different = [...new Set(said.map(({ outcome, charge }) => `${outcome} ${charge}`))]
  if (different.length > 1) return [finding('R1', `the terminal changed its word on sale ${sale}: ${different.join(', then ')}`)]
  const kept = charges.filter((charge) => charge.sale === sale && isKept(charge))
  const [paid] = kept
  if (kept.length > 1) return [finding('I2', `sale ${sale} was paid ${kept.length} times: ${kept.map(({ id }) => id).join()}`)]
  const isListed = paid !== undefined && exceptions.some(({ charge }) => charge === paid.id)
  const [word] = said
  if (word?.outcome === 'paid') {
    if (paid === undefined) return [finding('I4', `${word.terminal} said PAID for sale ${sale}; the bank has no money for it`)]
    if (paid.id === word.charge) return []
    return [finding('I2', `sale ${sale} is paid with ${paid.id}; its terminal says ${word.charge}`)]
  }
  if (paid !== undefined) {
    const told = word === undefined ? 'nobody was told' : `${word.terminal} said NOT PAID`
    return isListed ? [] : [finding('I5', `the bank kept ${paid.amount} for sale ${sale} (${paid.id}), and ${told}`)]
  }
  const at = opened.find((one) => one.sale === sale)?.terminal
  return word !== undefined || at === undefined ? [] : [finding('I10', `sale ${sale} was journalled by ${at} and never ended`)]
}

/** Every entry is there once and sums to zero; every payment and refund is posted, as what it was, and nothing else is. */
function auditLedger(facts: Facts): readonly Finding[] {
  const { entries, charges } = facts
  const faults = entries.flatMap(({ key, lines }, index) => [
    ...entries.findIndex((entry) => entry.key === key) === index ? [] : [`ledger entry "${key}" is there twice`],
    ...sumOf(lines) === 0 ? [] : [`ledger entry "${key}" sums to ${sumOf(lines)}`],
  ])
  return [
    ...faults,
    ...charges.filter(({ status }) => status === 'successful').flatMap((charge) => faultOfPosting(charge, facts)),
    ...[...new Set(charges.map(({ sale }) => sale))].flatMap((sale) => faultOfRefunds(sale, facts)),
    ...entries.flatMap((entry) => faultOfEntry(entry, facts)),
  ].map((text) => finding('I9', text))
}

function faultOfPosting({ id, sale, amount }: BankCharge, { entries }: Facts): readonly string[] {
  const [entry, second] = entries.filter(({ key }) => key === `sale paid ${id}` || key === `late payment ${id}`)
  if (entry === undefined) return [`the bank took ${amount} with ${id} (sale ${sale}); the ledger knows nothing of it`]
  if (second !== undefined) return [`charge ${id} is posted as "${entry.key}" and as "${second.key}"`]
  return paidIn(entry) === amount ? [] : [`charge ${id} is ${amount}; "${entry.key}" posts ${paidIn(entry)}`]
}

function faultOfRefunds(sale: string, { charges, entries }: Facts): readonly string[] {
  const atBank = charges.filter((charge) => charge.sale === sale).reduce((sum, { refunded_amount }) => sum + refunded_amount, 0)
  const refunds = entries.filter((entry) => entry.sale === sale && entry.key.startsWith('refund '))
  const inLedger = refunds.reduce((sum, refund) => sum - paidIn(refund), 0)
  return atBank === inLedger ? [] : [`the bank gave back ${atBank} for sale ${sale}; the ledger says ${inLedger}`]
}

function faultOfEntry({ key, sale }: LedgerEntry, { charges, words }: Facts): readonly string[] {
  const [, what, id] = /^(sale paid|late payment) (\S+)$/.exec(key) ?? []
  if (what === undefined) return []
  const isPaid = charges.some((charge) => charge.id === id && charge.status === 'successful')
  if (!isPaid) return [`"${key}" is posted; the bank took no such money`]
  const notPaid = words.find((word) => word.sale === sale)?.outcome === 'unpaid'
  return what === 'sale paid' && notPaid ? [`"${key}" is posted; its terminal said NOT PAID`] : []
}

const sumOf = (lines: LedgerEntry['lines']): number => lines.reduce((sum, { minor }) => sum + minor, 0)

/** What a customer paid, and negative what went back to one. */
const paidIn = ({ lines }: LedgerEntry): number => -sumOf(lines.filter(({ account }) => CUSTOMERS.includes(account)))

const CUSTOMERS = ['sales', 'late', 'refunds']

/** OK stands for one paid sale of this terminal, its amount and its charge; and every such sale got its OK. */
function auditRegister(terminal: string, lines: readonly string[], { words, charges }: Facts): readonly Finding[] {
  const oks = lines.flatMap((line) => {
    const [, amount, sale, charge] = /^OK (\S+) (\S+) (\S+)$/.exec(line) ?? []
    return amount === undefined ? [] : [{ line, amount, sale, charge }]
  })
  const wrong = oks.filter(({ amount, sale, charge }) => !charges.some((paid) =>
    paid.id === charge && paid.sale === sale && isKept(paid) && (paid.amount / 100).toFixed(2) === amount))
  const unheard = words.filter((word) =>
    word.terminal === terminal && word.outcome === 'paid' && !oks.some(({ sale }) => sale === word.sale))
  return [
    ...wrong.map(({ line }) => finding('R1', `the register of ${terminal} heard "${line}"; the bank has no such money`)),
    ...unheard.map(({ sale }) => finding('R1', `sale ${sale} is paid; the register of ${terminal} never heard OK`)),
  ]
}
