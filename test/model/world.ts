/**
 * One sale in a world where everything breaks: the production reducers of the terminal and of the gateway, an Omise that
 * is seen whole, and a network that loses, repeats, delays and reorders. A world is a value: moves.ts lists what may happen
 * next in it, draft.ts plays it, invariants.ts says what must hold.
 *
 *   terminal --requests--> gateway --calls--> Omise
 *            <--words-----         <-answers-
 *
 * What was ever said stays under way for ever: each of `requests` and `words` may arrive at any time, any number of times, or
 * never. That is loss, repetition, delay and reordering without bound. It also covers the outbox: a word that is said again
 * after a crash is one that was delayed. A call to Omise is answered once, or never. What nobody can notice any more is
 * forgotten (draft.ts), so that worlds without a difference are one.
 */
import * as charge from '../../cloud/charge.js'
import type * as sale from '../../device/sale.js'
import { initial as idle } from '../../device/sale.js'
import type { Request, Terminal, Word } from './machines.js'
import type { Charge } from './omise.js'

/** How much of the world is explored. */
export interface Size {
  /** Power cuts of the terminal and restarts of the gateway, together. */
  readonly crashes: number
  /** The gateway may lose its records, once: it is restored from a backup, older than the sale or of any moment of it. */
  readonly amnesia: 'no' | 'old' | 'any'
  readonly chargesMax: number
  /** Charges may be paid whose code nobody saw. They cannot, says Omise; then everything must hold all the same. */
  readonly unseenPaid: boolean
  /** A wallet that had begun may pay a charge after it expired. */
  readonly lateWallet: boolean
  /** Somebody gives money back at Omise's dashboard, all of it or a part. */
  readonly desk: boolean
  /** The list of charges may lack those just made. */
  readonly listLags: boolean
  /** Omise may make a charge of another amount, or in the other mode. */
  readonly oddCharges: boolean
  /** A call may be under way several times: an answer leaves another one to come. */
  readonly overlapping: boolean
  /** The reasons of endings are told apart. Neither machine looks at them: they are texts for people. */
  readonly reasons: boolean
}

export interface World extends Records, Calls {
  readonly terminal: Terminal
  readonly requests: readonly Request[]
  readonly words: readonly Word[]
  readonly omise: readonly Charge[]
  readonly past: Past
  /** Of the gateway's database, made a while ago. */
  readonly backup: Records | null
}

/** The gateway's database. */
export interface Records {
  readonly gateway: charge.State
  /** The very word a request was answered with; null when nobody is there to hear it. */
  readonly replies: { readonly open?: Word | null; readonly close?: Word | null }
  readonly books: Books
}

/** What the gateway committed beside the sale's state: entries of the ledger, and what is on the exception list. */
export interface Books {
  readonly posted: readonly string[]
  readonly concerns: readonly string[]
}

/**
 * Calls that were sent to Omise and not answered. Reads of the sale's charge are not among them: it is read again and again,
 * so an answer may come at any time, and be as old as the charge.
 */
export interface Calls {
  readonly creates: {
    /** Waiting for their answer, and not done yet. */
    readonly sent: number
    /** Waiting for their answer, and done: their charges. */
    readonly made: readonly string[]
    /** Nobody waits for the answer any more; they may still be done. */
    readonly loose: number
  }
  /** A look at the list of charges: each as it was when the look was sent, or later. One that is not named may be missing. */
  readonly find: Readonly<Record<string, number>> | null
  /** Codes of charges the sale was bound to before. That of its charge is asked for again and again, and not remembered. */
  readonly codes: readonly string[]
  /** Lists of refunds, by charge: the answer has at least so many. */
  readonly lists: Readonly<Record<string, number>>
  readonly refunds: Readonly<Record<string, RefundCall>>
  /** Refunds for whose answer nobody waits any more, by charge. */
  readonly looseRefunds: Readonly<Record<string, number>>
}

export interface RefundCall {
  readonly amountMinor: number
  /** It was done: its place among the charge's refunds. */
  readonly made: number | null
}

/** What happened before, as far as it limits what may happen, or must be remembered to judge it. */
export interface Past {
  readonly crashes: number
  readonly amnesia: boolean
  /** Every charge as it was when the gateway came back from a backup: no answer is older than that. */
  readonly reads: Readonly<Record<string, number>>
  readonly counter: number
  /** What the register heard, as it was told first. */
  readonly told: sale.SaleVerdict | null
}

export const NO_CALLS: Calls = {
  creates: { sent: 0, made: [], loose: 0 }, find: null, codes: [], lists: {}, refunds: {}, looseRefunds: {},
}
export const NO_RECORDS: Records = { gateway: charge.initial, replies: {}, books: { posted: [], concerns: [] } }

export const start: World = {
  terminal: { power: 'on', state: idle }, requests: [], words: [], ...NO_RECORDS, ...NO_CALLS, omise: [],
  past: { crashes: 0, amnesia: false, reads: {}, counter: 0, told: null }, backup: null,
}

/** In the order of a key (values.ts). */
export const PARTS = [
  'terminal', 'requests', 'words', 'gateway', 'replies', 'books', 'omise', 'past', 'backup',
  'creates', 'find', 'codes', 'lists', 'refunds', 'looseRefunds',
] as const satisfies readonly (keyof World)[]
