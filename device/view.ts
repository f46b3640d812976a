/**
 * What the customer sees: (sale state, health) -> one screen and one rhythm of the lamps. Pure; knows no language,
 * no panel and no clock. Screens may never claim more than the terminal knows (rule 13 of the design): in doubt the
 * word is "checking", an ending needs the gateway's verdict, and an offer's code exists on one screen only.
 */
import type { LampPattern } from '../drivers/driver.js'
import type { Amount } from './protocol/money.js'
import type { PaymentMethodName } from './protocol/payment-method.js'
import { NEEDS_ATTENTION, referenceOf } from './protocol/wire.js'
import type { Millis, Notice, NotReady, PartFault, Refusal, Sale, State } from './sale.js'

export interface Health {
  /** Why no sale could be started now; undefined when one could. */
  readonly notReady: NotReady | undefined
  /** Parts of the box that are missing, with which it could sell all the same. */
  readonly missing?: readonly string[] | undefined
  /** A drawn code did not read back as its offer: out of service until a person restarts the terminal. */
  readonly codeFault: boolean
  /** This terminal belongs to no shop yet; where a person goes, and the code to type there, to change that. */
  readonly unpaired?: { readonly code: string; readonly address: string } | undefined
  /** New software is being put in place: how long that takes, about. */
  readonly updating?: { readonly minutesLeft: number } | undefined
}

/** What every screen of a sale names, so that a photograph of it is enough to find the sale. */
interface OfSale {
  readonly amount: Amount
  /** Six characters, as in the ledger and the gateway's answers. */
  readonly reference: string
}

export type Fault = 'code fault' | 'panel fault' | 'journal fault' | PartFault

/** What stands on the panel of it, for whoever calls for help (README.md lists them); the log has the words. Never changed. */
export const FAULT_CODES: Readonly<Record<Fault, string>> = {
  'code fault': 'C1', 'panel fault': 'P1', 'journal fault': 'J1',
  'keypad fault': 'K1 keypad', 'buttons fault': 'B1 buttons', 'register fault': 'R1 register', 'release fault': 'G1 release',
}

export type Screen =
  | { readonly screen: 'starting' }
  /** The keys as typed; '' when nothing was typed yet. `missing`: for staff, what is missing of the box, which sells all the same. */
  | { readonly screen: 'enter amount'; readonly digits: string; readonly missing?: string }
  /** An unusual amount: is it meant? */
  | { readonly screen: 'confirm amount'; readonly digits: string }
  | { readonly screen: 'refused'; readonly refusal: Refusal }
  | OfSale & { readonly screen: 'please wait' }
  | OfSale & {
      readonly screen: 'scan to pay'; readonly payload: string; readonly method: PaymentMethodName
      /** A whole number of COUNTDOWN_MS, never less than what is left. */
      readonly secondsLeft: number
    }
  | OfSale & { readonly screen: 'checking' }
  | OfSale & { readonly screen: 'paid' }
  /** Paid, and nobody knows whether the goods came out. */
  | OfSale & { readonly screen: 'undelivered' }
  | OfSale & { readonly screen: 'not paid'; readonly reason: string }
  /** Money may have moved, and neither paid nor unpaid can be said: a person must look. */
  | OfSale & { readonly screen: 'ask staff' }
  | OfSale & { readonly screen: 'reversed'; readonly voided: boolean }
  | { readonly screen: 'offline' }
  /** The address is also drawn as a code, framed and titled: the only one beside that of an offer. */
  | { readonly screen: 'set up'; readonly code: string; readonly address: string }
  | { readonly screen: 'updating'; readonly minutesLeft: number }
  | { readonly screen: 'out of service'; readonly fault: Fault }

export type ScreenName = Screen['screen']
export type View = Screen & { readonly lamps: LampPattern }

/** The countdown moves in steps this long: e-ink needs about half a second a change, flickers, and wears. */
export const COUNTDOWN_MS = 15_000

export function view(state: State, health: Health, now: Millis): View {
  const screen = screenOf(state, health, now)
  return { ...screen, lamps: LAMPS[screen.screen] }
}

/** When the picture changes although nothing happened. Always after `now`; undefined when it does not. */
export function viewDeadline(state: State, now: Millis): Millis | undefined {
  switch (state.phase) {
    case 'presenting': {
      const after = stepsLeft(state.endsAt, now) - 1
      return after > 0 ? state.endsAt - after * COUNTDOWN_MS : undefined // The last step ends with the sale's own deadline.
    }
    case 'idle':
    case 'opening':
    case 'resolving':
    case 'delivering':
    case 'settled':
      return undefined
  }
}

