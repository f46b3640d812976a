/**
 * How much is explored, by name. All faults at once would take days; each of these has the ones that matter together.
 * Each is complete: within its limits every state is visited.
 */
import type { Model } from './explore.js'
import { faultOfWorld, openIn } from './invariants.js'
import { createMachines, type Machines } from './machines.js'
import { moves } from './moves.js'
import { createKeys, createValues, type Keys } from './values.js'
import { PARTS, type Size, start, type World } from './world.js'

/** Seconds; no fault comes twice. */
const quick: Size = {
  crashes: 1, amnesia: 'no', chargesMax: 1, unseenPaid: false, lateWallet: true, desk: false, listLags: false, oddCharges: false,
  overlapping: false, reasons: false,
}

export const SIZES = {
  quick,
  /** Three crashes of either side, and a create that is done twice. */
  crashes: { ...quick, crashes: 3, chargesMax: 2, overlapping: true },
  /** The gateway loses its records. */
  backup: { ...quick, crashes: 3, amnesia: 'old' },
  /** An Omise that lags, answers oddly, and is refunded by hand. */
  api: { ...quick, crashes: 0, chargesMax: 2, desk: true, listLags: true, oddCharges: true },

  // Larger ones, a minute or more each.

  /** Codes are paid that nobody was shown, so that there is money for two charges of one sale. */
  unseen: { ...quick, crashes: 0, chargesMax: 2, unseenPaid: true, lateWallet: false },
  /** The gateway loses its records of a sale that has two charges. */
  'two-lives': { ...quick, crashes: 0, chargesMax: 2, amnesia: 'old' },
  /** It is restored from a backup of any moment of the sale. */
  'any-backup': { ...quick, amnesia: 'any' },
  /** Every reason of an ending is another ending. */
  reasons: { ...quick, crashes: 1, chargesMax: 2, reasons: true },
} as const satisfies Record<string, Size>

export type SizeName = keyof typeof SIZES

export interface Sized {
  readonly model: Model<World>
  /** How many different values of each part were met. */
  readonly parts: Keys<World>['sizes']
}

/** `spoil` breaks a machine, to see that it is found. */
export function modelOf(size: Size, spoil = (machines: Machines): Machines => machines): Sized {
  const values = createValues()
  const { key, state, sizes } = createKeys<World>(values, PARTS)
  const kit = { size, machines: spoil(createMachines(values, size)), one: values.one }
  return {
    model: { start, key, state, moves: (world) => moves(world, kit), wrong: faultOfWorld, open: (world) => openIn(world, size) },
    parts: sizes,
  }
}