const LAMPS: Readonly<Record<ScreenName, LampPattern>> = {
  'starting': 'working',
  'enter amount': 'ready',
  'confirm amount': 'working',
  'refused': 'not paid',
  'please wait': 'working',
  'scan to pay': 'waiting',
  'checking': 'checking',
  'paid': 'paid',
  'undelivered': 'not paid',
  'not paid': 'not paid',
  'ask staff': 'checking',
  'reversed': 'not paid',
  'offline': 'offline',
  'set up': 'offline',
  'updating': 'working',
  'out of service': 'out of service',
}

/** An open or just ended sale keeps its own screen whatever the health is: the customer's money comes first. */
function screenOf(state: State, health: Health, now: Millis): Screen {
  switch (state.phase) {
    case 'idle':
      return idleScreen(state, health)
    case 'opening':
      return { screen: 'please wait', ...ofSale(state.sale) }
    case 'presenting':
      if (health.codeFault) return { screen: 'checking', ...ofSale(state.sale) } // What cannot be read back is not shown.
      return {
        screen: 'scan to pay', ...ofSale(state.sale), payload: state.offer.payload, method: state.sale.method,
        secondsLeft: stepsLeft(state.endsAt, now) * COUNTDOWN_MS / 1000,
      }
    case 'resolving':
      return { screen: 'checking', ...ofSale(state.sale) }
    case 'delivering':
      return { screen: 'paid', ...ofSale(state.sale) }
    case 'settled': {
      // Nothing is sold until the register has its answer; but PAID that stays for hours would be anybody's.
      if (state.overdue && health.notReady === 'panel fault') return { screen: 'out of service', fault: 'panel fault' } // For the lamps.
      if (state.overdue && state.sale.askedBy === 'register' && state.undelivered?.noted !== false) return { screen: 'offline' }
      if (state.undelivered !== undefined) return { screen: 'undelivered', ...ofSale(state.sale) }
      const { ending } = state.verdict
      switch (ending.outcome) {
        case 'paid':   return { screen: 'paid', ...ofSale(state.sale) }
        case 'unpaid':
          return ending.reason === NEEDS_ATTENTION
            ? { screen: 'ask staff', ...ofSale(state.sale) }
            : { screen: 'not paid', ...ofSale(state.sale), reason: ending.reason }
      }
    }
  }
}

function idleScreen(state: Extract<State, { phase: 'idle' }>, { notReady, missing = [], codeFault, unpaired, updating }: Health): Screen {
  if (codeFault) return { screen: 'out of service', fault: 'code fault' }
  switch (notReady) {
    case 'panel fault':
    case 'journal fault':
    case 'keypad fault':
    case 'buttons fault':
    case 'register fault':
    case 'release fault':
      return { screen: 'out of service', fault: notReady }
    case 'link down':
    case 'no charging':
    case 'starting':
    case undefined:
  }
  if (state.notice !== undefined) return noticeScreen(state.notice)
  if (updating !== undefined) return { screen: 'updating', minutesLeft: updating.minutesLeft }
  if (unpaired !== undefined) return { screen: 'set up', code: unpaired.code, address: unpaired.address }
  switch (notReady) {
    case 'link down':
    case 'no charging':
      return { screen: 'offline' }
    case 'starting':  return { screen: 'starting' }
    case undefined:
      if (state.confirm !== undefined) return { screen: 'confirm amount', digits: state.digits }
      return { screen: 'enter amount', digits: state.digits, ...(missing.length === 0 ? {} : { missing: missing.join(', ') }) }
  }
}

function noticeScreen(notice: Notice): Screen {
  switch (notice.type) {
    case 'refused':
      return { screen: 'refused', refusal: notice.refusal }
    case 'reversed': {
      const { amount, sale, voided } = notice.reversal
      return { screen: 'reversed', amount, reference: referenceOf(sale), voided }
    }
  }
}

const ofSale = (sale: Sale): OfSale => ({ amount: sale.amount, reference: referenceOf(sale.id) })

const stepsLeft = (endsAt: Millis, now: Millis): number => Math.max(0, Math.ceil((endsAt - now) / COUNTDOWN_MS))
